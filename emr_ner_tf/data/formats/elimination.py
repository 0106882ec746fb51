"""Finds the only interpretation ("reading") of a file that fits all its records, while they are streamed."""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

_Reading = TypeVar("_Reading")
_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


class Elimination(Generic[_Reading, _Item, _Value]):
    """Drops readings that do not fit a record, and releases records once the remaining readings agree on them.

    Attributes:
        remaining: readings that fit every record so far; the format's own convention is first.
    """

    def __init__(self, readings: Sequence[_Reading]) -> None:
        self.remaining = list(readings)
        self._waiting: collections.deque[tuple[_Item, Mapping[_Reading, _Value]]] = collections.deque()

    def offer(self, item: _Item, values: Mapping[_Reading, _Value]) -> None:
        """Adds a record.

        Args:
            item: the record.
            values: the value of the record under each remaining reading that fits it; not empty.
        """
        self.remaining = [reading for reading in self.remaining if reading in values]
        self._waiting.append((item, values))

    def add_settled(self, item: _Item, value: _Value) -> None:
        """Adds a record that is the same under every reading, or is an error; it keeps its place in the order."""
        self._waiting.append((item, dict.fromkeys(self.remaining, value)))

    def released(self) -> Iterator[tuple[_Item, _Value]]:
        """Yields the records, in order, on which the remaining readings agree."""
        while self._waiting:
            item, values = self._waiting[0]
            left = [values[reading] for reading in self.remaining]
            if any(value != left[0] for value in left):
                return
            self._waiting.popleft()
            yield item, left[0]

    def settle(self, reading: _Reading) -> None:
        """Drops all remaining readings except one."""
        self.remaining = [reading]

    @property
    def waiting(self) -> int:
        """Number of records that wait for a later one to decide."""
        return len(self._waiting)

    @property
    def first_waiting(self) -> tuple[_Item, Mapping[_Reading, _Value]]:
        """The first record on which the remaining readings disagree, with its value under each of them."""
        item, values = self._waiting[0]
        return item, {reading: values[reading] for reading in self.remaining}
