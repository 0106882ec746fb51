"""Texts to windows of token ids, and tags back to entities, in NumPy."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A window of a record, `[start, end)`, and the part of it that is read, `[own_start, own_end)`."""

    record: int
    start: int
    end: int
    own_start: int
    own_end: int


def token_ids(text: str, table: np.ndarray) -> np.ndarray:
    """Returns the token id of each character, int32 [T], by a table over all code points."""
    return table[np.frombuffer(text.encode("utf-32-le"), np.uint32)]


def cut(record: int, breakable: np.ndarray, *, size: int, overlap: int, slack: int) -> list[Window]:
    """Returns windows of equal length, cut at good places; the same rule as `emr_ner_tf.text.windows.plan_windows`.

    Args:
        record: index that the windows take.
        breakable: bool [T], a cut may well fall after this character.
        size: most characters in a window.
        overlap: characters that neighbours share.
        slack: by how much a cut may move to fall on a good place.
    """
    length = len(breakable)
    if length <= size:
        return [Window(record, 0, length, 0, length)] if length else []
    count = -(-(length - overlap) // (size - overlap - slack))
    longest, shortest = -(-(length - overlap) // count), (length - overlap) // count
    reach = max(0, min((size - overlap - longest) // 2, (shortest - 1) // 2, slack))
    before = overlap // 2
    cuts = [0]
    for index in range(1, count):
        equal = index * (length - overlap) // count + before
        places = np.flatnonzero(breakable[equal - reach - 1 : equal + reach]) + equal - reach
        cuts.append(int(min(places, key=lambda at: (abs(at - equal), -at), default=equal)))
    cuts.append(length)
    return [
        Window(
            record, max(own_start - before, 0), min(own_end + overlap - before, length), own_start, own_end
        )
        for own_start, own_end in itertools.pairwise(cuts)
    ]


def by_budget(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of like length, the longest first, each at most `budget` with its padding."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        rows = max(1, budget // lengths[order[0]])
        yield order[:rows]
        order = order[rows:]


def entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Returns (start, end, label) of each mention that a legal sequence of BIO tags holds."""
    found, begin = [], None
    for i, tag in enumerate([*tags, "O"]):
        if begin is not None and not tag.startswith("I"):
            found.append((begin, i, tags[begin][2:]))
            begin = None
        if tag.startswith("B"):
            begin = i
    return found
