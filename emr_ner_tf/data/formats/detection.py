"""Detects the format of an input from its beginning."""

import itertools
import os
import pathlib
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from emr_ner_tf.data.atomic_io import STANDARD, is_stream
from emr_ner_tf.data.bio_columns import blocks, row_tag
from emr_ner_tf.data.file_kinds import looks_like_columns, looks_like_text
from emr_ner_tf.data.formats.ccks_pairs import TEXT_SUFFIX
from emr_ner_tf.data.formats.conll import DOCUMENT_START, is_sentence
from emr_ner_tf.data.formats.csv_table import SEPARATOR
from emr_ner_tf.data.formats.folders import walk
from emr_ner_tf.data.formats.huggingface import TAGS, TOKENS
from emr_ner_tf.data.formats.json_values import json_values
from emr_ner_tf.data.formats.sources import encoded_chunks, is_utf8, split_lines
from emr_ner_tf.data.formats.tables import COLUMNS, ID_NAMES, TEXT_NAMES
from emr_ner_tf.data.formats.tags import decode
from emr_ner_tf.data.formats.webanno import HEADER
from emr_ner_tf.data.lines import BOM, parsed_object
from emr_ner_tf.data.record_error import RecordError

_HEAD_BYTES = 1 << 16
_MAX_FILES = 10_000
_MAX_RECORDS = 1_000
_COLUMNS = (".bio", ".conll", ".iob", ".bmes", ".bioes", ".bilou")
_MARKUP = (b"<?xml", b"<!doctype", b"<html")


class Detected(NamedTuple):
    """The detected format of an input.

    Attributes:
        format: a name in the table of formats.
        why: the evidence, for the log.
    """

    format: str
    why: str


def detect(
    path: str | os.PathLike[str], encoding: str = "utf-8", *, is_conll: bool = False
) -> Detected | None:
    """Finds the format of an input.

    Args:
        path: a file, a folder, or `-`; of standard input, only buffered data is examined, which can still be read.
        encoding: encoding of text files.
        is_conll: whether to read columns as CoNLL even if they are BIO, since a setting of CoNLL columns is given.

    Returns:
        The format; None if it is uncertain: the file is missing, empty, a pipe, or has none of the formats.

    Raises:
        RecordError: the input is a folder, and a folder in it cannot be read.
    """
    path = os.fspath(path)
    if path != STANDARD and os.path.isdir(path):
        return _of_folder(path)
    by_name = _by_name(pathlib.Path(path))
    if by_name is not None:
        return by_name
    head = head_of(path, encoding)
    if not head.strip():
        return None
    if head.startswith(b"PK\x03\x04"):
        return Detected("xlsx", "an XLSX workbook") if _is_workbook(path) else None
    if head.startswith(HEADER.encode()):
        return Detected("webanno", "its first line")
    begins = head.lstrip()
    if begins.startswith(b"<") and b"xmi:XMI" in head:
        return Detected("uima_xmi", "XMI")
    if begins[: max(map(len, _MARKUP))].lower().startswith(_MARKUP):
        return None
    # Columns may also begin with such a character.
    found = _of_json(path, head, encoding) if begins[:1] in (b"{", b"[") else None
    return found or _of_lines(path, head, is_conll=is_conll)


def head_of(path: str, encoding: str = "utf-8") -> bytes:
    """Returns the beginning of an input as UTF-8 without a byte order mark; b"" if the input cannot be read twice."""
    if path == STANDARD:
        peek = getattr(getattr(sys.stdin, "buffer", None), "peek", None)
        return peek(_HEAD_BYTES).removeprefix(BOM) if peek is not None else b""
    if is_stream(path):
        return b""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return b""
    if is_utf8(encoding):
        return head.removeprefix(BOM)
    try:
        text = head.decode(encoding, "ignore")
    except UnicodeError:  # of a codec that ignores nothing, such as punycode; the reader reports it
        return b""
    return text.removeprefix("\ufeff").encode("utf-8", "ignore")


def _of_folder(path: str) -> Detected | None:
    names = list(itertools.islice((name for _, _, names in walk(path) for name in names), _MAX_FILES))
    if any(name.endswith(TEXT_SUFFIX) for name in names):
        # Both are read in the same way, because the mentions' own text decides about the ends.
        return Detected("ccks2018", f"files named *{TEXT_SUFFIX}")
    for suffix, format in ((".ann", "brat"), (".xmi", "uima_xmi")):
        if any(name.endswith(suffix) for name in names):
            return Detected(format, f"files named *{suffix}")
    for folder, _, files in walk(path):
        for name in sorted(files):
            if name.endswith(".json"):
                found = detect(os.path.join(folder, name))
                return found if found and found.format == "uima_json" else None
    return None


def _by_name(path: pathlib.Path) -> Detected | None:
    if path.name.endswith(TEXT_SUFFIX):
        return Detected("ccks2018", f"its name, *{TEXT_SUFFIX}")
    if path.suffix == ".ann" or (path.suffix == ".txt" and path.with_suffix(".ann").is_file()):
        return Detected("brat", "files named *.txt and *.ann")
    text = path.with_name(f"{path.name.removesuffix('.txt')}{TEXT_SUFFIX}")
    # Unlike the method of a path, this function raises no error for a name that is too long.
    if path.suffix == ".txt" and os.path.isfile(text):
        return Detected("ccks2018", f"the file *{TEXT_SUFFIX} beside it")
    return None


