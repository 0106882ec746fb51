"""Outputs of an archive's job: shards by a hash of the id, sorted within; a directory that is finished or is not.

A job's directory holds UNFINISHED, and in it the job's own id, until all is done. Workers write every file beside its
name; when all are written, one step renames them and writes SUMMARY last. A missing summary means that the job did not
complete, and the same command starts it again.
"""

import hashlib
import json
import os
import pickle
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from absl import logging
from apache_beam.io.filesystems import FileSystems

from emr_ner_tf.beam.source import match
from emr_ner_tf.data.atomic_io import mode_of_new_files
from emr_ner_tf.errors import UserError, describe_os_error

SUMMARY, UNFINISHED, REJECTS = "summary.json", "unfinished", "rejects.jsonl"
_TEMPORARY = ".*.tmp"
# The files of an unfinished job; others that somebody has put beside them stay.
_OWN = re.compile(rf"{re.escape(REJECTS)}|out-[0-9]+-of-[0-9]+\.jsonl|\..*\.tmp")


class Row(NamedTuple):
    """A line of an output file, in the order of the fields.

    Attributes:
        id: of the record; "" for a bad one.
        path: of its file.
        offset: in it; with `path` no two rows have the same.
        entities: in the record.
        characters: of its text.
        line: to be written.
    """

    id: str
    path: str
    offset: int
    entities: int
    characters: int
    line: str


# Name in the job's directory, and name that it has until all are written, then the sums of its rows.
Written = tuple[str, str, int, int, int]


def shard_name(shard: int, shards: int) -> str:
    """Returns the name of a shard's file."""
    return f"out-{shard:05}-of-{shards:05}.jsonl"


def shard_of(record_id: str, shards: int) -> int:
    """Returns the shard of a record: by the first eight bytes of its id's SHA-256, the same on every machine."""
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shards


def pack(rows: Sequence[Row]) -> bytes:
    """Packs rows that wait to be grouped: Beam's local runner keeps them in memory, so that they are made small."""
    return zlib.compress(pickle.dumps([tuple(row) for row in rows]))


def begin(output_dir: str) -> str:
    """Takes a directory for a job, and out of it what an unfinished job has left.

    Returns:
        The job's id, by which `Commit` sees that no later job has taken the directory.

    Raises:
        UserError: it holds a finished job, or something else, or its name is a pattern.
    """
    if re.search(r"[*?\[]", output_dir):
        raise UserError(f"{output_dir}: the name of an output directory must hold no *, ? or [")
    files = match(FileSystems.join(output_dir, "**"))
    names = {path.rpartition("/")[2] for path in files if _is_in(output_dir, path)}
    if SUMMARY in names:
        if UNFINISHED in names:
            finish(output_dir)
        raise UserError(f"{output_dir}: holds a finished job ({SUMMARY}); name another directory")
    # A file system of objects knows no empty folders.
    if UNFINISHED not in names and (files or (os.path.isdir(output_dir) and os.listdir(output_dir))):
        raise UserError(f"{output_dir}: is not empty and holds no unfinished job; name another directory")
    job_id = uuid.uuid4().hex
    _write(FileSystems.join(output_dir, UNFINISHED), [job_id])
    if names:
        logging.info("%s: an earlier job did not finish; it is begun again", output_dir)
        _delete([FileSystems.join(output_dir, name) for name in sorted(names) if _OWN.fullmatch(name)])
    return job_id


def finish(output_dir: str) -> dict[str, int]:
    """Deletes files that are not part of the result, such as those of attempts that Beam repeated.

    Returns:
        The summary: `records`, `entities`, `characters`, `rejected`, `shards`.
    """
    for name in (_TEMPORARY, UNFINISHED):
        _delete([*match(FileSystems.join(output_dir, name))])
    with FileSystems.open(FileSystems.join(output_dir, SUMMARY)) as file:
        return json.loads(file.read())


class WriteFile(beam.DoFn):
    """Writes all rows of one output file, sorted, beside its name."""

    def __init__(self, output_dir: str) -> None:
        super().__init__()
        self._output_dir = output_dir

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[tuple[str, Written]]:
        """Yields what was written, all under one key.

        Raises:
            UserError: the file cannot be written.
        """
        name, packed = element
        rows = sorted(Row(*fields) for block in packed for fields in pickle.loads(zlib.decompress(block)))
        temporary = f".{name}.{uuid.uuid4().hex}.tmp"
        _write(FileSystems.join(self._output_dir, temporary), (f"{row.line}\n" for row in rows))
        sums = len(rows), sum(row.entities for row in rows), sum(row.characters for row in rows)
        yield "", (name, temporary, *sums)


class Commit(beam.DoFn):
    """Gives the files their names, then writes the summary. It can be repeated: what has its name keeps it."""

    def __init__(self, output_dir: str, job_id: str) -> None:
        super().__init__()
        self._output_dir, self._job_id = output_dir, job_id

    def process(self, element: tuple[str, Iterable[Written]]) -> None:
        """Takes what all `WriteFile` have written.

        Raises:
            UserError: another job has taken the directory.
        """
        written = list(element[1])
        self._check_taken()
        for name, temporary, *_ in written:
            self._rename(temporary, name)
        shards = [sums for name, _, *sums in written if name != REJECTS]
        summary: dict[str, Any] = {
            key: sum(sums[i] for sums in shards)
            for i, key in enumerate(("records", "entities", "characters"))
        }
        summary["rejected"] = sum(records for name, _, records, *_ in written if name == REJECTS)
        summary["shards"] = len(shards)
        temporary = f".{SUMMARY}.{uuid.uuid4().hex}.tmp"
        _write(FileSystems.join(self._output_dir, temporary), [json.dumps(summary), "\n"])
        self._check_taken()
        self._rename(temporary, SUMMARY)

    def _rename(self, temporary: str, name: str) -> None:
        source, target = (FileSystems.join(self._output_dir, one) for one in (temporary, name))
        if FileSystems.exists(source):
            if os.path.isfile(source):
                os.chmod(source, mode_of_new_files())
            FileSystems.rename([source], [target])
        elif not FileSystems.exists(target):
            raise UserError(
                f"{target}: is not there, nor is what was written of it; was the directory changed?"
            )

    def _check_taken(self) -> None:
        path = FileSystems.join(self._output_dir, UNFINISHED)
        taken_by = ""
        if FileSystems.exists(path):
            with FileSystems.open(path) as file:
                taken_by = file.read().decode("utf-8")
        if taken_by != self._job_id:
            raise UserError(f"{self._output_dir}: another job has taken it meanwhile; this one has no result")


def _is_in(output_dir: str, path: str) -> bool:
    """Returns whether a file is in the directory itself, not in a folder below it."""
    return path == FileSystems.join(output_dir, path.rpartition("/")[2])


def _delete(paths: Sequence[str]) -> None:
    if paths:
        FileSystems.delete(paths)


def _write(path: str, lines: Iterable[str]) -> None:
    try:
        with FileSystems.create(path) as file:
            # On this machine records on their way are for this user alone, until the file has its name.
            if os.path.isfile(path):
                os.chmod(path, 0o600)
            for line in lines:
                file.write(line.encode("utf-8"))
    except OSError as error:
        error.filename = path
        raise UserError(describe_os_error(error)) from error
