"""Near-duplicates: records that share a long string, are alike but for punctuation, or contain one another whole."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np

from emr_ner_tf.data.form_index import FormIndex
from emr_ner_tf.data.splitting import SHARED_CHARACTERS, ShingleTable, shingles

# A shorter text that is part of another is a phrase that many records have.
CONTAINED_CHARACTERS = 10
ALIKE = (
    f"shares {SHARED_CHARACTERS} characters in a row with, or differs only in white space, punctuation, case or width "
    "from,"
)
NEAR = (
    f"share {SHARED_CHARACTERS} characters in a row, differ only in white space, punctuation, case or width, or one "
    f"of at least {CONTAINED_CHARACTERS} characters is part of the other"
)


def near_duplicate_groups(
    texts: Iterable[str],
    again: Iterable[str],
    shared: int = SHARED_CHARACTERS,
    contained: int = CONTAINED_CHARACTERS,
) -> list[int]:
    """Groups records that are near-duplicates, directly or through other records.

    Strings are compared by their 64-bit hashes, texts that are part of another one character by character.

    Args:
        texts: texts of the records.
        again: the same texts, for a second pass.
        shared: characters in a row that two records must have in common.
        contained: characters of the shortest text that is compared with parts of others.

    Returns:
        For each record the number of its group: that of the group's first record.
    """
    short, hashes = ContainedTexts(shared, contained), []
    for record, text in enumerate(texts):
        short.add(record, text)
        hashes.append(alike_hashes(text, shared))
    pairs = [(record, other) for record, text in enumerate(again) for other in short.within(text)]
    return ShingleTable(hashes).groups(pairs)


def alike_hashes(text: str, size: int = SHARED_CHARACTERS) -> np.ndarray:
    """Returns 64-bit hashes of a text of which near-duplicates have one in common.

    They are those of all strings of `size` characters, and one of the whole text without white space, punctuation,
    case and width.
    """
    digest = hashlib.blake2b(_normal_form(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.append(shingles(text, size), np.frombuffer(digest, np.uint64))


def _normal_form(text: str) -> str:
    # A text of such characters alone is equal only to itself.
    return unicodedata.normalize("NFKC", text).casefold().translate(_WITHOUT_MARKS) or text


class _Translation(dict[int, int | None]):
    """For `str.translate`: leaves out white space, punctuation and control characters, but no signs such as `+`."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code))[0] in "ZPC" else code
        return self[code]


_WITHOUT_MARKS = _Translation()


class ContainedTexts:
    """Finds the texts of less than `shared` characters that are part of other texts.

    Args:
        shared: longer texts have a string of this many characters, which hashes find.
        contained: characters of the shortest text.
    """

    def __init__(self, shared: int = SHARED_CHARACTERS, contained: int = CONTAINED_CHARACTERS) -> None:
        self._sizes = range(contained, shared)
        self._records: dict[str, int] = {}
        self._index: FormIndex | None = None

    def add(self, record: int, text: str) -> int:
        """Adds a text, before any call of `within`.

        Returns:
            The record that stands for the text: the first of equal ones.
        """
        return self._records.setdefault(text, record) if len(text) in self._sizes else record

    def within(self, text: str) -> Iterator[int]:
        """Yields the records, each once, whose text is part of another one."""
        if not self._records:
            return
        self._index = self._index or FormIndex(self._records)
        found = {text[start:end] for start, end in self._index.occurrences(text)} - {text}
        for part in sorted(found):
            yield self._records[part]
