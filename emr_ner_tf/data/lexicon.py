"""The lexicon, the words that the Lattice LSTM looks up: read from a file, or collected from text."""

import collections
import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from absl import logging

from emr_ner_tf.data.file_kinds import read_text_lines
from emr_ner_tf.data.lines import read_lines
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.vectors import read_vectors
from emr_ner_tf.errors import UserError

# Maximum number of characters in a word, for which every step of the layer reserves memory; it covers 95 % of the
# mentions of CCKS2019.
LONGEST_WORD = 12


class Lexicon(NamedTuple):
    """Words and, if a file has them, their vectors.

    Attributes:
        words: N distinct words of 2 to `LONGEST_WORD` characters, none of them white space or a control character.
        vectors: float32 [N, D], or None.
    """

    words: tuple[str, ...]
    vectors: np.ndarray | None = None


def read_lexicon(path: str | os.PathLike[str]) -> Lexicon:
    """Reads a file of word vectors in word2vec's text format, or a list with one word per line.

    The file is a list if its first non-blank line has a single token. Words that are too short or too long, and
    repeated words, are left out; their number is logged.

    Args:
        path: path of the file, in UTF-8.

    Returns:
        The words in the order of the file.

    Raises:
        RecordError: a line is malformed, vectors differ in width, or no word can be looked up; the message names file
            and line.
    """
    path = os.fspath(path)
    first = next((line.raw.split() for line in read_lines(path) if line.raw.strip()), [])
    words, vectors = (_read_list(path), None) if len(first) < 2 else read_vectors(path)
    chosen = [row for row, word in enumerate(words) if _can_be_looked_up(word)]
    if not chosen:
        raise RecordError(f"must hold words of 2 to {LONGEST_WORD} characters, and holds none", path=path)
    if len(chosen) < len(words):
        logging.info(
            "%s: %d of %d words left out, not of 2 to %d printable characters",
            path,
            len(words) - len(chosen),
            len(words),
            LONGEST_WORD,
        )
    return Lexicon(tuple(words[row] for row in chosen), None if vectors is None else vectors[chosen])


def build_lexicon(texts: Iterable[str], *, min_count: int) -> Lexicon:
    """Collects the words that a segmenter (jieba) finds often enough.

    Mentions of the training records are not added: most mentions would be words in training and not in other records,
    so that a model would learn to rely on what is missing later (docs/decisions/0010-lattice-lstm.md).

    Args:
        texts: texts of the training records, and unlabelled text.
        min_count: minimum number of times that the segmenter must find a word in all texts.

    Returns:
        The words in the order of their code points, without vectors.

    Raises:
        UserError: no text at all, or no word in it.
    """
    # Imported here, because the segmenter reads its dictionary on import.
    import rjieba

    counts: collections.Counter[str] = collections.Counter()
    characters = 0
    for text in texts:
        counts.update(_segmented(rjieba, text))
        characters += len(text)
    if not characters:
        raise UserError(
            "a lexicon needs text: the training records have none, and data.unlabelled names no file"
        )
    found = (word for word, times in counts.items() if times >= min_count and _is_word(word))
    words = sorted(filter(_can_be_looked_up, found))
    if not words:
        raise UserError(
            f"no word of 2 to {LONGEST_WORD} characters occurs min_count={min_count} times "
            f"in {characters} characters of text"
        )
    return Lexicon(tuple(words))


def _read_list(path: str) -> list[str]:
    words: dict[str, None] = {}
    repeated = 0
    for number, text in read_text_lines(path):
        word = text.strip()
        if not word:
            continue
        if len(word.split()) > 1:
            raise RecordError("a line must be one word, without white space in it", path=path, line=number)
        repeated += word in words
        words[word] = None
    if repeated:
        logging.warning("%s: %d words left out that an earlier line has", path, repeated)
    return list(words)


def _segmented(segmenter, text: str) -> list[str]:
    # A text from JSON may contain half of a surrogate pair, which the segmenter refuses.
    return segmenter.cut(text.encode("utf-8", "replace").decode("utf-8"))


def _can_be_looked_up(word: str) -> bool:
    return 2 <= len(word) <= LONGEST_WORD and word.isprintable() and " " not in word


def _is_word(token: str) -> bool:
    """Returns whether a token of the segmenter is a word, and not punctuation or a number."""
    return token.isalnum() and any(character.isalpha() for character in token)
