"""Finds all occurrences of a set of strings in a text; the time hardly depends on the number of strings."""

from collections.abc import Collection, Iterator

_KEY = 2


class FormIndex:
    """Strings of two characters or more, by their first two characters.

    At most positions of a text no string begins, which one look-up shows. At the others, there is one look-up for each
    length of the strings with these two characters.

    Args:
        forms: the strings; those of one character are ignored.
    """

    def __init__(self, forms: Collection[str]) -> None:
        self._forms = frozenset(form for form in forms if len(form) >= _KEY)
        lengths: dict[str, set[int]] = {}
        for form in self._forms:
            lengths.setdefault(form[:_KEY], set()).add(len(form))
        self._lengths = {key: tuple(sorted(found, reverse=True)) for key, found in lengths.items()}

    def occurrences(self, text: str) -> Iterator[tuple[int, int]]:
        """Yields (start, end) of each occurrence, including overlapping ones, by start, the longest first."""
        lengths, forms = self._lengths, self._forms
        for start in range(len(text) - _KEY + 1):
            found = lengths.get(text[start : start + _KEY])
            if found is None:
                continue
            for length in found:
                end = start + length
                if end <= len(text) and text[start:end] in forms:
                    yield start, end
