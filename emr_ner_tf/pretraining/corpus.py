"""Passages as token ids, with the pairs and masks of each epoch."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.pretraining.masking import Masked, mask, word_units
from emr_ner_tf.pretraining.passage_selection import gather_passages
from emr_ner_tf.pretraining.sentence_pairs import Pairs, Windows, cut_windows, pair_sentences
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.text.vocabulary import Vocabulary

# Maximum number of positions of a matrix of token ids, padding included.
_CHARACTERS_AT_ONCE = 1 << 20


class Text(NamedTuple):
    """The text of all passages, one after the other.

    Attributes:
        token_ids: int32 [total].
        units: int64 [total], or None, as in `mask`.
        windows: windows of the text.
        vocabulary: vocabulary of the tokens.
    """

    token_ids: np.ndarray
    units: np.ndarray | None
    windows: Windows
    vocabulary: Vocabulary

    def pairs(self, *, size: int, seed: int, epoch: int) -> Pairs:
        """Returns the sentence pairs of an epoch; see `pair_sentences`."""
        return pair_sentences(self.windows, size=size, seed=seed, epoch=epoch)

    def masked(self, *, rate: float, seed: int, epoch: int) -> Masked:
        """Returns the masks of an epoch; see `mask`."""
        return mask(self.token_ids, self.units, self.vocabulary, rate=rate, seed=seed, epoch=epoch)

    def digest(self) -> str:
        """Returns the SHA-256 of the text, the meaning of its ids and its windows, in hexadecimal."""
        digest = hashlib.sha256(repr(self.vocabulary.tokens).encode("utf-8"))
        for array in (self.token_ids, self.units, *self.windows):
            if array is not None:
                digest.update(array.tobytes())
        return digest.hexdigest()


class Corpus(NamedTuple):
    """The text of a run.

    Attributes:
        vocabulary: vocabulary of both parts.
        train: text for training.
        heldout: text for measurement.
        facts: counts for `metrics.json`.
    """

    vocabulary: Vocabulary
    train: Text
    heldout: Text
    facts: dict[str, int]

    @property
    def digest(self) -> str:
        """SHA-256 of both parts, in hexadecimal."""
        return hashlib.sha256((self.train.digest() + self.heldout.digest()).encode()).hexdigest()


def read_corpus(
    settings: ConfigDict,
    seed: int,
    make_vocabulary: Callable[[Sequence[str]], Vocabulary],
    *,
    size: int,
    whole_words: bool = False,
) -> Corpus:
    """Reads the passages of a run.

    Args:
        settings: section `data`, from `passage_selection.data_settings`.
        seed: seed of the run.
        make_vocabulary: returns the vocabulary for the passages of training.
        size: maximum number of characters in a window.
        whole_words: whether the characters of a word are masked together.

    Raises:
        UserError: as `gather_passages`.
    """
    passages = gather_passages(settings, seed)
    vocabulary = make_vocabulary(passages.train)
    train, heldout = (
        build_text(texts, vocabulary, size=size, whole_words=whole_words)
        for texts in (passages.train, passages.heldout)
    )
    facts = {
        "passages": len(passages.train) + len(passages.heldout),
        "left_out": passages.left_out,
        "held_out": len(passages.heldout),
        "characters": len(train.token_ids) + len(heldout.token_ids),
        "windows": len(train.windows.first),
    }
    return Corpus(vocabulary, train, heldout, facts)


def build_text(passages: Sequence[str], vocabulary: Vocabulary, *, size: int, whole_words: bool) -> Text:
    """Looks up the tokens of passages and cuts windows.

    Args:
        passages: texts that are not empty.
        vocabulary: vocabulary of the encoder.
        size: maximum number of characters in a window.
        whole_words: whether the characters of a word are masked together.
    """
    codes = tf.constant(vocabulary.code_point_table())
    parts = []
    for part in _parts(passages):
        _, tokens, length = look_up(tf.constant(part, tf.string), codes, vocabulary.pad_id)
        real = tf.sequence_mask(length, tf.shape(tokens)[1])
        parts.append(tf.boolean_mask(tokens, real).numpy())
    units = word_units(passages) if whole_words else None
    return Text(np.concatenate(parts), units, cut_windows(passages, size), vocabulary)


def _parts(passages: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields consecutive passages that fit into a matrix as wide as the longest of them, at least one."""
    first = width = 0
    for i, passage in enumerate(passages):
        wider = max(width, len(passage))
        if i > first and (i + 1 - first) * wider > _CHARACTERS_AT_ONCE:
            yield passages[first:i]
            first, wider = i, len(passage)
        width = wider
    yield passages[first:]
