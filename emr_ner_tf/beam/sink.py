"""Writes the outputs of an archive job: records are assigned to shards by a hash of their id and sorted within them.

Until a job is complete, its directory contains the file UNFINISHED with the id of the job. Workers write each output
under a temporary name. When all are written, one step renames them and writes SUMMARY last. A missing summary means
that the job did not complete; the same command starts it again.
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
# Names of the files of an unfinished job; files with other names in the directory are kept.
_OWN = re.compile(rf"{re.escape(REJECTS)}|out-[0-9]+-of-[0-9]+\.jsonl|\..*\.tmp")


class Row(NamedTuple):
    """A line of an output file, in the order of the fields.

    Attributes:
        id: id of the record; "" for a bad record.
        path: path of the record's file.
        offset: offset of the record in the file; `path` and `offset` together are unique.
        entities: number of entities in the record.
        characters: number of characters in its text.
        line: the line to write.
    """

    id: str
    path: str
    offset: int
    entities: int
    characters: int
    line: str


# Final name of an output, its temporary name, and the sums over its rows.
Written = tuple[str, str, int, int, int]


def shard_name(shard: int, shards: int) -> str:
    """Returns the name of a shard's file."""
    return f"out-{shard:05}-of-{shards:05}.jsonl"


def shard_of(record_id: str, shards: int) -> int:
    """Returns the shard of a record, computed from the first eight bytes of its id's SHA-256; equal on any machine."""
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shards


def pack(rows: Sequence[Row]) -> bytes:
    """Compresses rows, because Beam's local runner keeps them in memory until they are grouped."""
    return zlib.compress(pickle.dumps([tuple(row) for row in rows]))


def begin(output_dir: str) -> str:
    """Claims a directory for a job and removes the files of an unfinished job from it.

    Returns:
        The id of the job, with which `Commit` checks that no later job has claimed the directory.

    Raises:
        UserError: the directory has a finished job or other files, or its name is a pattern.
    """
    if re.search(r"[*?\[]", output_dir):
        raise UserError(f"{output_dir}: the name of an output directory must not contain *, ? or [")
    files = match(FileSystems.join(output_dir, "**"))
    names = {path.rpartition("/")[2] for path in files if _is_in(output_dir, path)}
    if SUMMARY in names:
        if UNFINISHED in names:
            finish(output_dir)
        raise UserError(f"{output_dir}: contains a finished job ({SUMMARY}); name another directory")
    # An object store has no empty folders.
    if UNFINISHED not in names and (files or (os.path.isdir(output_dir) and os.listdir(output_dir))):
        raise UserError(f"{output_dir}: is not empty and contains no unfinished job; name another directory")
    job_id = uuid.uuid4().hex
    _write(FileSystems.join(output_dir, UNFINISHED), [job_id])
    if names:
        logging.info("%s: an earlier job did not complete; it is started again", output_dir)
        _delete([FileSystems.join(output_dir, name) for name in sorted(names) if _OWN.fullmatch(name)])
    return job_id


def finish(output_dir: str) -> dict[str, int]:
    """Deletes temporary files, such as those of attempts that Beam repeated, and reads the summary.

    Returns:
        The summary: `records`, `entities`, `characters`, `rejected`, `shards`.
    """
    for name in (_TEMPORARY, UNFINISHED):
        _delete([*match(FileSystems.join(output_dir, name))])
    with FileSystems.open(FileSystems.join(output_dir, SUMMARY)) as file:
        return json.loads(file.read())


class WriteFile(beam.DoFn):
    """Writes all rows of one output, sorted, to a file with a temporary name."""

    def __init__(self, output_dir: str) -> None:
        super().__init__()
        self._output_dir = output_dir

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[tuple[str, Written]]:
        """Yields the names and sums of the file, under the same key for all files.

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
    """Renames the outputs, then writes the summary. It can be repeated: outputs that have their names are skipped."""

    def __init__(self, output_dir: str, job_id: str) -> None:
        super().__init__()
        self._output_dir, self._job_id = output_dir, job_id

    def process(self, element: tuple[str, Iterable[Written]]) -> None:
        """Renames the outputs that `WriteFile` wrote and writes the summary.

        Raises:
            UserError: another job has claimed the directory.
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
                f"{target}: neither this file nor its temporary file exists; was the directory changed?"
            )

    def _check_taken(self) -> None:
        path = FileSystems.join(self._output_dir, UNFINISHED)
        taken_by = ""
        if FileSystems.exists(path):
            with FileSystems.open(path) as file:
                taken_by = file.read().decode("utf-8")
        if taken_by != self._job_id:
            raise UserError(f"{self._output_dir}: output directory was claimed by another job; aborting")


def _is_in(output_dir: str, path: str) -> bool:
    """Returns whether a file is in the directory itself, not in a folder below it."""
    return path == FileSystems.join(output_dir, path.rpartition("/")[2])


def _delete(paths: Sequence[str]) -> None:
    if paths:
        FileSystems.delete(paths)


def _write(path: str, lines: Iterable[str]) -> None:
    try:
        with FileSystems.create(path) as file:
            # Until it is renamed, a local file with records can only be read by this user.
            if os.path.isfile(path):
                os.chmod(path, 0o600)
            for line in lines:
                file.write(line.encode("utf-8"))
    except OSError as error:
        error.filename = path
        raise UserError(describe_os_error(error)) from error
