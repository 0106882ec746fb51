"""XLSX workbooks: reads and writes the first sheet row by row, in constant memory."""

import array
import contextlib
import os
import re
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from emr_ner_tf.data.atomic_io import STANDARD, atomic_writer, errors_named
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source
from emr_ner_tf.data.formats.tables import COLUMNS, HELD, READINGS, Row, guard, raw_of, read_table, rows_of
from emr_ner_tf.data.lines import opened, read_error
from emr_ner_tf.data.record_error import RecordError, truncate
from emr_ner_tf.errors import UserError

_MAX_CELL = 32_767  # maximum number of UTF-16 units in a cell of Excel
_MAX_ROWS = 1_048_576
# XML cannot represent these characters and changes a carriage return; the format writes them as _xHHHH_.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def _read(source: Source) -> Iterator[Record]:
    return read_table(_rows(source), source)


def _rows(source: Source) -> Iterator[Row]:
    with _errors(source), contextlib.ExitStack() as stack:
        reader = _reader(source, stack)
        first, *others = _sheets(reader, source.name)
        for number, cells, problem in _cells(reader, first):
            values = [""] * max((cell["column"] for cell in cells), default=0)
            for cell in cells:
                values[cell["column"] - 1] = _string(cell["value"])
            yield Row(number, raw_of(values), values, problem)
        source.losses.add("sheets after the first", sum(_has_values(reader, each) for each in others))


def _cells(reader: Any, sheet: str) -> Iterator[tuple[int, list[dict[str, Any]], RecordError | None]]:
    """Yields the number of each row of a sheet, its cells, and the reason if the row cannot be read.

    It replaces `parse` of openpyxl's parser, which keeps an element and the height of every row in memory.
    """
    from openpyxl.worksheet._reader import ROW_TAG, WorkSheetParser
    from openpyxl.xml.functions import iterparse

    book = reader.wb
    formats = {"date_formats": book._date_formats, "timedelta_formats": book._timedelta_formats}
    with reader.archive.open(sheet) as part:
        parser = WorkSheetParser(part, reader.shared_strings, data_only=True, epoch=book.epoch, **formats)
        parents: list[Any] = []
        for event, node in iterparse(part, events=("start", "end")):
            if event == "start":
                parents.append(node)
                continue
            parents.pop()
            if node.tag == ROW_TAG:
                number, cells, undated = _parsed(parser, node)
                yield number, cells, _problem(sum(map(_is_uncomputed, node)), undated)
                parser.row_dimensions.clear()
                parents[-1].remove(node)


def _parsed(parser: Any, node: Any) -> tuple[int, list[dict[str, Any]], list[str]]:
    """Returns the number of a row, its cells, and the columns whose dates are outside the range of dates."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet._reader import WorkSheetParser

    undated: list[str] = []

    def parse_cell(element: Any) -> dict[str, Any]:
        kind = element.get("t")
        try:
            cell = WorkSheetParser.parse_cell(parser, element)
        except ValueError:
            # The cell has a date as text; openpyxl has already set the column.
            if kind != "d":
                raise
            cell = {"column": parser.col_counter, "value": None, "data_type": "e"}
        if cell["data_type"] == "e" != kind:
            undated.append(get_column_letter(cell["column"]))
        return cell

    parser.parse_cell = parse_cell
    # openpyxl would log a warning with the cell's value for an invalid date.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        number, cells = parser.parse_row(node)
    return number, cells, undated


def _problem(uncomputed: int, undated: Sequence[str]) -> RecordError | None:
    if uncomputed:
        return RecordError(
            "the row has formulas without a computed value",
            value=str(uncomputed),
            remedy="open the workbook in a spreadsheet program and save it there",
        )
    if undated:
        return RecordError(
            "the row has dates outside the range of Excel's dates, in column",
            value=truncate(", ".join(undated)),
            remedy="correct them, or format the cells as numbers or text",
        )
    return None


def _is_uncomputed(cell: Any) -> bool:
    """Returns whether a cell is a formula that no spreadsheet program has computed; a computed string may be empty."""
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG

    is_formula = cell.find(FORMULA_TAG) is not None
    return is_formula and cell.get("t") != "str" and not cell.findtext(VALUE_TAG)


@contextlib.contextmanager
def _errors(source: Source) -> Iterator[None]:
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise _damaged(source, error) from None
        raise read_error(source.path, error) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        InvalidFileException,
        LookupError,
        ValueError,
        SyntaxError,
    ) as error:
        # XML that is not well-formed is a SyntaxError.
        raise _damaged(source, error) from None


def _damaged(source: Source, error: Exception) -> RecordError:
    value = type(error).__name__
    return RecordError("cannot be read as an XLSX workbook", value=value, path=source.name)


def _sheets(reader: Any, name: str) -> list[str]:
    """Returns the names of the sheets with cells within the archive."""
    parts = [part for _, part in reader.parser.find_sheets() if part.target in reader.valid_files]
    sheets = [part.target for part in parts if "chartsheet" not in part.Type]
    if not sheets:
        raise UserError(f"{name}: the workbook has no sheet with cells")
    return sheets


def _has_values(reader: Any, sheet: str) -> bool:
    from openpyxl.worksheet._reader import INLINE_STRING, VALUE_TAG
    from openpyxl.xml.functions import iterparse

    with reader.archive.open(sheet) as part:
        for _, node in iterparse(part):
            if node.tag in (VALUE_TAG, INLINE_STRING):
                return True
            node.clear()
    return False


def _reader(source: Source, stack: contextlib.ExitStack) -> Any:
    """Returns openpyxl's reader of a workbook whose sheets are still to be read."""
    from openpyxl.reader import excel

    file = stack.enter_context(opened(source.path))
    if source.path == STANDARD:
        # A ZIP archive has its directory at the end.
        copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(file, copy)
        file = copy
    reader = excel.ExcelReader(file, read_only=True, data_only=True)
    strings = stack.enter_context(_Strings())
    # openpyxl would keep the table of strings in memory, and read a sheet that does not state its size to the end.
    reader.read_strings = lambda: strings.fill(reader)
    reader.read_worksheets = lambda: None
    with warnings.catch_warnings():
        # Warnings of openpyxl about parts that it ignores, such as styles and validation.
        warnings.simplefilter("ignore")
        reader.read()
    stack.callback(reader.archive.close)
    return reader


