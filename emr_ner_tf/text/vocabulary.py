"""The vocabulary at character level: a token id for every code point, and rows for new characters."""

import collections
import dataclasses
import functools
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.vectors import Vectors
from emr_ner_tf.errors import UserError

CODE_POINTS = 0x110000

_NEEDED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_UNUSED = re.compile(r"\[unused\d+\]")
# Escape for a character that a line cannot contain: white space, a control or a format character.
_ESCAPED = re.compile(r"\[U\+([0-9A-F]{4,6})\]")
_UNWRITABLE = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))
_SURROGATES = range(0xD800, 0xE000)
_REPLACEMENT = 0xFFFD
# "Other punctuation" that occurs inside numbers, units and words: a window should not be cut after it.
_WITHIN_WORDS = frozenset("\"#%&'*./@\\·†‡•‧‰′″※〃・")
_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their rows in the embedding table.

    Only tokens of one character represent characters of a text; `##x` never does. A token that occurs several times has
    the id of its last row, as in transformers.

    Attributes:
        tokens: all tokens; the index of a token is its id.
        added: (character, id) of each character that `extended` added; empty after `load`.
    """

    tokens: tuple[str, ...] = dataclasses.field(repr=False)
    added: tuple[tuple[str, int], ...] = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        _check(self.tokens, "vocabulary", lambda row: f"vocabulary: row {row}")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Reads a vocabulary with one token per line, in the layout of Hugging Face (`vocab.txt`).

        A line `[U+000A]` is the character with that code point.

        Raises:
            UserError: the file does not exist, is not UTF-8, has a token that a line cannot contain, or lacks [PAD],
                [UNK], [CLS] or [SEP].
        """
        path = pathlib.Path(path)
        try:
            # Universal line ends and no byte order mark, as in transformers.
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise UserError(f"{path}:{line}: a vocabulary must be UTF-8, but this line is not") from error
        except OSError as error:
            raise UserError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
        lines = text.split("\n")
        if not lines[-1]:
            del lines[-1]
        tokens = tuple(map(_from_line, lines))
        _check(tokens, str(path), lambda row: f"{path}:{row + 1}")
        return cls(tokens)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, atomically; `load` reads an equal vocabulary from it."""
        with atomic_writer(path) as file:
            file.writelines(f"{_to_line(token)}\n" for token in self.tokens)

    @property
    def pad_id(self) -> int:
        """Id of `[PAD]`."""
        return self._rows["[PAD]"]

    @property
    def unk_id(self) -> int:
        """Id of `[UNK]`."""
        return self._rows["[UNK]"]

    @property
    def cls_id(self) -> int:
        """Id of `[CLS]`."""
        return self._rows["[CLS]"]

    @property
    def sep_id(self) -> int:
        """Id of `[SEP]`."""
        return self._rows["[SEP]"]

    @property
    def mask_id(self) -> int:
        """Id of `[MASK]`, which only pre-training uses.

        Raises:
            UserError: the vocabulary has no `[MASK]`.
        """
        if "[MASK]" not in self._rows:
            raise UserError(f"the vocabulary must contain [MASK], got {len(self.tokens)} tokens without it")
        return self._rows["[MASK]"]

    def code_point_table(self) -> np.ndarray:
        """Returns the token id of every code point.

        The first of these forms that is in the vocabulary gives the id: the character itself, its lower case, its NFKC
        form if that is one character, and the lower case of that form. Otherwise, the id is that of `[UNK]`.

        Returns:
            int32 [0x110000], read-only.
        """
        return self._code_points

    def break_table(self) -> np.ndarray:
        """Returns whether a window should preferably end after a token: white space, closing bracket, end of a clause.

        Returns:
            bool [len(tokens)].
        """
        return np.array([_is_break(token) for token in self.tokens], bool)

    def extended(self, texts: Iterable[str], *, min_count: int = 1) -> "Vocabulary":
        """Adds a row for each character of the texts that would be `[UNK]`.

        Characters are sorted by descending frequency, then by code point. They get the rows of `[unused...]` tokens
        first, then new rows at the end. U+FFFD and surrogates stay `[UNK]`.

        Args:
            texts: training texts.
            min_count: minimum number of occurrences of a character in all texts.

        Returns:
            The extended vocabulary, whose `added` lists the characters after those of this vocabulary.

        Raises:
            ValueError: `min_count` is below 1.
        """
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        count: collections.Counter[str] = collections.Counter()
        for text in texts:
            count.update(text)
        table = self.code_point_table()
        lacking = [
            character
            for character, times in count.items()
            if times >= min_count
            and table[ord(character)] == self.unk_id
            and ord(character) != _REPLACEMENT
            and ord(character) not in _SURROGATES
        ]
        lacking.sort(key=lambda character: (-count[character], character))
        tokens = list(self.tokens)
        free = [row for row, token in enumerate(tokens) if is_unused(token)]
        new = range(len(tokens), len(tokens) + max(0, len(lacking) - len(free)))
        tokens.extend("" for _ in new)
        added = tuple(zip(lacking, [*free, *new], strict=False))
        for character, row in added:
            tokens[row] = character
        return Vocabulary(tuple(tokens), self.added + added)

    def rows_of(self, vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids, int64 [N], and the vectors of those tokens of `vectors` that are in the vocabulary."""
        known = [(self._rows[token], i) for i, token in enumerate(vectors.tokens) if token in self._rows]
        ids, places = np.array(known, np.int64).reshape(-1, 2).T
        return ids, vectors.values[places]

    @functools.cached_property
    def _code_points(self) -> np.ndarray:
        # One more entry, so that the index -1 for "no such form" finds "no such row".
        row_of = np.full(CODE_POINTS + 1, -1, np.int32)
        for row, token in enumerate(self.tokens):
            if len(token) == 1:
                row_of[ord(token)] = row
        table = row_of[:CODE_POINTS].copy()
        for form in _forms():
            np.copyto(table, row_of[form], where=table < 0)
        table[table < 0] = self.unk_id
        table.flags.writeable = False
        return table

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.tokens)}


