"""Files that were dropped on the page as records, and records as files to download."""

import base64
import binascii
import dataclasses
import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import grpc

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.table import AUTO, FORMATS, WRITE_FORMATS
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.rejects import CountedRejects
from emr_ner_tf.data.texts import check_text
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.server.errors import RequestError, invalid_argument

MAX_RECORDS = 1000
# File systems allow 255 bytes, and some readers look for a longer name beside a file. One Chinese character is three.
_MAX_NAME_BYTES = 200
# Remedies name flags of commands; the page has controls for some of them.
_CONTROLS = {
    "--format=": "Format of the files: ",
    "--encoding=": "Encoding of the files: ",
    "--offset_unit=": "Unit of the offsets in the files: ",
}


def read_files(document: dict[str, Any]) -> dict[str, Any]:
    """Reads the records of files.

    Args:
        document: `files`, a list of `name` and `content` (base64); `format`, a name of the table of formats or
            "auto"; `encoding` and `offset_unit` as in `FormatOptions`.

    Returns:
        `documents`, at most `MAX_RECORDS`, each with `id`, `text`, `entities` as `Document.to_dict` has them, and
            `extra`, the record's other keys; `format`; `problems`, messages about the first records that are left out;
            `left_out`, the number of all of those; `more`, whether there are further records.

    Raises:
        RequestError: the request is malformed, or two files have the same name.
        UserError: the files cannot be read in this format.
    """
    files, format = document.get("files"), document.get("format", AUTO)
    if not isinstance(files, list) or not files or not isinstance(format, str):
        raise invalid_argument("files must be a list that is not empty, and format a string")
    options = FormatOptions(
        encoding=str(document.get("encoding") or "utf-8"), offset_unit=str(document.get("offset_unit") or "")
    )
    problems = CountedRejects()
    with tempfile.TemporaryDirectory() as folder:
        paths = [_save(pathlib.Path(folder), each) for each in files]
        try:
            inputs, format = _inputs(pathlib.Path(folder), paths, format, options.encoding)
            # The form of the page has one setting for the files of all formats.
            options = FORMATS[format].own_options(options) if format in FORMATS else options
            documents = itertools.chain.from_iterable(
                read_documents(
                    path,
                    format=format,
                    overlaps="keep",
                    rejects=problems,
                    require_entities=False,
                    options=options,
                )
                for path in inputs
            )
            found = list(itertools.islice(documents, MAX_RECORDS + 1))
        except (UserError, OSError) as error:
            message = describe_os_error(error) if isinstance(error, OSError) else str(error)
            raise UserError(_on_page(message, folder)) from None
        return {
            "documents": [_to_dict(each, folder) for each in found[:MAX_RECORDS]],
            "format": format,
            "problems": [_on_page(str(each), folder) for each in problems.errors],
            "left_out": problems.count,
            "more": len(found) > MAX_RECORDS,
        }


def write_records(document: dict[str, Any]) -> bytes:
    """Writes records as one file.

    Args:
        document: `documents` as `read_files` returns them; `format`, a format that is one file.

    Raises:
        RequestError: the request is malformed.
        UserError: the format cannot hold a record, or a string is not one that UTF-8 can encode.
    """
    format = document.get("format")
    allowed = [name for name in WRITE_FORMATS if not FORMATS[name].folder]
    if format not in allowed:
        raise invalid_argument(f"format must be one of {', '.join(allowed)}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "records"
        try:
            write_documents(path, _documents(document), str(format))
        except UserError as error:
            raise UserError(_without_folder(str(error), folder)) from None
        return path.read_bytes()


def _save(folder: pathlib.Path, file: Any) -> pathlib.Path:
    try:
        name, content = file["name"], base64.b64decode(file["content"], validate=True)
        name = os.path.basename(name.replace("\0", "").replace("\\", "/"))
        # Readers recognize some formats by the suffixes of file names.
        name = name.encode("utf-8")[-_MAX_NAME_BYTES:].decode("utf-8", "ignore")
        name = "file" if name in ("", ".", "..") else name
    except (TypeError, KeyError, AttributeError, UnicodeError, binascii.Error, ValueError):
        raise invalid_argument("a file must have a name and its content in base64") from None
    try:
        with open(folder / name, "xb") as written:
            written.write(content)
    except FileExistsError:
        raise invalid_argument(
            f"{name}: files that are read together must have different names; read these one after the other, or "
            "rename one of them"
        ) from None
    except OSError as error:
        message = f"the server cannot store the files while it reads them: {error.strerror}"
        raise RequestError(grpc.StatusCode.INTERNAL, message) from None
    return folder / name


def _inputs(
    folder: pathlib.Path, paths: list[pathlib.Path], format: str, encoding: str
) -> tuple[list[pathlib.Path], str]:
    """Returns the inputs and their format: the folder if a record has several files, otherwise each file."""
    if format == AUTO:
        found = detect(folder, encoding)
        if found is not None:
            return [folder], found.format
        first = detect(paths[0], encoding)
        return paths, first.format if first and len(paths) == 1 else AUTO
    is_folder = format in FORMATS and FORMATS[format].folder
    return ([folder] if is_folder else paths), format


def _documents(document: dict[str, Any]) -> Iterator[Document]:
    values = document.get("documents")
    if not isinstance(values, list):
        raise invalid_argument("documents must be a list")
    for number, value in enumerate(values):
        try:
            found = Document.from_dict(value)
            sound = all(
                type(one.start) is int and type(one.end) is int and _is_score(one.score)
                for one in found.entities
            )
        except (TypeError, KeyError, AttributeError):
            sound = False
        if not sound:
            raise invalid_argument(
                f"document {number}: must have id, text and entities with start, end and label, and with score a "
                "number from 0 to 1 or null"
            )
        check_text(found.id, f"document {number}: id")
        check_text(found.text, f"document {number}: text")
        for index, entity in enumerate(found.entities, start=1):
            check_text(entity.label, f"document {number}: entity {index}: label")
        extra = value.get("extra", {})
        if not isinstance(extra, dict):
            raise invalid_argument(f"document {number}: extra must be an object")
        if isinstance(extra.get("id"), str):
            check_text(extra["id"], f"document {number}: extra: id")
        yield dataclasses.replace(found, extra={"id": found.id, **extra})


def _is_score(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)


def _to_dict(document: Document, folder: str) -> dict[str, Any]:
    # The record's other keys are apart: one of them may be `text`.
    values = Document(_without_folder(document.id, folder), document.text, document.entities).to_dict()
    return values | {"extra": dict(document.extra)}


def _on_page(message: str, folder: str) -> str:
    for flag, control in _CONTROLS.items():
        message = message.replace(flag, control)
    return _without_folder(message, folder)


def _without_folder(text: str, folder: str) -> str:
    return text.replace(f"{folder}{os.sep}", "").replace(folder, "files")
