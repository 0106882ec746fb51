"""CSV and TSV, as spreadsheets write them and open them: UTF-8 with a byte order mark on the way out."""

import contextlib
import csv
import io
import os
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


def _read(source: Source) -> Iterator[Record]:
    return read_table(_rows(source), source)


def _rows(source: Source) -> Iterator[Row]:
    feed = _Feed(source.lines())
    first = next(feed, None)
    if first is None:
        return
    feed.back(first)
    csv.field_size_limit(_MAX_FIELD)
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # Its message may hold text.
            line, raw = feed.taken()
            problem = RecordError("the row is not CSV: a quotation mark is not closed or not doubled")
            yield Row(line, raw, (), problem)
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        except RecordError as error:
            line, raw = feed.taken()
            yield Row(line, raw, (), error)
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        line, raw = feed.taken()
        yield Row(line, raw, cells)


class _Feed:
    """The lines of a file for `csv.reader`, and which of them a row was made of."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._taken: list[Line] = []
        self._back: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._back:
            return self._back.pop()
        line = next(self._lines)
        self._taken.append(line)
        # Its carriage return stays: within quotation marks it is text.
        return decoded(line._replace(raw=line.raw + b"\n"))

    def back(self, text: str) -> None:
        """Gives a line back."""
        self._back.append(text)

    def taken(self) -> tuple[int, bytes]:
        """The first line and the bytes of the row that was read last."""
        taken, self._taken = self._taken, []
        return (taken[0].number if taken else 0), b"\n".join(line.raw for line in taken)


class _CsvWriter:
    """Writes rows."""

    def __init__(self, file: io.TextIOBase, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file = file
        self._rows = csv.writer(file, lineterminator="\r\n")
        self._number = 0
        with errors_named(path):
            # Excel takes a CSV for UTF-8 by its mark.
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
    readings=READINGS,
    open=_open,
)