def is_unused(token: str) -> bool:
    """Returns whether a token is `[unused1]` or similar, whose row a new character may get."""
    return _UNUSED.fullmatch(token) is not None


def _check(tokens: Sequence[str], name: str, place: Callable[[int], str]) -> None:
    """Raises a UserError if the tokens are not a vocabulary or could not be read back from a file."""
    for row, token in enumerate(tokens):
        if any(ord(character) in _SURROGATES for character in token):
            raise UserError(f"{place(row)}: a token must not contain a surrogate, got {token!r}")
        if (
            _from_line(_to_line(token)) != token
            or re.search("[\n\r]", _to_line(token))
            or token[:1] == "\ufeff" != token
        ):
            raise UserError(f"{place(row)}: a token must fit on one line, got {token!r}")
    missing = sorted(set(_NEEDED).difference(tokens), key=_NEEDED.index)
    if missing:
        raise UserError(
            f"{name}: must contain {', '.join(_NEEDED)}, got {len(tokens)} tokens without {', '.join(missing)}"
        )


def _to_line(token: str) -> str:
    if len(token) == 1 and unicodedata.category(token) in _UNWRITABLE:
        return f"[U+{ord(token):04X}]"
    return token


def _from_line(line: str) -> str:
    escaped = _ESCAPED.fullmatch(line)
    if escaped and int(escaped[1], 16) < CODE_POINTS:
        return chr(int(escaped[1], 16))
    return line


def _is_break(token: str) -> bool:
    if len(token) != 1:
        return False
    category = unicodedata.category(token)
    if category == "Po":
        return unicodedata.normalize("NFKC", token) not in _WITHIN_WORDS
    return token.isspace() or category in ("Zs", "Zl", "Zp", "Pe", "Pf")


@functools.cache
def _forms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns lower case, NFKC form and lower case of that form of every code point: int32 [0x110000], -1 for none."""
    lower, normal, normal_lower = (np.full(CODE_POINTS, -1, np.int32) for _ in range(3))
    for first in range(0, CODE_POINTS, _BLOCK):
        if first in _SURROGATES:
            continue
        # Whole blocks are checked first, because few of them have a character with another form.
        block = "".join(map(chr, range(first, first + _BLOCK)))
        if block.lower() == block and unicodedata.is_normalized("NFKC", block):
            continue
        for code, character in enumerate(block, first):
            lower[code] = _code(character.lower())
            form = unicodedata.normalize("NFKC", character)
            normal[code] = _code(form)
            normal_lower[code] = _code(form.lower()) if len(form) == 1 else -1
    return lower, normal, normal_lower


def _code(form: str) -> int:
    return ord(form) if len(form) == 1 else -1
