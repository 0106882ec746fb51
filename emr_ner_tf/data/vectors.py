"""Vectors of characters and words: reads files in word2vec's text format, and trains word2vec (with gensim)."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from emr_ner_tf.data.file_kinds import read_text_lines
from emr_ner_tf.data.record_error import RecordError

_MAX_TOKENS = 10_000
_EPOCHS, _WINDOW, _NEGATIVE = 5, 5, 5


class Vectors(NamedTuple):
    """Tokens and their vectors.

    Attributes:
        tokens: N distinct strings.
        values: float32 [N, D].
    """

    tokens: tuple[str, ...]
    values: np.ndarray


def read_vectors(path: str | os.PathLike[str]) -> Vectors:
    """Reads a file in word2vec's text format: each line has a token and its D numbers, separated by spaces.

    Some published files repeat tokens: the first line of a token is used, and the number of the other lines is logged.

    Args:
        path: path of the file, in UTF-8 with or without a byte order mark. The first line may have two whole numbers,
            the number of vectors and their width.

    Raises:
        RecordError: the file has no vector, or another number than its first line says; or a line has no numbers,
            another width than the lines before it, or is not UTF-8. The message names file and line.
    """
    path = os.fspath(path)
    rows: dict[str, np.ndarray] = {}
    count = width = None
    repeated = 0
    for number, text in read_text_lines(path):
        text = text.rstrip(" ")
        if number == 1 and _is_header(text):
            count, width = map(int, text.split(" "))
            continue
        if not text.strip():
            continue
        try:
            token, row = _parse(text, width)
        except RecordError as error:
            error.path, error.line = path, number
            raise
        repeated += token in rows
        rows.setdefault(token, row)
        width = len(row)
    if not rows:
        raise RecordError("must hold vectors, and holds none", path=path)
    # The first line may contain the number of lines or of tokens.
    if count not in (None, len(rows), len(rows) + repeated):
        found = str(len(rows) + repeated)
        raise RecordError(
            f"must be followed by {count} vectors, as it says, got", value=found, path=path, line=1
        )
    if repeated:
        logging.warning(
            "%s: %d vectors left out, because an earlier line has the same token",
            path,
            repeated,
        )
    return Vectors(tuple(rows), np.stack(list(rows.values())))


def train_word2vec(
    sentences: Iterable[Sequence[str]], *, size: int, seed: int, min_count: int = 1
) -> Vectors:
    """Trains skip-gram vectors with negative sampling, in one thread, so that a seed gives one result.

    Args:
        sentences: the tokens of each sentence.
        size: width D.
        seed: seed of the initial values and the draws.
        min_count: minimum number of occurrences of a token.

    Returns:
        The vectors, the most frequent token first; none if no token is that frequent.

    Source:
        Mikolov et al. 2013, https://arxiv.org/abs/1310.4546
    """
    # gensim is imported here, because that takes a second and few runs need it.
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=size,
        window=_WINDOW,
        sg=1,
        negative=_NEGATIVE,
        min_count=min_count,
        epochs=_EPOCHS,
        seed=seed,
        workers=1,
    )
    # gensim would silently drop the part of a sentence past its limit.
    sentences = [
        list(sentence[first : first + _MAX_TOKENS])
        for sentence in sentences
        for first in range(0, len(sentence), _MAX_TOKENS)
    ]
    model.build_vocab(sentences)
    tokens = tuple(model.wv.index_to_key)
    if not tokens:
        return Vectors((), np.zeros((0, size), np.float32))
    model.train(sentences, total_examples=model.corpus_count, epochs=_EPOCHS)
    return Vectors(tokens, np.asarray(model.wv.vectors, np.float32))


def _is_header(text: str) -> bool:
    parts = text.split(" ")
    return len(parts) == 2 and all(part.isdecimal() for part in parts)


def _parse(text: str, width: int | None) -> tuple[str, np.ndarray]:
    token, *numbers = text.split(" ")
    if not token or not numbers:
        raise RecordError("a line must be a token and its numbers, separated by spaces")
    try:
        row = np.array(numbers, np.float32)
    except ValueError:
        raise RecordError("what follows the token must be numbers, separated by single spaces") from None
    if not np.isfinite(row).all():
        raise RecordError("numbers must be finite")
    if width is not None and len(row) != width:
        raise RecordError(f"must have {width} numbers, like the lines before it, got", value=str(len(row)))
    return token, row
