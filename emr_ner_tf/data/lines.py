"""Reads lines of a file as bytes with their positions, and converts between JSON values and text."""

import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from emr_ner_tf.data.atomic_io import STANDARD, is_stream
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.errors import UserError

BOM = b"\xef\xbb\xbf"
# The rule in messages about a line with invalid bytes.
NOT_UTF8 = "the line is not valid UTF-8"
# These are legal inside a JSON string, but some programs, such as str.splitlines, would end a line there.
_LINE_BREAKS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: number of the line, counted from 1.
        offset: offset of its first byte in the file.
        raw: its bytes without the line feed.
    """

    number: int
    offset: int
    raw: bytes


def source_name(path: str | os.PathLike[str]) -> str:
    """Returns the name of an input in messages and ids."""
    path = os.fspath(path)
    return "<stdin>" if path == STANDARD else path


def check_rereadable(path: str | os.PathLike[str], why: str) -> None:
    """Raises an error for an input that can only be read once.

    Args:
        path: the input.
        why: reason why it is read twice.

    Raises:
        UserError: the input is standard input, a pipe or a device.
    """
    if is_stream(path) and not os.path.isdir(path):
        raise UserError(f"{source_name(path)}: must be a regular file, since {why}; save it to a file first")


def read_lines(path: str | os.PathLike[str]) -> Iterator[Line]:
    """Yields the lines of a file, or of standard input for `-`; only a line feed ends one.

    A byte order mark at the beginning of the file is removed.

    Raises:
        RecordError: the file cannot be read.
    """
    offset = 0
    try:
        with opened(path) as file:
            for number, raw in enumerate(file, start=1):
                line = Line(number, offset, raw.removesuffix(b"\n"))
                yield without_mark(line) if number == 1 else line
                offset += len(raw)
    except OSError as error:
        raise read_error(path, error) from None


def read_error(path: str | os.PathLike[str], error: OSError) -> RecordError:
    """Returns the error for an input that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return RecordError(f"no such file{_renamed(path)}", path=os.fspath(path))
    remedy = None
    if isinstance(error, IsADirectoryError):
        remedy = "name a file in it, or the format of a folder of records, such as --format=brat"
    return RecordError("cannot be read", value=error.strerror, path=source_name(path), remedy=remedy)


def without_mark(line: Line) -> Line:
    """Returns a line without the byte order mark that it may begin with."""
    if not line.raw.startswith(BOM):
        return line
    return Line(line.number, line.offset + len(BOM), line.raw.removeprefix(BOM))


def _renamed(path: str | os.PathLike[str]) -> str:
    """Names the file that `data split` now writes instead of a missing `held.jsonl`, if it exists."""
    missing = pathlib.Path(os.fspath(path))
    renamed = missing.with_name(f"heldout{missing.suffix}")
    return f"; data split now writes {renamed}" if missing.stem == "held" and renamed.exists() else ""


def opened(path: str | os.PathLike[str]) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Opens an input; `-` is standard input, which stays open."""
    if os.fspath(path) == STANDARD:
        if sys.stdin is None:
            raise UserError("<stdin>: standard input is closed; name a file, or send records to the command")
        return contextlib.nullcontext(sys.stdin.buffer)
    return open(path, "rb")


def decoded(line: Line) -> str:
    """Decodes a line without its carriage return.

    Raises:
        RecordError: it is not valid UTF-8.
    """
    try:
        return line.raw.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
        value = f"0x{line.raw[at]:02x} at byte {at} of the line, {line.offset + at} of the file, from 0"
        raise RecordError(NOT_UTF8, value=value, line=line.number) from None


def decoded_columns(line: Line) -> str:
    """Decodes a line of columns, whose first character may be a carriage return.

    Raises:
        RecordError: it is not valid UTF-8, or has another carriage return, which was the end of a line.
    """
    text = decoded(line)
    at = text.find("\r", 1)
    if at > 0:
        raise RecordError(
            "the line holds a carriage return, and lines end in LF or CR LF",
            value=f"character {at}, from 0",
            line=line.number,
            remedy="replace those that end lines: tr '\\r' '\\n' < FILE > COPY",
        )
    return text


def json_line(value: Any) -> str:
    """Returns a JSON value on one line, which UTF-8 can encode and no reader of lines splits."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only represent escaped
        return json.dumps(value)
    for character, escaped in _LINE_BREAKS.items():
        line = line.replace(character, escaped)
    return line


def indented_json(value: Any) -> str:
    """Returns a JSON value with indentation and a line feed at its end, which UTF-8 can encode."""
    # A value may be the name of a file, which may not be UTF-8.
    return escape_surrogates(json.dumps(value, ensure_ascii=False, indent=2)) + "\n"


def parsed_object(text: str) -> dict[str, Any]:
    """Parses a JSON object.

    Raises:
        RecordError: it is not JSON, not an object, or has a key twice, so that a value would be lost.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        # Some messages end with a part of the line; the part before the colon never contains text of the record.
        why = error.msg.split(": ")[0].removesuffix(" at")
        raise RecordError("the line is not JSON", value=f"{why} at column {error.pos + 1}") from None
    except RecursionError:
        raise RecordError("the line is not JSON", value="nested too deeply") from None
    except ValueError:
        raise RecordError("the line is not JSON", value="a number has too many digits") from None
    if not isinstance(value, dict):
        raise RecordError("the line does not hold a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RecordError("an object of the line has a key twice")
    return value
