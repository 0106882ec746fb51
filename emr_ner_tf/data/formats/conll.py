"""CoNLL columns: each line has a token first and its tag last; a blank line ends a record."""

import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterator, Sequence

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.bio_columns import TAG, blocks, split_columns, written_character
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, TextWriter
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source
from emr_ner_tf.data.formats.tags import TaggedRecord, encode, join_tokens, resolve_tags
from emr_ner_tf.data.lines import Line, decoded_columns
from emr_ner_tf.data.record_error import RecordError

DOCUMENT_START = "-DOCSTART-"
_MAX_COLUMNS = 4
# Types of the phrases that are tagged in CoNLL-2000 and CoNLL-2003.
_PHRASES = frozenset(
    ("ADJP", "ADVP", "CONJP", "INTJ", "LST", "NC", "NP", "PC", "PP", "PRT", "SBAR", "UCP", "VC", "VP")
)
_CODE = re.compile(r"<U\+([0-9A-F]{4,6})>")


def _read(source: Source) -> Iterator[Record]:
    return resolve_tags(_tagged(source), source.options.scheme, source.notes)


def _tagged(source: Source) -> Iterator[TaggedRecord]:
    phrases: set[int] = set()
    for block in _blocks(source.lines()):
        raw = b"\n".join(line.raw for line in block)
        if is_sentence(block[0].raw):
            for line in block:
                yield _guarded(Record(line.number, line.raw), [line], source, phrases, one_line=True)
        else:
            yield _guarded(Record(block[0].number, raw), block, source, phrases)


def _blocks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Splits the lines of a file into records, at blank lines and at lines of a document's start."""
    for block in blocks(lines):
        for is_start, rows in itertools.groupby(block, _starts_document):
            if not is_start:
                yield list(rows)


def _starts_document(line: Line) -> bool:
    return line.raw.lstrip().startswith(DOCUMENT_START.encode())


def is_sentence(raw: bytes) -> bool:
    """Returns whether a line is a sentence of spaCy: word|tag or word|part of speech|tag, separated by blanks."""
    fields = (field.rpartition("|") for field in raw.decode("utf-8", "replace").split())
    return bool(raw.strip()) and all(word and TAG.fullmatch(tag) for word, _, tag in fields)


def _guarded(
    record: Record, block: Sequence[Line], source: Source, phrases: set[int], *, one_line: bool = False
) -> TaggedRecord:
    try:
        rows = _sentence_rows(block[0]) if one_line else _rows(block)
        lines = [line.number for line in block]
        return _of_rows(record, rows, lines, source.options.tag_column, phrases)
    except RecordError as error:
        record.error = error
        return TaggedRecord(record)


def _sentence_rows(line: Line) -> list[list[str]]:
    return [field.split("|") for field in decoded_columns(line).split()]


def _rows(block: Sequence[Line]) -> list[list[str]]:
    rows: list[list[str]] = []
    for line in block:
        columns = split_columns(decoded_columns(line))
        first = len(rows[0]) if rows else len(columns)
        if not 2 <= len(columns) <= _MAX_COLUMNS:
            problem = f"a line must have 2 to {_MAX_COLUMNS} columns, token first and tag last, got"
            raise RecordError(problem, value=str(len(columns)), line=line.number)
        if len(columns) != first:
            problem = f"a line must have as many columns as the record's first ({first}), got"
            raise RecordError(problem, value=str(len(columns)), line=line.number)
        rows.append(columns)
    return rows


def _of_rows(
    record: Record,
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
    tag_column: int,
    phrases: set[int],
) -> TaggedRecord:
    columns = len(rows[0])
    if tag_column > columns:
        raise RecordError(f"--tag_column={tag_column} is past the last of {columns} columns")
    other = 0 if tag_column else _other_tags(rows, phrases)
    if other:
        raise RecordError(
            "two columns hold tags, as for a comparison of a model with its gold annotation",
            remedy=f"name the column to read: --tag_column={other} or --tag_column={columns}",
        )
    if (
        columns > 2
        and len(rows) > 1
        and [row[0] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]
        # Tokens, and not the same part of speech of some numbers.
        and len({row[1] for row in rows}) > 1
    ):
        raise RecordError(
            "the first column numbers the rows, and the first column must have the tokens",
            value=f"1 to {len(rows)}",
            remedy="remove that column",
        )
    lines = lines if len(lines) == len(rows) else ()
    tokens = [_token(row[0], lines[i] if lines else None) for i, row in enumerate(rows)]
    record.text, starts, ends = join_tokens(tokens)
    tags = [row[tag_column - 1] for row in rows]
    return TaggedRecord(record, starts, ends, tags, lines)


def _other_tags(rows: Sequence[Sequence[str]], phrases: set[int]) -> int:
    """Returns the column between the first and the last that also has tags of mentions; 0 if there is none.

    Args:
        rows: rows of a record.
        phrases: columns of the file with tags of phrases, as in CoNLL-2000 and CoNLL-2003; those of the record are
            added.
    """
    *columns, last = ([row[i] for row in rows] for i in range(1, len(rows[0])))
    for number, column in enumerate(columns, start=2):
        labels = {tag.partition("-")[2] for tag in column} - {""}
        if labels and labels <= _PHRASES:
            phrases.add(number)
        both = {*column, *last}
        are_tags = number not in phrases and column != last and all(map(TAG.fullmatch, both))
        if are_tags or set(column) & set(last) - {"O"}:
            return number
    return 0


def _token(written: str, line: int | None) -> str:
    match = _CODE.fullmatch(written)
    if match is None:
        return written
    if int(match[1], 16) > sys.maxunicode:
        raise RecordError("is no code point", key="token", value=match[0], line=line)
    return chr(int(match[1], 16))


def tagged_lines(document: Document, scheme: str, losses: Losses) -> list[tuple[str, str]]:
    """Returns the characters of a document, each with its tag.

    Args:
        document: document without overlapping mentions.
        scheme: one of `options.SCHEMES`.
        losses: receives the counts of what the scheme cannot represent.
    """
    spans = [(entity.start, entity.end, entity.label) for entity in document.entities]
    if scheme == "io":
        touching = sum(a[1:] == (b[0], b[2]) for a, b in itertools.pairwise(spans))
        losses.add("bounds between touching mentions", touching)
    return list(zip(document.text, encode(spans, len(document.text), scheme), strict=True))


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[TextWriter]:
    def render(document: Document) -> str:
        rows = tagged_lines(document, options.scheme or "bio", losses)
        lines = [f"{written_character(character)}\t{tag}\n" for character, tag in rows]
        return "".join([*lines, "\n"]) if lines else ""

    with atomic_writer(path) as file:
        yield TextWriter(file, path, render)


FORMAT = Format(
    name="conll",
    summary="CoNLL columns of 2 to 4: token first, tag last, in six tag schemes",
    extension="conll",
    unit="none",
    holds=frozenset(("mentions",)),
    read=_read,
    options=("scheme", "tag_column"),
    open=_open,
)
