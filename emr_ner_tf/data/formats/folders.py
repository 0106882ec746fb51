"""Folders with two files for each record: finds the files in order, and writes a folder completely or not at all."""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator

from emr_ner_tf.data.atomic_io import errors_named, temporary_path
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.records import Mention, Record, Source
from emr_ner_tf.data.formats.sources import invalid_encoding
from emr_ner_tf.data.lines import STANDARD, read_error
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.validation import lone_surrogate
from emr_ner_tf.errors import UserError

# At most 79 characters of three bytes: a file name has 255 bytes, and the longest suffix has 16.
_SAFE = re.compile(r"[A-Za-z0-9\u3400-\u9fff][A-Za-z0-9._\u3400-\u9fff-]{0,78}")


def files_of(source: Source, *suffixes: str) -> list[list[pathlib.Path]]:
    """Returns, for each of `suffixes`, the files of a folder and its subfolders whose names end with it.

    Links to folders are counted and not followed, since they may lead back.

    Args:
        source: a folder, or one file, which is then the only one with the first suffix.
        suffixes: suffixes of names.

    Raises:
        RecordError: the input cannot be read.
    """
    if source.path == STANDARD:
        raise UserError(
            "<stdin>: the format has several files for each record; name the folder that contains them"
        )
    path = pathlib.Path(source.path)
    found: list[list[pathlib.Path]] = [[] for _ in suffixes]
    if not source.is_folder:
        try:
            path.stat()
        except OSError as error:
            raise read_error(path, error) from None
        found[0].append(path)
        return found
    for folder, folders, names in walk(path):
        links = sum(os.path.islink(os.path.join(folder, name)) for name in folders)
        source.losses.add("links to folders", links)
        for suffix, files in zip(suffixes, found, strict=True):
            files += (
                pathlib.Path(folder, name)
                for name in names
                if name.endswith(suffix) and not name.startswith(".")
            )
    return [sorted(files) for files in found]


def walk(path: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields each folder under `path`, itself included, with its folders and the names of its files.

    Raises:
        RecordError: while iterating: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise read_error(error.filename, error) from None

    return os.walk(os.fspath(path), onerror=refuse)


def read_pairs(
    source: Source,
    pairs: Iterable[tuple[str, pathlib.Path, pathlib.Path]],
    mentions: Callable[[pathlib.Path], Iterator[Mention]],
) -> Iterator[Record]:
    """Yields records that have two files each.

    Args:
        source: the input.
        pairs: for each record, its id, the file of its text and that of its mentions.
        mentions: reads a file of mentions.
    """
    for name, text, annotations in pairs:
        record = Record(1, b"", path=os.fspath(text), extra={"id": name})
        try:
            check_file_name(name)
            record.text = read_text_file(text, source.options.encoding)
            record.raw = record.text.encode("utf-8", "surrogatepass")
            record.path = os.fspath(annotations)
            # Unlike the method of a path, this function raises no error for a name that is too long.
            if os.path.exists(annotations) or source.require_entities:
                record.mentions = list(mentions(annotations))
        except RecordError as error:
            record.error, record.line = error, error.line or 0
        yield record


def check_file_name(name: str) -> None:
    """Raises an error for the name of a file that is the id of a record and is not UTF-8."""
    if lone_surrogate(name) is not None:
        raise RecordError(
            "the name of the file is the id of the record, and is not valid UTF-8",
            remedy="rename the file; convmv -f GB18030 -t UTF-8 converts the names of a folder",
        )


def read_text_file(path: pathlib.Path, encoding: str) -> str:
    """Reads a text file without changing line ends; a byte order mark is removed.

    Raises:
        RecordError: the file cannot be read or has another encoding; path and line are set.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise read_error(path, error) from None
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        value = f"0x{raw[start : start + 1].hex()} at byte {start}, from 0"
        line = raw[:start].count(b"\n") + 1
        raise invalid_encoding(encoding, raw, value=value, path=os.fspath(path), line=line) from None


class Names:
    """Names of files for documents: the id if it is a valid name, otherwise the number of the document."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._number = 0

    def of(self, document: Document) -> tuple[str, bool]:
        """Returns a name that no earlier document has, and whether it is the document's id."""
        self._number += 1
        identifier = document.extra.get("id")
        name = "" if identifier is None else str(identifier)
        is_id = _SAFE.fullmatch(name) is not None and name.lower() not in self._taken
        if not is_id:
            name = f"{self._number:06d}"
            while name in self._taken:
                name = f"{name}_"
        self._taken.add(name.lower())
        return name, is_id


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary folder beside `path`, which is renamed to `path` after the block has succeeded.

    Raises:
        UserError: `path` exists and is not an empty folder.
    """
    target = pathlib.Path(os.path.realpath(path))
    if os.fspath(path) == STANDARD:
        raise UserError("<stdout>: the format is a folder of files; name one with --output")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"{os.fspath(path)}: the format is a folder of files, and this path already exists; name another"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_path(target)
    with errors_named(path):
        beside.mkdir()
        try:
            yield beside
            if target.exists():
                target.rmdir()
            beside.rename(target)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


class FolderWriter:
    """Base class of writers of folders; a subclass writes one document."""

    def __init__(self, folder: pathlib.Path, path: str | os.PathLike[str]) -> None:
        self.folder = folder
        self.names = Names()
        self._path = path

    def save(self, name: str, text: str) -> None:
        """Writes a file of the folder as UTF-8 without changing line ends."""
        # A reader removes the first U+FEFF as a byte order mark, so a text that begins with one gets another.
        text = f"\ufeff{text}" if text.startswith("\ufeff") else text
        with errors_named(self._path):
            (self.folder / name).write_bytes(text.encode("utf-8"))
