"""Records in the rows of a table (CSV, XLSX): one text per row, or one mention per row.

A table that has the columns `start`, `end` and `label` has mentions: consecutive rows with the same `record` (or,
without that column, the same id; without either, the same text) are one record. Columns are found by their names in
the first row.

A spreadsheet program interprets a cell of a CSV that begins with `=`, `+`, `-` or `@` as a formula. Such a cell is
written with an apostrophe before it, and so is one that begins with apostrophes and then one of these; the apostrophe
is removed when a table with the column `record` is read.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.offsets import CODE_POINTS, readings
from emr_ner_tf.data.formats.records import Mention, Record, Source
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError, describe_value
from emr_ner_tf.errors import UserError

COLUMNS = ("record", "id", "text", "start", "end", "label", "mention", "score")
READINGS = readings(fixed=("crlf",))
HELD = frozenset(("ids", "scores", "overlapping mentions", "mentions", "records without text"))
TEXT_NAMES = ("text", "originaltext", "content", "文本", "原文", "正文", "内容")
ID_NAMES = ("id", "编号", "序号")
_MENTION_COLUMNS = ("start", "end", "label")
_OWN = ("record", *_MENTION_COLUMNS, "mention", "score")
_FORMULA = re.compile("[=+@＝＋－＠\t\r\n-]")
_GUARDED = re.compile(f"'+{_FORMULA.pattern}")
# Enough digits for any text, and fewer than the limit of `int`.
_OFFSET = re.compile(r"\s*(\d{1,18})(?:\.0)?\s*")


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: line or number of the row, counted from 1.
        raw: bytes of the row, for the rejects file.
        cells: values of the row as strings, "" for an empty cell.
        problem: reason why the row cannot be read; None if it can.
    """

    line: int
    raw: bytes
    cells: Sequence[str]
    problem: RecordError | None = None


def read_table(rows: Iterator[Row], source: Source) -> Iterator[Record]:
    """Yields the records of rows; the first row has the names of the columns."""
    first = next((row for row in rows if any(row.cells) or row.problem), None)
    if first is None:
        return
    if first.problem is not None:
        yield Record(first.line, first.raw, error=first.problem)
        return
    table = _Table(first, source)
    group: list[Row] = []
    for row in rows:
        if row.problem is None and not any(cell.strip() for cell in row.cells):
            continue
        if group and not table.continues(group, row):
            yield table.record(group)
            group = []
        group.append(row)
    if group:
        yield table.record(group)


