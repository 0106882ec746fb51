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
    """Token id of each character, int32 [T], by a table over all code points."""
    return table[np.frombuffer(text.encode("utf-32-le"), np.uint32)]


def cut(record: int, breakable: np.ndarray, *, size: int, overlap: int, slack: int) -> list[Window]:
    """Overlapping windows that end on a good place; neighbours part in the middle of what they share.

    Args:
        record: index that the windows take.
        breakable: bool [T], a window may well end after this character.
        size: most characters in a window.
        overlap: characters that neighbours share.
        slack: how much earlier than at full size a window may end to end on a good place.
    """
    length = len(breakable)
    bounds, start = [], 0
    while start < length:
        end = start + size
        if end >= length:
            bounds.append((max(0, length - size), length))
            break
        places = np.flatnonzero(breakable[end - slack : end])
        end = end - slack + int(places[-1]) + 1 if len(places) else end
        bounds.append((start, end))
        start = end - overlap
    if not bounds:
        return []
    middles = [(end + start) // 2 for (_, end), (start, _) in itertools.pairwise(bounds)]
    return [
        Window(record, *window, own_start, own_end)
        for window, own_start, own_end in zip(bounds, [0, *middles], [*middles, length], strict=True)
    ]


def by_budget(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of like length, the longest first, each at most `budget` with its padding."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        rows = max(1, budget // lengths[order[0]])
        yield order[:rows]
        order = order[rows:]


def entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, end, label) of each mention that a legal sequence of BIO tags holds."""
    found, begin = [], None
    for i, tag in enumerate([*tags, "O"]):
        if begin is not None and not tag.startswith("I"):
            found.append((begin, i, tags[begin][2:]))
            begin = None
        if tag.startswith("B"):
            begin = i
    return found
