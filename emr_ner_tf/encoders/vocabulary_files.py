"""Reads the vocabulary of an encoder, with a token for each row of its embedding, from its files."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from emr_ner_tf.data.whole_files import read_object
from emr_ner_tf.encoders.hub import ADDED_TOKENS, VOCABULARY, find_file, find_optional_file, read_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary, is_unused

# Tables are padded to a multiple of at most this many rows; a file that lacks more tokens is probably cut off.
_MAX_PADDING = 1024


class EncoderVocabulary(NamedTuple):
    """The content of the files of an encoder.

    Attributes:
        vocabulary: the vocabulary, with a token for each of the `vocab_size` rows, or for more.
        notes: unusual properties of the files, one sentence each.
    """

    vocabulary: Vocabulary
    notes: list[str]


def read_vocabulary(name_or_dir: str) -> EncoderVocabulary:
    """Reads `vocab.txt` and, if it exists, `added_tokens.json`.

    A token on several lines has the row of the last line, as in transformers. Rows without a token, which pad the
    embedding to a round size, count as `[unused]`, so that new characters can use them.

    Args:
        name_or_dir: a directory, a prefix of a checkpoint, or a hub name.

    Raises:
        UserError: a file is missing, malformed or cut off, or an added token has the row of another token.
    """
    path = find_file(name_or_dir, VOCABULARY)
    tokens = list(Vocabulary.load(path).tokens)
    notes = []
    repeated = len(tokens) - len(set(tokens))
    if repeated:
        notes.append(
            f"{path}: {repeated} lines repeat a token; its last line counts, as in transformers, and the rows of the "
            "others are never used"
        )
    added = find_optional_file(name_or_dir, ADDED_TOKENS)
    if added is not None:
        ids = _read_added_tokens(added)
        _place(tokens, ids, added)
        notes.append(f"{added}: {len(ids)} added tokens")
    rows = read_config(name_or_dir)["vocab_size"]
    padding = rows - len(tokens)
    if padding > _MAX_PADDING:
        raise UserError(
            f"{path}: must have a token for each of the {rows} rows that `vocab_size` counts, but for at most "
            f"{_MAX_PADDING} that pad the table, got {len(tokens)} tokens; the file may be cut off: copy it again"
        )
    if padding > 0:
        notes.append(
            f"{path}: {len(tokens)} tokens for a `vocab_size` of {rows}; the other {padding} rows count as [unused]"
        )
        tokens += map(_unused, range(len(tokens), rows))
    return EncoderVocabulary(Vocabulary(tuple(tokens)), notes)


def _read_added_tokens(path: pathlib.Path) -> dict[str, int]:
    ids = read_object(path)
    if not all(type(row) is int and row >= 0 for row in ids.values()):
        raise UserError(f"{path}: must be a JSON object from tokens to rows, whole numbers from 0")
    return ids


def _place(tokens: list[str], ids: Mapping[str, int], path: pathlib.Path) -> None:
    """Places added tokens in rows after the vocabulary, or in rows that it does not use."""
    for token, row in sorted(ids.items(), key=lambda item: item[1]):
        if row > len(tokens):
            raise UserError(
                f"{path}: rows must follow one another behind the {len(tokens)} tokens before them, got row {row}"
            )
        if row == len(tokens):
            tokens.append(token)
        elif tokens[row] == token or is_unused(tokens[row]):
            tokens[row] = token
        else:
            raise UserError(
                f"{path}: an added token must have a row of its own, got row {row}, which is another's"
            )
        # An added token takes precedence over a line of the vocabulary.
        for other, same in enumerate(tokens):
            if same == token and other != row:
                tokens[other] = _unused(other)


def _unused(row: int) -> str:
    return f"[unused{row}]"
