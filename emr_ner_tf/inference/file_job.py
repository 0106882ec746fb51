"""Annotates the records of a file into another file; memory does not grow, and a killed job can be resumed."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from absl import logging

from emr_ner_tf.data.atomic_io import errors_named
from emr_ner_tf.data.ccks2019 import ENTITIES, TEXT, parse_record
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.file_locks import Lock, try_lock
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.writing import document_writers, record_line, write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.log_interval import LogInterval
from emr_ner_tf.progress_bar import ProgressBar

_LOG_SECONDS = 10.0
# In the partial file, the other keys of a record that has one with a name that the line itself uses.
_KEYS = "other_keys"
# Keys of the partial file's first line.
_MODEL, _VERSION = "partial_output_of", "version"


class JobResult(NamedTuple):
    """The counts and the duration of a job.

    Attributes:
        records: number of records in the output.
        resumed: number of records that earlier processes of this job had written.
        entities: number of entities that this process found.
        seconds: duration of this process.
    """

    records: int
    resumed: int
    entities: int
    seconds: float


def annotate_to_file(
    documents: Iterable[Document],
    annotator: Annotator,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    total: int | None = None,
    format: str = "ccks2019",
) -> JobResult:
    """Writes annotated records, in order.

    Finished records are written to `OUTPUT.partial` as JSON lines, whose first line names the model and its version. At
    the end, the records become `output`, as a whole. A killed job leaves the partial file, and `resume` continues
    after its last complete line. Only the user can read the partial file.

    Args:
        documents: the documents; a resumed job must get the same ones in the same order.
        annotator: finds the entities. A job is only resumed with the same `name` and `version`; see
            `partial_version`.
        output: a regular file, or the folder of a format of several files; see `emr_ner_tf.data.atomic_io.is_stream`.
        resume: whether to continue a partial file.
        total: number of documents, if it is known, for the progress bar.
        format: format of `output`, as in `emr_ner_tf.data.writing.write_documents`.

    Returns:
        The counts and the duration. The log counts what `format` cannot represent, by kind.

    Raises:
        UserError: a partial file exists and `resume` is False, it belongs to another model or to other records, or
            another job is writing it; or `format` cannot represent a record, and the partial file stays. An `output`
            that `format` cannot write is refused before the work.
    """
    _check_output(output, format)
    output = pathlib.Path(os.path.realpath(output))
    partial = partial_path(output)
    documents = iter(documents)
    interval = LogInterval(_LOG_SECONDS)
    written = entities = 0
    with _opened(partial) as file:
        size = os.fstat(file.fileno()).st_size
        if size and not resume:
            raise UserError(
                f"{partial}: an interrupted job left this file; continue it with --resume, or remove it to start again"
            )
        expected, done = _skip_finished(file, partial, annotator.name, documents) if size else (None, 0)
        if size:
            logging.info("resumed after %d records", done)
        with ProgressBar("annotating", total, done=done) as bar:
            for document in annotator.annotate(documents, on_progress=bar.advance):
                if not written:
                    _begin(file, partial, annotator.name, annotator.version, expected)
                file.write(f"{_line(document)}\n".encode())
                written += 1
                entities += len(document.entities)
                if interval.due():
                    file.flush()
                    if not bar.is_shown:
                        logging.info(
                            "%d records, %.1f records/s", done + written, written / interval.elapsed()
                        )
        file.flush()
        _finish(partial, output, format)
    return JobResult(done + written, done, entities, interval.elapsed())


class _AbandonedError(Exception):
    """Ends the writing of an output, of which then nothing is left."""


def _check_output(output: str | os.PathLike[str], format: str) -> None:
    """Opens and abandons an output: after the work, an error would cost all of it."""
    with contextlib.suppress(_AbandonedError), document_writers([output], format):
        raise _AbandonedError


def partial_path(output: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of the file that contains the finished records of an unfinished job."""
    output = pathlib.Path(os.path.realpath(output))
    return output.with_name(f"{output.name}.partial")


def partial_version(output: str | os.PathLike[str]) -> int | None:
    """Returns the version of the model that gave the entities in a partial file; a resumed job must use it, too.

    Returns:
        The version, or None if there is no partial file or it does not name a version.
    """
    try:
        with open(partial_path(output), "rb") as file:
            version = json.loads(file.readline())[_VERSION]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return version if type(version) is int else None


@contextlib.contextmanager
def _opened(partial: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens or creates the partial file and locks it for this job; removes it at the end if it is empty."""
    while True:
        file = os.fdopen(
            os.open(partial, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b"
        )
        if try_lock(file.fileno()) is Lock.HELD:
            file.close()
            raise UserError(
                f"{partial}: another job is writing this file; wait until it ends, or use another --output"
            )
        # Otherwise, another job has just finished and removed the file.
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()
    with errors_named(partial), file:
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size and not file.tell():
                partial.unlink(missing_ok=True)


def _begin(
    file: IO[bytes], partial: pathlib.Path, model: str, version: int | None, expected: int | None
) -> None:
    """Writes the first line of a new file, or checks that the version is that of the existing records."""
    if not file.tell():
        head = {_MODEL: model} | ({} if version is None else {_VERSION: version})
        file.write(f"{json.dumps(head, ensure_ascii=False)}\n".encode())
    elif version != expected:
        raise UserError(
            f"{partial}:1: version {expected} annotated its records, but the server now uses version {version}; give "
            f"--version={expected}, or remove the file to start again"
        )


def _skip_finished(
    file: IO[bytes], partial: pathlib.Path, model: str, documents: Iterator[Document]
) -> tuple[int | None, int]:
    """Removes an incomplete last line, and skips the documents whose records `partial` already contains.

    Returns:
        The version in the first line, and the number of records.
    """
    version, done, end = None, -1, 0
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            break
        if number == 1:
            version = _version_of(line, partial, model)
        else:
            document, stored = next(documents, None), _stored(line, partial, number)
            if document is None or _line(document, ()) != _line(stored, ()):
                raise UserError(
                    f"{partial}:{number}: the record does not match this input; use the same --input, "
                    "or remove the file to start again"
                )
        end += len(line)
        done = number - 1
    file.seek(end)
    file.truncate()
    return version, max(done, 0)


def _version_of(line: bytes, partial: pathlib.Path, model: str) -> int | None:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get(_MODEL) != model:
        raise UserError(f"{partial}:1: not a job of this model ({model}); remove the file to start again")
    return head.get(_VERSION)


def _line(document: Document, entities: tuple[Entity, ...] | None = None) -> str:
    """Returns a document as a line that `_stored` reads, with other entities if they are given."""
    keys = document.extra
    if any(key in keys for key in (TEXT, ENTITIES, _KEYS)):
        keys = {_KEYS: dict(keys)}
    entities = document.entities if entities is None else entities
    return record_line(dataclasses.replace(document, entities=entities, extra=keys))


def _stored(line: bytes, partial: pathlib.Path, number: int) -> Document:
    try:
        document, _ = parse_record(
            line.decode("utf-8"), str(number - 1), overlaps="all", require_entities=False
        )
    except (ValueError, RecordError):
        raise UserError(
            f"{partial}:{number}: not a record that a job wrote; remove the file to start again"
        ) from None
    return dataclasses.replace(document, extra=document.extra.get(_KEYS, document.extra))


def _finish(partial: pathlib.Path, output: pathlib.Path, format: str) -> None:
    """Writes all records to `output`, as a whole, and removes the partial file."""
    with open(partial, "rb") as source:
        source.readline()
        documents = (_stored(line, partial, number) for number, line in enumerate(source, start=2))
        write_documents(output, documents, format)
    partial.unlink()
