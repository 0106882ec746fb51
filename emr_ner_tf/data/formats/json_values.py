"""Streams the JSON values of a file (JSON lines, one array, or objects over several lines) in constant memory."""

import re
from collections.abc import Iterator

from emr_ner_tf.data.lines import Line
from emr_ner_tf.data.record_error import RecordError

# A string ends on its line; a quotation mark without a second one on its line is matched alone.
_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*"|[\[\]{}"]')
_FILLING = re.compile(rb"[ \t\r\n,]*")


def json_values(chunks: Iterator[bytes]) -> Iterator[Line]:
    """Yields the objects of a file, including those of a top-level array.

    Args:
        chunks: UTF-8 without a byte order mark, cut at any byte.

    Returns:
        Each value with the line and offset of its first byte. A value that is not a complete object (a number, a word,
        an object that is cut off) is yielded unchanged, up to the end of its line; the caller raises the error.

    Raises:
        RecordError: while iterating, after the last value: the file ends before the `]` of its array.
    """
    splitter = _Splitter()
    for chunk in chunks:
        splitter.feed(chunk)
        while (line := splitter.next(final=False)) is not None:
            yield line
    while (line := splitter.next(final=True)) is not None:
        yield line
    splitter.check_end()


class _Splitter:
    """Collects chunks and splits them into values."""

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # line of the value in the buffer
        self._scanned = 0
        self._number = 1
        self._offset = 0
        self._depth = 0
        self._in_array = False
        self._one_a_line: bool | None = None
        self._is_cut_off = False

    def feed(self, chunk: bytes) -> None:
        """Adds bytes."""
        self._buffer = self._buffer[self._at :] + chunk
        self._scanned -= self._at
        self._at = 0

    def next(self, *, final: bool) -> Line | None:
        """Returns the next value; None if more bytes are needed or there are no more."""
        if not self._depth:
            if not self._skip_filling():
                return None
            if self._buffer[self._at : self._at + 1] != b"{":
                return self._cut_at_line_end(self._at, final=final)
        for match in _TOKEN.finditer(self._buffer, self._scanned):
            token = match[0]
            if self._one_a_line and self._buffer.find(b"\n", self._scanned, match.start()) >= 0:
                return self._cut_at_line_end(self._scanned, final=final)
            if token == b'"':
                # The chunk or the line ends within a string.
                return self._cut_at_line_end(match.end(), final=final)
            self._scanned = match.end()
            if token in b"{[":
                self._depth += 1
            elif token in b"}]":
                self._depth -= 1
                if not self._depth:
                    return self._cut(self._scanned)
        return self._cut(len(self._buffer), whole=False) if final else None

    def check_end(self) -> None:
        """Raises an error for a file that ends within an array, after a complete value."""
        if self._in_array and not self._is_cut_off:
            problem = "the file ends before the `]` of its array, so records may be missing"
            raise RecordError(problem, line=self._number)

    def _skip_filling(self) -> bool:
        """Skips white space, commas, and the brackets of a top-level array."""
        while True:
            match = _FILLING.match(self._buffer, self._at)
            self._drop(match.end() if match else self._at)
            bracket = b"]" if self._in_array else b"["
            if self._buffer[self._at : self._at + 1] != bracket:
                return self._at < len(self._buffer)
            self._in_array = not self._in_array
            self._drop(self._at + 1)

    def _cut_at_line_end(self, start: int, *, final: bool) -> Line | None:
        end = self._buffer.find(b"\n", start)
        if end < 0 and not final:
            return None
        return self._cut(len(self._buffer) if end < 0 else end, whole=False)

    def _cut(self, end: int, *, whole: bool = True) -> Line:
        line = Line(self._number, self._offset, self._buffer[self._at : end])
        # In that case, the error is that of the last value.
        self._is_cut_off = not whole and end == len(self._buffer)
        if self._one_a_line is None and whole:
            self._one_a_line = not self._in_array and b"\n" not in line.raw
        self._drop(end)
        self._depth = 0
        return line

    def _drop(self, end: int) -> None:
        self._number += self._buffer.count(b"\n", self._at, end)
        self._offset += end - self._at
        self._at = self._scanned = end