class _Table:
    """The columns of a table, by name."""

    def __init__(self, header: Row, source: Source) -> None:
        self._source = source
        self._names = [name.strip() for name in header.cells]
        lower = [name.lower() for name in self._names]
        options = source.options
        self._text = self._find(options.text_column, TEXT_NAMES, lower, "text_column", header)
        self._id = self._find(options.id_column, ID_NAMES, lower, "id_column", header)
        self._has_mentions = all(name in lower for name in _MENTION_COLUMNS)
        self._own = {
            name: self._only(lower, name, header) for name in _OWN if self._has_mentions and name in lower
        }
        self._key = self._own.get("record", self._id)
        # Hashes of the key and the text of each record with mentions.
        self._seen: set[int] = set()
        self._is_guarded = "record" in self._own
        if source.require_entities and not self._has_mentions:
            # Texts that are not annotated are not records without mentions.
            raise RecordError(
                f"the table has no columns {', '.join(_MENTION_COLUMNS)}, and annotated records are needed",
                path=source.name,
                line=header.line,
                remedy="in `data`, --noannotated reads texts alone",
            )

    def _find(
        self, asked: str, known: Sequence[str], lower: Sequence[str], flag: str, header: Row
    ) -> int | None:
        if asked:
            if asked not in self._names:
                raise UserError(
                    f"{self._source.name}:{header.line}: none of the {len(self._names)} columns of the first row is "
                    f"named {asked!r}, which --{flag} asks for"
                )
            return self._only(self._names, asked, header)
        found = next((self._only(lower, name, header) for name in known if name in lower), None)
        if found is None and flag == "text_column":
            raise UserError(
                f"{self._source.name}:{header.line}: none of the {len(self._names)} columns of the first row is named "
                f"{', '.join(known)}; name the column of the texts: --text_column=NAME"
            )
        return found

    def _only(self, names: Sequence[str], name: str, header: Row) -> int:
        """Returns the column with a name that only one column may have."""
        if names.count(name) > 1:
            raise UserError(
                f"{self._source.name}:{header.line}: {names.count(name)} columns of the first row are named {name!r}, "
                "and one is read; rename the others"
            )
        return names.index(name)

    def continues(self, group: Sequence[Row], row: Row) -> bool:
        """Returns whether a row has a further mention of the previous record."""
        if not self._has_mentions or row.problem is not None or group[-1].problem is not None:
            return False
        before = group[0]
        key, text = _cell(row, self._key), _cell(row, self._text)
        if self._key is not None and key == text == "":
            return True
        same = key == _cell(before, self._key) and text in ("", _cell(before, self._text))
        # Without an id, only mentions tell that rows with the same text are one record.
        return same and (key != "" or (self._has_mention(row) and self._has_mention(before)))

    def _has_mention(self, row: Row) -> bool:
        return any(_cell(row, self._own[name]) for name in _MENTION_COLUMNS)

    def record(self, rows: Sequence[Row]) -> Record:
        """Creates a record from the rows of one text."""
        first = rows[0]
        record = Record(first.line, b"\n".join(row.raw for row in rows), self._value(first, self._text))
        try:
            for row in rows:
                if row.problem is not None:
                    raise row.problem
                if len(row.cells) > len(self._names) and any(row.cells[len(self._names) :]):
                    problem = f"must have at most {len(self._names)} columns, as the first row, got"
                    raise RecordError(problem, value=str(len(row.cells)), line=row.line)
            self._check_new(rows)
            self._fill(record, rows)
        except RecordError as error:
            record.error = error
        return record

    def _check_new(self, rows: Sequence[Row]) -> None:
        """Raises an error for the second part of a record, as in a table that is sorted by label."""
        key = _cell(rows[0], self._key)
        if self._key is None or not key or not self._has_mentions or not any(map(self._has_mention, rows)):
            return
        place = hash((key, _cell(rows[0], self._text)))
        if place in self._seen:
            raise RecordError(
                "an earlier record has this value and the same text, and a record must be in successive rows",
                key=self._names[self._key],
                value=describe_value(key),
                remedy="sort the rows by this column, or give each record its own value",
            )
        self._seen.add(place)

    def _fill(self, record: Record, rows: Sequence[Row]) -> None:
        losses = self._source.losses
        if self._id is not None and _cell(rows[0], self._id):
            record.extra["id"] = self._value(rows[0], self._id)
        for row in rows if self._has_mentions else ():
            values = {name: self._value(row, column) for name, column in self._own.items()}
            if any(values[name] for name in _MENTION_COLUMNS):
                record.mentions.append(_mention(values, len(record.mentions) + 1, row.line))
            else:
                lost = sum(bool(values.get(name)) for name in ("mention", "score"))
                losses.add("cells of `mention` or `score` in rows without offsets and label", lost)
        for column, name in enumerate(self._names):
            if column in (self._text, *self._own.values()):
                continue
            cells = [_cell(row, column) for row in rows]
            if not name:
                losses.add("cells of columns without a name", sum(map(bool, cells)))
            elif column != self._id and name in record.extra:
                losses.add("cells of columns that have the name of another", sum(map(bool, cells)))
            else:
                if column != self._id:
                    record.extra[name] = self._value(rows[0], column)
                differing = sum(cell not in ("", cells[0]) for cell in cells)
                losses.add("cells that differ from those of their record's first row", differing)

    def _value(self, row: Row, column: int | None) -> str:
        value = _cell(row, column)
        return value[1:] if self._is_guarded and _GUARDED.match(value) else value


def _mention(values: dict[str, str], number: int, line: int) -> Mention:
    offsets: list[int] = []
    for name in ("start", "end"):
        match = _OFFSET.fullmatch(values[name])
        if match is None:
            problem, value = "is not a whole number of at most 18 digits", describe_value(values[name])
            raise RecordError(problem, key=name, value=value, entity=number, line=line)
        offsets.append(int(match[1]))
    start, end = offsets
    score = values.get("score", "")
    try:
        extra = {"score": float(score)} if score else {}
    except ValueError:
        extra = {"score": math.nan}
    if not all(map(math.isfinite, extra.values())):
        value = describe_value(score)
        raise RecordError("is not a finite number", key="score", value=value, entity=number, line=line)
    return Mention(start, end, values["label"], values.get("mention") or None, extra, line)


def _cell(row: Row, column: int | None) -> str:
    return row.cells[column] if column is not None and column < len(row.cells) else ""


def rows_of(document: Document, number: int) -> Iterable[list[str | int | float]]:
    """Returns the rows of a document: one for each mention, or one without a mention.

    Args:
        document: the document to write.
        number: number of the record in the table, counted from 1.
    """
    identifier = document.extra.get("id")
    start = [number, "" if identifier is None else str(identifier), document.text]
    offsets = offsets_of(document, CODE_POINTS)
    rows = [
        [*start, *offsets(entity), entity.label, entity.text, "" if entity.score is None else entity.score]
        for entity in document.entities
    ]
    return rows or [[*start, "", "", "", "", ""]]


def guard(value: str | int | float, *, formulas: bool) -> str | int | float:
    """Returns a cell in the form in which it is written.

    Args:
        value: the cell.
        formulas: whether the program would interpret strings as formulas.
    """
    if not isinstance(value, str) or not (_GUARDED.match(value) or (formulas and _FORMULA.match(value))):
        return value
    return f"'{value}"


def raw_of(cells: Sequence[str]) -> bytes:
    """Returns cells as bytes for the rejects file, for files without lines."""
    return json_line(list(cells)).encode("utf-8")