def _is_workbook(path: str) -> bool:
    if path == STANDARD:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist() or any(
                name.startswith("xl/") for name in archive.namelist()
            )
    except (OSError, zipfile.BadZipFile):
        return False


def _of_json(path: str, head: bytes, encoding: str) -> Detected | None:
    records = list(_objects(iter((head,))))
    if not records and path != STANDARD:
        # The first record may be longer than the beginning that was read.
        records = list(itertools.islice(_objects(itertools.islice(encoded_chunks(path, encoding), 16)), 1))
    for record in records[:1]:
        why = "the keys of its first record"
        if record.get("entities") == []:
            # The keys of the first mention decide.
            record = next((each for each in records if each.get("entities")), record)
            why = "the keys of its records"
        for format, has_keys in _KEYS:
            if has_keys(record):
                return Detected(format, why)
    return None


def _objects(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yields the first objects, up to a value that is not an object or is cut off."""
    try:
        for line in itertools.islice(json_values(chunks), _MAX_RECORDS):
            yield parsed_object(line.raw.decode("utf-8"))
    except (RecordError, UnicodeDecodeError):
        return


def _has(record: dict[str, Any], *keys: str) -> bool:
    return all(key in record for key in keys)


def _mentions(record: dict[str, Any], key: str, *keys: str) -> bool:
    values = record.get(key)
    return isinstance(values, list) and all(isinstance(each, dict) and _has(each, *keys) for each in values)


def _lists(record: dict[str, Any], key: str) -> bool:
    values = record.get(key)
    return isinstance(values, list) and all(isinstance(each, list) for each in values)


def _is_doccano(record: dict[str, Any]) -> bool:
    if not (_has(record, "text") or isinstance(record.get("data"), str)):
        return False
    objects = any(
        _mentions(record, key, "start_offset", "end_offset") for key in ("entities", "annotations", "label")
    )
    return objects or any(_lists(record, key) for key in ("label", "labels", "entities"))


def _is_label_studio(record: dict[str, Any]) -> bool:
    if isinstance(record.get("data"), dict):
        # A task for import has only its data.
        return any(key in record for key in ("annotations", "predictions", "completions")) or any(
            isinstance(value, str) for value in record["data"].values()
        )
    flat = any(_mentions(record, key, "start", "end", "labels") and record[key] for key in record)
    return flat or _has(record, "annotation_id", "annotator")


# Properties of one format are checked before those that several formats may have.
_KEYS = (
    ("ccks2019", lambda record: _has(record, "originalText")),
    ("uima_json", lambda record: _has(record, "%FEATURE_STRUCTURES")),
    ("uie", lambda record: _has(record, "content", "prompt", "result_list")),
    ("label_studio", _is_label_studio),
    (
        "huggingface",
        lambda record: any(key in record for key in TOKENS) and any(key in record for key in TAGS),
    ),
    (
        "cmeee",
        lambda record: (
            _has(record, "text")
            and bool(record.get("entities"))
            and _mentions(record, "entities", "start_idx", "end_idx")
        ),
    ),
    ("doccano", _is_doccano),
    ("cmeee", lambda record: _has(record, "text", "entities")),
)


def _of_lines(path: str, head: bytes, *, is_conll: bool) -> Detected | None:
    lines = list(split_lines(iter((head,))))
    # Of a stream, only the content of its buffer is known.
    is_cut = path == STANDARD or os.path.getsize(path) > _HEAD_BYTES
    if is_cut and len(lines) > 1 and not head.endswith(b"\n"):
        # The last line may be cut off.
        lines.pop()
    suffix = pathlib.Path(path).suffix.lower()
    first = next(line.raw.decode("utf-8", "replace").strip() for line in lines if line.raw.strip())
    if first.startswith(DOCUMENT_START) or is_sentence(first.encode()):
        return Detected("conll", "columns with a tag")
    header = first.partition("\r")[0]
    names = {name.strip().lower().strip('"') for name in re.split(r"[,;\t]", header)}
    # A table may have a last column of letters, too, but not in its first row.
    is_named = len(names) > 1 and bool(names & set(TEXT_NAMES)) and not looks_like_columns([header.encode()])
    if not is_named and looks_like_columns(
        [line.raw for line in lines], all_of_them=suffix in (".csv", ".tsv")
    ):
        found = list(blocks(lines))
        whole = found[:-1] if is_cut and len(found) > 1 else found
        return Detected("bio" if not is_conll and _is_bio(whole) else "conll", "columns with a tag last")
    if suffix in _COLUMNS:
        return Detected("bio" if suffix == ".bio" and not is_conll else "conll", "its name")
    if suffix in (".csv", ".tsv"):
        return Detected("csv", "its name")
    if SEPARATOR.fullmatch(header):
        return Detected("csv", "its first line")
    if is_named:
        # A plain text may begin with one such word and a comma.
        known = names & {*TEXT_NAMES, *ID_NAMES, *COLUMNS}
        if suffix != ".txt" or len(known) > 1 or "\t" in header:
            return Detected("csv", "the names of its columns")
    if looks_like_text([line.raw for line in lines], named_so=suffix == ".txt"):
        return Detected("text", "lines of text")
    return None


def _is_bio(records: Sequence[Sequence[Any]]) -> bool:
    """Returns whether rows are single characters with tags that follow BIO's rules."""
    for block in records:
        rows = (line.raw.decode("utf-8", "replace") for line in block if not line.raw.startswith(b"# {"))
        tags = [row_tag(row.removesuffix("\r")) for row in rows]
        if None in tags or isinstance(decode([tag for tag in tags if tag], "bio"), int):
            return False
    return True
