"""Training windows whose cuts are drawn anew for each epoch, as a pure function of records, seed and epoch."""

import dataclasses

import numpy as np

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.examples import Examples

# Added to the number of the epoch, so that no key is one of `plan_epoch` or `train_validation_split`.
_STREAM = 2**33


class RandomCuts:
    """Cuts records at other places in each epoch, every character in exactly one window.

    A record has as many windows in every epoch as `build_examples` gives it, and each cut has a range of its own around
    the place that would make all windows equal. The ranges are as wide as they can be while no draw makes a window too
    long or empty. A cut is drawn among the places of its range that follow punctuation outside a mention. Without any,
    it is drawn among all places outside a mention, and otherwise among all; each part of a mention that is cut is then
    tagged as a mention of its own.

    Args:
        whole: each record as one window.
        vocabulary: vocabulary of the encoder.
        table: the tags.
        window: maximum number of characters in a window.
        slack: as in `build_examples`; it counts for the number of windows alone.
        certain: number of characters, from the first, whose targets are their tags with probability 1.
    """

    def __init__(
        self,
        whole: Examples,
        vocabulary: Vocabulary,
        table: TagTable,
        *,
        window: int,
        slack: int,
        certain: int = 0,
    ) -> None:
        self._whole, self._table, self._certain = whole, table, certain
        inside = table.inside[whole.tag_ids]
        breakable = vocabulary.break_table()[whole.token_ids]
        # Places where each window may begin, then the end of the last window.
        places = []
        for first, length in zip(whole.offsets.tolist(), whole.lengths.tolist(), strict=False):
            places.append(np.array([first]))
            count = 1 if length <= window else -(-length // (window - slack))
            room = min(window - -(-length // count), length // count - 1)
            # A window between two cuts grows and shrinks by both of them.
            reach = room // 2 if count > 2 else room
            for index in range(1, count):
                equal = first + index * length // count
                near = np.arange(equal - reach, equal + reach + 1)
                outside = near[~inside[near]]
                after = outside[breakable[outside - 1]]
                places.append(next(some for some in (after, outside, near) if some.size))
        places.append(whole.offsets[-1:])
        self._places = np.concatenate(places)
        self._counts = np.array([len(some) for some in places])

    def draw(self, seed: int, epoch: int) -> Examples:
        """Returns the windows of an epoch.

        Args:
            seed: seed of the run.
            epoch: number of the epoch, counted from 0.
        """
        random = np.random.Generator(np.random.Philox(key=[seed, _STREAM + epoch]))
        first = np.cumsum(self._counts) - self._counts
        offsets = self._places[first + random.integers(self._counts)]
        whole, targets = self._whole, self._whole.targets
        tag_ids = self._table.split(whole.tag_ids, offsets[:-1])
        changed = np.flatnonzero(tag_ids[: self._certain] != whole.tag_ids[: self._certain])
        if targets is not None and len(changed):
            targets = targets.copy()
            targets[changed] = np.eye(targets.shape[1], dtype=targets.dtype)[tag_ids[changed]]
        return dataclasses.replace(whole, tag_ids=tag_ids, offsets=offsets, targets=targets)
