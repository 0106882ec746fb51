"""Masked characters (Devlin et al. 2019, section 3.1), different in each epoch; optionally whole words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.pretraining.rng import MASKS, random_stream
from emr_ner_tf.text.vocabulary import Vocabulary

NO_LABEL = -1
_MASKED, _REPLACED = 0.8, 0.9


class Masked(NamedTuple):
    """A masked text in one epoch.

    Attributes:
        token_ids: int32 [total].
        labels: int32 [total], the original token at positions to predict, -1 elsewhere.
    """

    token_ids: np.ndarray
    labels: np.ndarray


def word_units(passages: Sequence[str]) -> np.ndarray:
    """Returns the index of each character's word, as found by a segmenter (jieba): int64 [total], ascending."""
    # The segmenter reads its dictionary when it is imported.
    import rjieba

    lengths = [len(word) for text in passages for word in rjieba.cut(text)]
    units = np.repeat(np.arange(len(lengths)), lengths)
    assert len(units) == sum(map(len, passages)), "the segmenter must keep every character"
    return units


def mask(
    token_ids: np.ndarray,
    units: np.ndarray | None,
    vocabulary: Vocabulary,
    *,
    rate: float,
    seed: int,
    epoch: int,
) -> Masked:
    """Chooses the characters to predict and masks them.

    Each unit is chosen independently with probability `rate`. Of the chosen characters, 80 % become [MASK], 10 %
    another character of the vocabulary, and 10 % stay. [UNK] and other special tokens are never chosen; [CLS], [SEP]
    and padding are added later.

    Args:
        token_ids: int32 [total], the text.
        units: int64 [total], characters with the same number are chosen together, as from `word_units`; None chooses
            each character separately.
        vocabulary: vocabulary of the tokens; it must contain [MASK].
        rate: expected fraction of chosen characters.
        seed: seed of the run.
        epoch: counted from 0.

    Returns:
        The masked text; the same arguments give the same result.

    Raises:
        UserError: the vocabulary has no [MASK].
    """
    random = random_stream(seed, MASKS, epoch)
    characters = np.array([len(token) == 1 for token in vocabulary.tokens])
    if units is None:
        chosen = random.random(len(token_ids)) < rate
    else:
        chosen = (random.random(units[-1] + 1 if len(units) else 0) < rate)[units]
    chosen &= characters[token_ids]
    labels = np.where(chosen, token_ids, NO_LABEL).astype(np.int32)
    places = np.flatnonzero(chosen)
    how = random.random(len(places))
    replacements = random.choice(np.flatnonzero(characters), len(places))
    hidden = np.where(how < _MASKED, vocabulary.mask_id, replacements)
    seen = token_ids.copy()
    seen[places] = np.where(how < _REPLACED, hidden, token_ids[places])
    return Masked(seen, labels)
