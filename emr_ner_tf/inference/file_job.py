"""Annotation of a file into a file, in flat memory, that can be killed and resumed."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from absl import logging

from emr_ner_tf.data.atomic_io import atomic_writer, errors_named
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.file_locks import Lock, try_lock
from emr_ner_tf.data.writing import record_line
from emr_ner_tf.errors import UserError
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.log_interval import LogInterval

_LOG_SECONDS = 10.0
# Keys of the partial file's first line.
_MODEL, _VERSION = "partial_output_of", "version"


class JobResult(NamedTuple):
    """The counts and the time of a job.

    Attributes:
        records: in the output, those of earlier tries included.
        resumed: how many of them an earlier try had left.
        entities: found by this process.
        seconds: that this process took.
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
) -> JobResult:
    """Writes annotated records as JSON lines, in order.

    Finished lines go to `OUTPUT.partial`, whose first line names the model and its version; at the end the others
    become `output`, whole. A job that dies leaves the partial file, and `resume` continues after its last whole line.
    Only the user can read the partial file.

    Args:
        documents: the same, in the same order, when a job is resumed.
        annotator: finds the entities. A job is not resumed by one of another `name`, nor with another `version`, see
            `partial_version`.
        output: a regular file, JSON lines in CCKS2019 form; see `emr_ner_tf.data.atomic_io.is_stream`.
        resume: whether to go on where a partial file ends.

    Returns:
        Counts and time.

    Raises:
        UserError: there is a partial file and `resume` is off, or it is of another model or other records, or
            another job is writing it.
    """
    output = pathlib.Path(os.path.realpath(output))
    partial = partial_path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    documents = iter(documents)
    interval = LogInterval(_LOG_SECONDS)
    written = entities = 0
    with _opened(partial) as file:
        size = os.fstat(file.fileno()).st_size
        if size and not resume:
            raise UserError(
                f"{partial}: an earlier job left it; go on with --resume, or remove it to start again"
            )
        expected, done = _skip_finished(file, partial, annotator.name, documents) if size else (None, 0)
        if size:
            logging.info("resumed after %d records", done)
        for document in annotator.annotate(documents):
            if not written:
                _begin(file, partial, annotator.name, annotator.version, expected)
            file.write(f"{record_line(document)}\n".encode())
            written += 1
            entities += len(document.entities)
            if interval.due():
                file.flush()
                logging.info("%d records, %.1f a second", done + written, written / interval.elapsed())
        file.flush()
        _finish(partial, output)
    return JobResult(done + written, done, entities, interval.elapsed())


def partial_path(output: str | os.PathLike[str]) -> pathlib.Path:
    """The file that holds the finished records of a job until all are finished."""
    output = pathlib.Path(os.path.realpath(output))
    return output.with_name(f"{output.name}.partial")


def partial_version(output: str | os.PathLike[str]) -> int | None:
    """The version of the model whose answers a partial file holds: the one to ask for when its job is resumed.

    Returns:
        None where there is no partial file, or it names no version.
    """
    try:
        with open(partial_path(output), "rb") as file:
            version = json.loads(file.readline())[_VERSION]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return version if type(version) is int else None


@contextlib.contextmanager
def _opened(partial: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens the partial file, which may be new, for this job alone; one that is still empty at the end is removed."""
    while True:
        file = os.fdopen(
            os.open(partial, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b"
        )
        if try_lock(file.fileno()) is Lock.HELD:
            file.close()
            raise UserError(
                f"{partial}: another job is writing it; wait until that one has ended, or name another --output"
            )
        # Else another job has just finished and removed it.
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
    """Writes the first line of a new file, or checks that its records are of this version."""
    if not file.tell():
        head = {_MODEL: model} | ({} if version is None else {_VERSION: version})
        file.write(f"{json.dumps(head, ensure_ascii=False)}\n".encode())
    elif version != expected:
        raise UserError(
            f"{partial}:1: its records are of version {expected}, and now version {version} answers; ask for "
            f"--version={expected}, or remove the file to start again"
        )


def _skip_finished(
    file: IO[bytes], partial: pathlib.Path, model: str, documents: Iterator[Document]
) -> tuple[int | None, int]:
    """Cuts a half-written last line off and takes the records that stand in `partial` off `documents`.

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
            document = next(documents, None)
            if document is None or _text_of(line, partial, number) != document.text:
                raise UserError(
                    f"{partial}:{number}: not made from this input; name the same --input, "
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
        raise UserError(
            f"{partial}:1: not the beginning of a job with this model ({model}); remove the file to start again"
        )
    return head.get(_VERSION)


def _text_of(line: bytes, partial: pathlib.Path, number: int) -> str:
    try:
        return json.loads(line)["originalText"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{partial}:{number}: not a record that a job has written; remove the file to start again"
        ) from None


def _finish(partial: pathlib.Path, output: pathlib.Path) -> None:
    """Copies all lines but the first beside `output`, renames, and removes the partial file."""
    with open(partial, "rb") as source, atomic_writer(output, "wb") as target:
        source.readline()
        shutil.copyfileobj(source, target)
    partial.unlink()