class _Strings:
    """The table of strings of a workbook, in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._starts = array.array("Q", [0])

    def __enter__(self) -> "_Strings":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, reader: Any) -> None:
        """Copies the table; cells then look up their strings by number."""
        from openpyxl.cell.text import Text
        from openpyxl.packaging.manifest import Manifest
        from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
        from openpyxl.xml.functions import iterparse

        manifest: Manifest = reader.package
        part = manifest.find(SHARED_STRINGS)
        if part is not None:
            with reader.archive.open(part.PartName[1:]) as table:
                parents: list[Any] = []
                for event, node in iterparse(table, events=("start", "end")):
                    if event == "start":
                        parents = parents or [node]
                    elif node.tag == f"{{{SHEET_MAIN_NS}}}si":
                        self._file.write(Text.from_tree(node).content.encode("utf-8", "surrogatepass"))
                        self._starts.append(self._file.tell())
                        parents[0].clear()
        reader.shared_strings = self

    def __getitem__(self, number: int) -> str:
        start, end = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8", "surrogatepass")


def _string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str):
        return str(value)
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value) if "_x" in value else value


class _XlsxWriter:
    """Writes rows to the one sheet of a workbook."""

    def __init__(self, file: IO[bytes], path: str | os.PathLike[str]) -> None:
        import openpyxl

        self._path = path
        self._file = file
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet = self._book.create_sheet("records")
        self._rows = 1
        self._number = 0
        self._sheet.freeze_panes = "A2"
        self._sheet.append([self._cell(name) for name in COLUMNS])

    def write(self, document: Document) -> None:
        """Writes the rows of a document.

        Raises:
            RecordError: a cell or the sheet would be larger than Excel allows.
        """
        # A string in a workbook is never a formula.
        rows = [[guard(cell, formulas=False) for cell in row] for row in rows_of(document, self._number + 1)]
        for name, value in zip(COLUMNS, rows[0], strict=True):
            size = (
                len(_escape(value).encode("utf-16-le", "surrogatepass")) // 2 if isinstance(value, str) else 0
            )
            if size > _MAX_CELL:
                problem = f"is longer than a cell of Excel ({_MAX_CELL} characters); write csv instead"
                raise RecordError(problem, key=name, value=str(size))
        if self._rows + len(rows) > _MAX_ROWS:
            raise RecordError(f"a sheet of Excel has at most {_MAX_ROWS} rows; write csv instead")
        self._number += 1
        self._rows += len(rows)
        with errors_named(self._path):
            for row in rows:
                self._sheet.append([self._cell(value) for value in row])

    def finish(self) -> None:
        """Packs the workbook into the file."""
        with errors_named(self._path):
            self._book.save(self._file)
            self._file.flush()

    def discard(self) -> None:
        """Ends the sheet's generator, whose temporary file is removed with it."""
        with contextlib.suppress(Exception):
            self._sheet.close()

    def _cell(self, value: str | int | float) -> Any:
        from openpyxl.cell import WriteOnlyCell

        if not isinstance(value, str):
            return value
        cell = WriteOnlyCell(self._sheet)
        # Not set by `value`, which interprets a string that begins with = as a formula.
        cell._value, cell.data_type = _escape(value), "s"
        return cell if value else None


def _escape(text: str) -> str:
    return _ILLEGAL.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[_XlsxWriter]:
    with atomic_writer(path, "wb") as file:
        writer = _XlsxWriter(file, path)
        try:
            yield writer
        except BaseException:
            writer.discard()
            raise


FORMAT = Format(
    name="xlsx",
    summary="XLSX with the columns of csv; the first sheet",
    extension="xlsx",
    unit="code points, exclusive ends",
    holds=HELD,
    read=_read,
    options=("text_column", "id_column"),
    readings=READINGS,
    open=_open,
)
