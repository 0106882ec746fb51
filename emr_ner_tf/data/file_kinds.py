"""Recognizes files that obviously have another format than the one they are read as, to report this only once."""

import codecs
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from emr_ner_tf.data.bio_columns import TAG, UNREADABLE_TAG, row_tag, split_columns
from emr_ner_tf.data.lines import Line, decoded, read_lines, source_name
from emr_ner_tf.data.record_error import RecordError

# Number of non-blank lines at the beginning of a file that are examined if the first one is invalid.
_SAMPLE = 5
_BINARY = (
    (b"\x1f\x8b", "data compressed by gzip", "unpack it first (gunzip)"),
    (b"BZh", "data compressed by bzip2", "unpack it first (bunzip2)"),
    (b"\xfd7zXZ\x00", "data compressed by xz", "unpack it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "data compressed by Zstandard", "unpack it first (unzstd)"),
    (b"PK\x03\x04", "a ZIP archive or an Office document", "unpack it, or save it as plain text in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Office document", "save it as plain text in UTF-8"),
    (b"%PDF-", "a PDF document", "export its text in UTF-8"),
)
_UTF16 = ("UTF-16 text", "read it with --encoding=utf-16, or convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)")
_GB18030 = (
    "GBK or GB18030 text",
    "read it with --encoding=gb18030, or convert it to UTF-8 (iconv -f GB18030 -t UTF-8)",
)
_ARRAY = (
    "one JSON array, and JSON lines have one object on each line, without brackets and commas around them",
    "read it with --format=ccks2019, or convert it: jq -c '.[]' FILE > FILE.jsonl",
)
_SPREAD = (
    "JSON objects that are spread over several lines, and JSON lines have one object on each line",
    "read it with --format=ccks2019, or convert it: jq -c . FILE > FILE.jsonl",
)
_JSON_LINES = ("JSON lines", "read it with --format=ccks2019")
_BIO = (
    "BIO columns",
    "read it with --format=bio, or convert it to JSON lines with `emr-ner data convert`",
)
_TEXT = ("plain text", "bare texts without mentions are read with --format=text")
_MARKUP = ("XML or HTML", "convert it to JSON lines")
_ARRAY_BEGINS = re.compile(rb"\[\s*($|[\[{\"\]0-9-]|true|false|null)")
# The number of a reference, or a date, in front of text.
_REFERENCE = re.compile(rb"\[\s*[0-9][0-9\s,.:/-]*\]\s*[^\s,\]]")


def check_kind(lines: Iterable[Line], path: str, format: str) -> Iterator[Line]:
    """Yields the lines of a file, unless its first ones obviously have another format.

    A file whose first non-blank line is valid is accepted, whatever follows.

    Args:
        lines: lines of the file.
        path: its name in messages.
        format: format of the reader: "ccks2019", "bio" or "text".

    Raises:
        RecordError: while iterating: the file has another format; the message names it and the remedy.
    """
    lines = iter(lines)
    for line in lines:
        if not _stripped(line):
            yield line
            continue
        buffered = [line]
        if not _as_expected(_stripped(line), format):
            sample = [line]
            for more in lines:
                buffered.append(more)
                if more.raw.strip():
                    sample.append(more)
                    if len(sample) == _SAMPLE:
                        break
            stripped = [_stripped(each) for each in sample]
            _refuse_encoding(stripped[0], path, line.number)
            kind = _KINDS[format](stripped)
            if kind is not None:
                looks, remedy = kind
                problem = f"the file looks like {looks}; it is read as {format}"
                raise RecordError(problem, path=path, remedy=remedy)
        yield from buffered
        yield from lines


def read_text_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yields the number and the text of each line of a file that must be UTF-8.

    Raises:
        RecordError: while iterating: the file cannot be read or has another format, or a line is not UTF-8.
    """
    name = source_name(path)
    for line in read_lines(path):
        if line.number == 1:
            _refuse_encoding(line.raw, name, line.number)
        try:
            text = decoded(line)
        except RecordError as error:
            error.path = name
            raise
        yield line.number, text


def looks_like(head: bytes) -> str:
    """Describes what the first bytes of a file look like: an encoding, a compressed file, or "" if it is uncertain."""
    kind = _encoding(head)
    if kind is not None:
        return kind[0]
    try:
        # The last character may be incomplete.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return ""
    return "" if head.isascii() else "UTF-8 text"


def spread_json(head: bytes) -> bool:
    """Returns whether a file begins with one JSON array, or with an object over several lines, unlike JSON lines."""
    sample = _sample_of(head.split(b"\n"))
    return bool(sample) and _not_json_lines(sample) in (_ARRAY, _SPREAD)


def looks_like_columns(lines: Sequence[bytes], *, all_of_them: bool = False) -> bool:
    """Returns whether most of the first lines, or all of them, are columns whose last one is a tag."""
    sample = _sample_of(lines)
    return bool(sample) and _are_tagged(sample, all_of_them=all_of_them)


def looks_like_text(lines: Sequence[bytes], *, named_so: bool) -> bool:
    """Returns whether lines are plain text in UTF-8.

    Args:
        lines: lines of a file.
        named_so: whether the name of the file suggests text; if not, a single line is not enough.
    """
    sample = _sample_of(lines)
    if not sample or any(map(_may_be_json, sample)) or _encoding(b"\n".join(sample)) is not None:
        return False
    return named_so or _not_json_lines(sample) is _TEXT


def encoding_remedy(raw: bytes, *, is_first: bool) -> str | None:
    """Returns the remedy for a line that is not UTF-8 if it certainly has another encoding; None otherwise."""
    if is_first and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it looks like {}: {}".format(*_UTF16)
    return "it looks like {}: {}".format(*_GB18030) if _is_gb18030(raw) else None


def _sample_of(lines: Iterable[bytes]) -> list[bytes]:
    # The first character of a row of columns may be a blank.
    stripped = (line.rstrip(b" \t\r") for line in lines)
    return list(itertools.islice(filter(None, stripped), _SAMPLE))


def _refuse_encoding(first: bytes, path: str, number: int) -> None:
    kind = _encoding(first)
    if kind is not None:
        looks, remedy = kind
        problem = f"the line is not valid UTF-8, and the file looks like {looks}"
        raise RecordError(problem, path=path, line=number, remedy=remedy)


def _stripped(line: Line) -> bytes:
    return line.raw.rstrip(b" \t\r")


def _as_expected(first: bytes, format: str) -> bool:
    if format == "ccks2019":
        return isinstance(_json(first), dict)
    if format == "bio":
        return first.startswith(b"# {") or _is_row(first)
    return False


def _not_json_lines(sample: Sequence[bytes]) -> tuple[str, str] | None:
    """Describes what the first lines look like, with the remedy; None if they may have the format, with faults."""
    first = sample[0].lstrip()
    if first.startswith(b"{"):
        return _SPREAD if _is_spread(sample) else None
    if _begins_array(first):
        # Several arrays, one per line, are bad records of JSON lines.
        alone = len(sample) == 1 or _json(first) is None or not sample[1].lstrip().startswith(b"[")
        return _ARRAY if alone else None
    if _are_tagged(sample):
        return _BIO
    if first.startswith((b"<?xml", b"<!DOCTYPE", b"<html")):
        return _MARKUP
    return _TEXT if len(sample) > 1 and not any(map(_may_be_json, sample)) else None


def _not_columns(sample: Sequence[bytes]) -> tuple[str, str] | None:
    first = sample[0]
    if isinstance(_json(first), dict):
        return _JSON_LINES
    if _is_spread(sample):
        return _SPREAD
    if _is_array_of_objects(sample):
        return _ARRAY
    counts = {len(_decoded(line).split()) for line in sample}
    if len(sample) == 1 or len(counts) > 1:
        return None
    (count,) = counts
    if count == 1:
        return _TEXT
    if count == 2:
        return None
    return f"{count} columns, and BIO columns are a character and its tag", "keep these two columns alone"


def _not_texts(sample: Sequence[bytes]) -> tuple[str, str] | None:
    value = _json(sample[0])
    if isinstance(value, dict) and "originalText" in value:
        return _JSON_LINES
    if _is_spread(sample):
        return _SPREAD
    if _is_array_of_objects(sample):
        return _ARRAY
    rows = [_is_row(line) for line in sample if not line.startswith(b"# {")]
    return _BIO if len(rows) > 1 and all(rows) else None


# For each format of a reader: the function that describes what a file looks like instead, with the remedy.
_KINDS = {"ccks2019": _not_json_lines, "bio": _not_columns, "text": _not_texts}


def _encoding(first: bytes) -> tuple[str, str] | None:
    for magic, looks, remedy in _BINARY:
        if first.startswith(magic):
            return looks, remedy
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) or 4 * first.count(0) >= max(len(first), 4):
        return _UTF16
    return _GB18030 if _is_gb18030(first) else None


def _is_gb18030(raw: bytes) -> bool:
    """Returns whether bytes are not UTF-8, but Chinese text of everyday characters in GB18030."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return False
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    wide = [character.encode("gb18030") for character in text if ord(character) > 127]
    # Damaged UTF-8 can often be decoded, too, but to rare characters.
    common = [
        code for code in wide if (0xA1 <= code[0] <= 0xA3 or 0xB0 <= code[0] <= 0xD7) and code[1] > 0xA0
    ]
    return len(common) >= 0.8 * len(wide)


def _are_tagged(sample: Sequence[bytes], *, all_of_them: bool = False) -> bool:
    lasts = [_last_column(_decoded(line)) for line in sample if not line.startswith(b"# {")]
    tags = [last for last in lasts if TAG.fullmatch(last)]
    if len(lasts) == 1 and tags and tags[0].startswith(("L-", "U-")):
        # A single line of text may end in the name of a drug, such as L-carnitine.
        return False
    # A letter without a label is a tag with a fault only beside tags.
    faulty = [last for last in lasts if UNREADABLE_TAG.fullmatch(last)] if tags else []
    found = len(tags) + len(faulty)
    return found == len(lasts) > 0 if all_of_them else 2 * found > len(lasts)


def _last_column(text: str) -> str:
    """Returns the last column of a line; empty if there is only one."""
    tag = row_tag(text)
    if tag is not None and TAG.fullmatch(tag):
        return tag
    return "".join(split_columns(text)[1:][-1:])


def _is_row(raw: bytes) -> bool:
    tag = row_tag(_decoded(raw))
    return tag is not None and TAG.fullmatch(tag) is not None


def _is_spread(sample: Sequence[bytes]) -> bool:
    return (
        sample[0].lstrip().startswith(b"{")
        and _json(sample[0]) is None
        and len(sample) > 1
        and sample[1].lstrip().startswith(b'"')
    )


def _is_array_of_objects(sample: Sequence[bytes]) -> bool:
    first = sample[0].lstrip()
    if first == b"[":
        return len(sample) > 1 and sample[1].lstrip().startswith(b"{")
    value = _json(first) if first.startswith(b"[") else None
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _may_be_json(raw: bytes) -> bool:
    raw = raw.lstrip()
    return raw.startswith(b"{") or _begins_array(raw)


def _begins_array(raw: bytes) -> bool:
    return _ARRAY_BEGINS.match(raw) is not None and _REFERENCE.match(raw) is None


def _json(raw: bytes) -> Any:
    """Parses bytes as JSON; returns None if they are not."""
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
