"""Assigns records to the sides of a split, by seed, and finds texts that share 30 characters in a row."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from emr_ner_tf.errors import UserError

# So many common characters in a row indicate a common source rather than a common phrase.
SHARED_CHARACTERS = 30
# Appended to a text shorter than a shingle; not a code point.
_PADDING = 0x110000


def assign_split(groups: Sequence[int], ratio: tuple[int, int], seed: int) -> list[bool]:
    """Draws the records of the first side of a split.

    Args:
        groups: number of the group of each record; the records of a group go to the same side.
        ratio: parts of the first and of the second side.
        seed: the same seed and groups give the same split, on any machine.

    Returns:
        For each record, whether it goes to the first side. Of N records, round(N * a / (a + b)) do, with at least one
        on each side; groups of several records may change this number by less than the size of the largest group.

    Raises:
        UserError: there are fewer than two groups.
    """
    members: dict[int, list[int]] = {}
    for record, group in enumerate(groups):
        members.setdefault(group, []).append(record)
    if len(members) < 2:
        raise UserError(
            f"a split needs at least two groups of records, got {len(groups)} records in {len(members)} groups"
        )
    wanted = min(max(round(len(groups) * ratio[0] / sum(ratio)), 1), len(groups) - 1)
    drawn = sorted(members.values(), key=lambda records: _draw(seed, records[0]))
    # Large groups come first, while there is room for them; the stable sort keeps the drawn order of equal ones.
    drawn.sort(key=len, reverse=True)
    first = [False] * len(groups)
    room = wanted
    for records in drawn:
        if len(records) <= room:
            room -= len(records)
            for record in records:
                first[record] = True
    if room == wanted:  # each group is larger than the first side should be
        for record in drawn[-1]:
            first[record] = True
    return first


class ShingleTable:
    """The sorted hashes of all strings of `SHARED_CHARACTERS` characters of records, each with its records.

    Args:
        hashes: for each record, what `shingles` or `near_duplicates.alike_hashes` returns.
    """

    def __init__(self, hashes: Sequence[np.ndarray]) -> None:
        self._records = len(hashes)
        sizes = np.array([len(part) for part in hashes], np.int64)
        owners = np.repeat(np.arange(len(hashes), dtype=np.int32), sizes)
        joined = np.concatenate([np.zeros(0, np.uint64), *hashes])
        order = np.argsort(joined, kind="stable")
        self._hashes, self._owners = joined[order], owners[order]

    def groups(self, others: Sequence[tuple[int, int]] = ()) -> list[int]:
        """Groups records that have a hash in common, directly or through other records.

        Args:
            others: pairs of records that belong together, too.

        Returns:
            For each record the number of its group: that of the group's first record.
        """
        same = self._hashes[1:] == self._hashes[:-1]
        # A pair is one number, which is sorted many times faster than a row of two numbers.
        pairs = self._owners[:-1][same].astype(np.int64) * max(1, self._records) + self._owners[1:][same]
        one, other = np.divmod(np.unique(pairs), max(1, self._records))
        more = np.array(others, np.int64).reshape(-1, 2)
        one, other = np.concatenate([one, more[:, 0]]), np.concatenate([other, more[:, 1]])
        group = np.arange(self._records)
        while np.any(group[one] != group[other]):
            low, high = np.minimum(group[one], group[other]), np.maximum(group[one], group[other])
            np.minimum.at(group, high, low)
            while np.any(group[group] != group):
                group = group[group]
        return group.tolist()

    def sharing(self, hashes: np.ndarray) -> int | None:
        """Returns the first record that has one of `hashes`, and None if no record has any."""
        if not len(self._hashes):
            return None
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        found = self._owners[places[self._hashes[places] == hashes]]
        return int(found.min()) if len(found) else None


def without_shared(texts: Iterable[str], others: Iterable[str], shared: int = SHARED_CHARACTERS) -> list[str]:
    """Returns the texts, in order, that have no `shared` characters in a row in common with any of `others`.

    Strings are compared by their 64-bit hashes, as in `near_duplicate_groups`.
    """
    found: set[int] = set()
    for other in others:
        found.update(shingles(other, shared).tolist() if len(other) >= shared else ())
    return [text for text in texts if len(text) < shared or found.isdisjoint(shingles(text, shared).tolist())]


def shingles(text: str, size: int = SHARED_CHARACTERS) -> np.ndarray:
    """Returns the 64-bit hashes of all strings of `size` characters in a row of a text, each once, sorted.

    A shorter text has one hash, which only equal texts share.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < size:
        codes = np.concatenate([codes, np.full(size - len(codes), _PADDING, np.uint64)])
    codes = _mixed(codes + np.uint64(1))
    count = len(codes) - size + 1
    total = np.zeros(count, np.uint64)
    for offset in range(size):
        total = total * np.uint64(0x9E3779B97F4A7C15) + codes[offset : offset + count]
    return np.unique(_mixed(total))


def _draw(seed: int, record: int) -> bytes:
    """Returns a random number that depends on the seed and the record's index only, not on a library's generator."""
    return hashlib.sha256(f"{seed}:{record}".encode()).digest()


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads uint64 over all bits (the finaliser of splitmix64; Source: Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
