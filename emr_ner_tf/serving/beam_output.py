"""Outputs of an archive's job: shards by a hash of the id, sorted within; a directory that is finished or is not.

A job's directory holds UNFINISHED until all is done. Workers write every file beside its name; when all are written,
one step renames them and writes SUMMARY last. So what has no summary is no result, and the same command begins again.
"""

import hashlib
import json
import pickle
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from absl import logging
from apache_beam.io.filesystems import FileSystems

from emr_ner_tf.errors import UserError
from emr_ner_tf.serving.beam_records import match

SUMMARY, UNFINISHED, REJECTS = "summary.json", "unfinished", "rejects.jsonl"
_TEMPORARY = ".*.tmp"


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
    """The name of a shard's file."""
    return f"out-{shard:05}-of-{shards:05}.jsonl"


def shard_of(record_id: str, shards: int) -> int:
    """Which shard takes a record: by the first eight bytes of its id's SHA-256, the same on every machine."""
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shards


def pack(rows: Sequence[Row]) -> bytes:
    """Rows as they wait to be grouped: Beam's local runner keeps them in memory, so that they are made small."""
    return zlib.compress(pickle.dumps([tuple(row) for row in rows]))


def begin(output_dir: str) -> None:
    """Takes a directory for a job, and out of it what an unfinished job has left.

    Raises:
        UserError: it holds a finished job, or something else.
    """
    files = match(FileSystems.join(output_dir, "*"))
    names = {path.rpartition("/")[2] for path in files}
    if SUMMARY in names:
        raise UserError(f"{output_dir}: holds a finished job ({SUMMARY}); name another directory")
    if names and UNFINISHED not in names:
        raise UserError(f"{output_dir}: is not empty and holds no unfinished job; name another directory")
    if names:
        logging.info("%s: an earlier job did not finish; it is begun again", output_dir)
        FileSystems.delete([path for path in files if not path.endswith(f"/{UNFINISHED}")])
    with FileSystems.create(FileSystems.join(output_dir, UNFINISHED)):
        pass


def finish(output_dir: str) -> dict[str, int]:
    """Takes away what is no result, such as files of tries that Beam repeated.

    Returns:
        The summary: `records`, `entities`, `characters`, `rejected`, `shards`.
    """
    left = [*match(FileSystems.join(output_dir, _TEMPORARY)), FileSystems.join(output_dir, UNFINISHED)]
    FileSystems.delete(left)
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

    def __init__(self, output_dir: str) -> None:
        super().__init__()
        self._output_dir = output_dir

    def process(self, element: tuple[str, Iterable[Written]]) -> None:
        """Takes what all `WriteFile` have written."""
        written = list(element[1])
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
        self._rename(temporary, SUMMARY)

    def _rename(self, temporary: str, name: str) -> None:
        source = FileSystems.join(self._output_dir, temporary)
        if FileSystems.exists(source):
            FileSystems.rename([source], [FileSystems.join(self._output_dir, name)])


def _write(path: str, lines: Iterable[str]) -> None:
    try:
        with FileSystems.create(path) as file:
            for line in lines:
                file.write(line.encode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
