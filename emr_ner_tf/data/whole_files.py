"""Reads the text files of a model; a file that is missing, empty, cut off or malformed is an error that names it."""

import json
import pathlib
from typing import Any

from emr_ner_tf.errors import UserError

COPY_AGAIN = "copy it again from where it is whole"


def damaged(path: pathlib.Path, problem: str) -> UserError:
    """Returns the error for a damaged file."""
    return UserError(f"{path}: {problem}; {COPY_AGAIN}")


def read_content(path: pathlib.Path) -> bytes:
    """Reads a file.

    Raises:
        UserError: it is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file, but the model needs it; copy it here, or name another directory"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise damaged(path, "the file is empty")
    return content


def read_text(path: pathlib.Path) -> str:
    """Reads UTF-8.

    Raises:
        UserError: as `read_content`, or the file is not UTF-8.
    """
    try:
        return read_content(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, f"not UTF-8 at byte {error.start}") from error


def read_whole_lines(path: pathlib.Path) -> list[str]:
    """Reads lines, each of which must end with a line feed.

    Raises:
        UserError: as `read_text`, or the last line has no line feed.
    """
    lines = read_text(path).split("\n")
    if lines.pop():
        raise damaged(path, "its last line has no end")
    return lines


def read_object(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UserError: as `read_text`, or the file is not a JSON object.
    """
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise damaged(path, "not JSON") from error
    if not isinstance(value, dict):
        raise damaged(path, f"must be a JSON object, got {type(value).__name__}")
    return value
