"""CSV and TSV as spreadsheet programs read and write them; output is UTF-8 with a byte order mark."""

import contextlib
import csv
import io
import os
import re
from collections.abc import Iterator

from emr_ner_tf.data.atomic_io import atomic_writer, errors_named
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source
from emr_ner_tf.data.formats.tables import COLUMNS, HELD, READINGS, Row, guard, read_table, rows_of
from emr_ner_tf.data.lines import Line, decoded
from emr_ner_tf.data.record_error import RecordError

_MAX_FIELD = 2**31 - 1
_DELIMITERS = (",", "\t", ";")
# A first line that tells Excel the delimiter of the file.
SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)
# The part of a line up to a carriage return that is outside quotation marks and does not end the line.
_LONE_CR = re.compile(rb'(?:[^"\r]|"[^"]*")*\r(?=.)', re.DOTALL)


def _read(source: Source) -> Iterator[Record]:
    return read_table(_rows(source), source)


def _rows(source: Source) -> Iterator[Row]:
    feed = _Feed(source.lines())
    for first in feed:
        if first.strip():
            break
        feed.taken()
    else:
        return
    separator = SEPARATOR.fullmatch(first)
    if separator is None:
        feed.back(first)
    else:
        feed.taken()
    csv.field_size_limit(_MAX_FIELD)
    delimiter = separator[1] if separator else max(_DELIMITERS, key=first.count)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line, raw = feed.taken()
            yield Row(line, raw, (), _problem(error))
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        except RecordError as error:
            line, raw = feed.taken()
            yield Row(line, raw, (), error)
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        line, raw = feed.taken()
        yield Row(line, raw, cells)


def _problem(error: csv.Error) -> RecordError:
    # The message of the library may contain text.
    if str(error).startswith("new-line character seen in unquoted field"):
        return RecordError(
            "the row has a carriage return outside quotation marks, and the first line ends in a line feed",
            remedy="put the cell in quotation marks",
        )
    return RecordError("the row is not CSV: a quotation mark is not closed or not doubled")


class _Feed:
    """Feeds the lines of a file to `csv.reader` and records which lines belong to a row.

    A row that ends in a lone carriage return counts as a line.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = _parts(lines)
        self._taken: list[tuple[Line, str]] = []
        self._back: list[str] = []
        self._rows = 0  # number of rows that ended in a carriage return

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._back:
            return self._back.pop()
        line, end = next(self._lines)
        line = line._replace(number=line.number + self._rows)
        self._taken.append((line, end))
        # The carriage return of CR LF is kept, because within quotation marks it is text.
        return decoded(line._replace(raw=line.raw + b"\n"))[:-1] + end

    def back(self, text: str) -> None:
        """Puts a line back, to be read again."""
        self._back.append(text)

    def taken(self) -> tuple[int, bytes]:
        """Returns the first line and the bytes of the row that was read last."""
        taken, self._taken = self._taken, []
        if not taken:
            return 0, b""
        self._rows += taken[-1][1] == "\r"
        raw = b"".join(line.raw + end.encode() for line, end in taken)
        return taken[0][0].number, raw[:-1]


def _parts(lines: Iterator[Line]) -> Iterator[tuple[Line, str]]:
    """Yields lines with their ends; if a carriage return ends the first line, every carriage return ends a line."""
    is_first, has_cr = True, False
    for line in lines:
        if is_first and line.raw.strip():
            is_first, has_cr = False, _LONE_CR.match(line.raw) is not None
        start, last = 0, len(line.raw) - 1
        while has_cr and -1 < (end := line.raw.find(b"\r", start)) < last:
            yield line._replace(offset=line.offset + start, raw=line.raw[start:end]), "\r"
            start = end + 1
        yield line._replace(offset=line.offset + start, raw=line.raw[start:]), "\n"


class _CsvWriter:
    """Writes rows."""

    def __init__(self, file: io.TextIOBase, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file = file
        self._rows = csv.writer(file, lineterminator="\r\n")
        self._number = 0
        with errors_named(path):
            # Excel recognizes a CSV in UTF-8 by its byte order mark.
            file.write("\ufeff")
            self._rows.writerow(COLUMNS)

    def write(self, document: Document) -> None:
        """Writes the rows of a document."""
        self._number += 1
        rows = [[guard(cell, formulas=True) for cell in row] for row in rows_of(document, self._number)]
        with errors_named(self._path):
            self._rows.writerows(rows)

    def finish(self) -> None:
        """Flushes the file."""
        with errors_named(self._path):
            self._file.flush()


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[_CsvWriter]:
    with atomic_writer(path) as file:
        yield _CsvWriter(file, path)


FORMAT = Format(
    name="csv",
    summary="CSV or TSV with a text column and, where there are mentions, a row for each of them",
    extension="csv",
    unit="code points, exclusive ends",
    holds=HELD,
    read=_read,
    options=("text_column", "id_column"),
    readings=READINGS,
    open=_open,
)
