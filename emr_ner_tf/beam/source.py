"""Reads the records of an archive in parallel: cuts files into spans, reads lines and collects records in pools."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.metrics.metric import Metrics

from emr_ner_tf.beam.decompression import BROKEN, unpacked
from emr_ner_tf.data.ccks2019 import ID, parse_record
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.file_kinds import check_kind
from emr_ner_tf.data.lines import Line, check_rereadable, decoded, json_line, without_mark
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import reject_fields
from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.inference.annotator import POOL_CHARACTERS, POOL_TEXTS

_LOGGER = logging.getLogger(__name__)
NAMESPACE = "emr_ner_tf"
FORMATS = ("ccks2019", "text")
_REMEDY = (
    "an archive holds JSON lines of CCKS2019 or, with --format=text, one record per line, in UTF-8; convert other "
    "files first: emr-ner data convert --input=FILE --output=FILE.jsonl"
)
# The size is fixed, so that the number of workers does not affect which records share a pool, and with it the last
# digits of their scores.
SPAN_BYTES = 1 << 20
_UNBOUNDED = 1 << 62

# Path of a file, and a range of bytes; the span consists of the lines that begin in this range.
Span = tuple[str, int, int]


class Record(NamedTuple):
    """A document and where it came from.

    Attributes:
        document: the document, with an id in `extra`, too, so that its output line shows where it came from.
        path: path of the file.
        offset: offset of its first byte in the file, or in the decompressed content of a compressed file.
    """

    document: Document
    path: str
    offset: int


def find_files(patterns: Sequence[str]) -> list[tuple[str, int]]:
    """Finds the files that patterns of any Beam file system name.

    Args:
        patterns: paths; `*` matches any characters except `/`, `**` matches any, `[...]` matches one of several.

    Returns:
        Path and size in bytes of each file, sorted. A file that matches under several paths is listed once, under
        the first of them; links are resolved on local paths only.

    Raises:
        UserError: a pattern matches no file, or a folder, a stream or a broken link, or its file system is unknown.
    """
    found: dict[str, tuple[str, int]] = {}
    for pattern in patterns:
        files = match(pattern)
        if "://" not in pattern:
            _check_links(pattern)
        if not files:
            raise UserError(f"{pattern}: no such file")
        for path, size in sorted(files.items()):
            if "://" not in path and os.path.isdir(path):
                raise UserError(f"{path}: must be a file, got a folder; name its files: {path}/*.jsonl")
            if "://" not in path:
                check_rereadable(path, "several workers read it in parts")
            found.setdefault(path if "://" in path else os.path.realpath(path), (path, size))
    return sorted(found.values())


def match(pattern: str) -> dict[str, int]:
    """Returns the size in bytes of each file that a pattern matches, by path.

    Raises:
        UserError: an unknown file system.
    """
    # Beam finds nothing for a pattern without a folder before its wildcards.
    here = "" if "/" in _fixed_part(pattern) else "./"
    try:
        (result,) = FileSystems.match([here + pattern])
    except ValueError as error:
        raise UserError(f"{pattern}: no file system of Beam supports this path") from error
    return {metadata.path.removeprefix(here): metadata.size_in_bytes for metadata in result.metadata_list}


def _check_links(pattern: str) -> None:
    """Checks the local files that match a pattern and that Beam would silently leave out.

    Links to folders and folders that cannot be listed are logged, because they may contain matching files.

    Raises:
        UserError: a file that matches cannot be read, such as a link to a file that does not exist.
    """
    # Beam, too, interprets a folder as a pattern for its files.
    pattern = f"{pattern}*" if pattern.endswith("/") else pattern
    fixed = _fixed_part(pattern)
    if fixed == pattern:
        return
    root = os.path.dirname(fixed)
    wildcards = pattern.removeprefix(root).lstrip("/")
    is_match = re.compile(LocalFileSystem.translate_pattern(pattern)).match
    for folder, folders, names in os.walk(root or ".", onerror=_log_unlisted):
        for path in (os.path.join(folder, name) for name in names):
            path = path if root else path.removeprefix("./")
            try:
                _ = is_match(path) and os.stat(path)
            except OSError as error:
                raise UserError(
                    f"{describe_os_error(error)}; the pattern {pattern} matches this "
                    f"{'link' if os.path.islink(path) else 'file'}: repair or remove it, or use a pattern without it"
                ) from None
        if "/" not in wildcards and "**" not in wildcards:
            return
        for path in (os.path.join(folder, name) for name in folders):
            if os.path.islink(path):
                _LOGGER.warning(
                    "%s: is a link to a folder, which patterns do not follow; name it in a pattern of its own: "
                    "%s/*.jsonl",
                    path,
                    path,
                )


def _fixed_part(pattern: str) -> str:
    """Returns what is before the first wildcard."""
    return re.split(r"[\[*?]", pattern, maxsplit=1)[0]


def _log_unlisted(error: OSError) -> None:
    _LOGGER.warning("%s; its files are not read", describe_os_error(error))


def spans_of(file: tuple[str, int], span_bytes: int = SPAN_BYTES) -> Iterator[Span]:
    """Cuts a file, given as path and size, into spans; a compressed file is one span."""
    path, size = file
    if CompressionTypes.detect_compression_type(path) != CompressionTypes.UNCOMPRESSED:
        yield path, 0, _UNBOUNDED
        return
    for start in range(0, size, span_bytes):
        yield path, start, min(start + span_bytes, size)


def lines_of(span: Span) -> Iterator[Line]:
    """Yields the complete lines that begin in a span; their `number` is 0, because lines are not counted.

    Raises:
        UserError: the file cannot be read, or is compressed and incomplete.
    """
    path, start, end = span
    compression = CompressionTypes.detect_compression_type(path)
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as opened:
            file = unpacked(opened, compression)
            offset = start
            if start:
                # From the byte before `start`, so that a line that begins exactly at `start` is not skipped.
                file.seek(start - 1)
                offset += len(file.readline()) - 1
            while offset < end:
                raw = file.readline()
                if not raw:
                    return
                yield Line(0, offset, raw.removesuffix(b"\n"))
                offset += len(raw)
    except (OSError, *BROKEN) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def lines_of_format(span: Span, format: str) -> Iterator[Line]:
    """Yields the lines of a span, without byte order marks.

    Raises:
        UserError: as `lines_of`, or the span begins a file that is obviously of another format.
    """
    path, start, _ = span
    # As in `data.reading`: in plain text, only the mark at the beginning of the file is a byte order mark.
    lines = (
        without_mark(line) if format == "ccks2019" or not line.offset else line for line in lines_of(span)
    )
    try:
        yield from lines if start else check_kind(lines, path, format)
    except RecordError as error:
        error.line = None
        raise UserError(f"{error.fault}; {_REMEDY}") from None


def parse(line: Line, path: str, format: str) -> Record:
    """Parses a line by the rules of `data.reading`. A record without an id gets `PATH:OFFSET`.

    Raises:
        RecordError: names path and offset.
    """
    default_id = f"{path}:{line.offset}"
    try:
        text = decoded(line)
        if format == "text":
            return Record(Document(default_id, text, extra={ID: default_id}), path, line.offset)
        document, _ = parse_record(text, default_id, overlaps="longest", require_entities=False)
    except RecordError as error:
        error.path, error.line = f"{path}: byte {line.offset}", None
        raise
    if document.extra.get(ID) in (None, ""):
        extra = {**document.extra, ID: default_id}
        document = Document(document.id, document.text, document.entities, extra)
    return Record(document, path, line.offset)


class ReadRecords(beam.DoFn):
    """Reads spans and yields pools of records; a pool has as many records as `Annotator.annotate` collects.

    Attributes:
        REJECTS: tag of the output for bad records: path, offset and the line of the rejects file.
    """

    REJECTS = "rejects"

    def __init__(self, format: str, skip: bool) -> None:
        """Stores the settings.

        Args:
            format: one of `FORMATS`.
            skip: whether bad records are skipped; if False, the first one ends the job.
        """
        super().__init__()
        self._format, self._skip = format, skip
        self._rejected = Metrics.counter(NAMESPACE, "rejected")

    def process(self, element: Span) -> Iterator[Any]:
        """Yields lists of `Record`, and bad records with the tag `REJECTS`.

        Raises:
            UserError: a record is bad and `skip` is False, or a file cannot be read or has another format.
        """
        path = element[0]
        pool: list[Record] = []
        characters = 0
        for line in lines_of_format(element, self._format):
            if not line.raw.strip():
                continue
            try:
                record = parse(line, path, self._format)
            except RecordError as error:
                if not self._skip:
                    raise UserError(str(error)) from None
                self._rejected.inc()
                yield beam.pvalue.TaggedOutput(self.REJECTS, (path, line.offset, _reject(error, line, path)))
                continue
            pool.append(record)
            characters += len(record.document.text)
            if len(pool) >= POOL_TEXTS or characters >= POOL_CHARACTERS:
                yield pool
                pool, characters = [], 0
        if pool:
            yield pool


def _reject(error: RecordError, line: Line, path: str) -> str:
    fields = reject_fields(error, line.raw)
    del fields["file"], fields["line"]
    return json_line({"file": path, "offset": line.offset, **fields})
