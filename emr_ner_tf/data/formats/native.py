"""The formats that `reading` reads line by line: CCKS2019, BIO columns, plain text; and other forms of CCKS2019."""

import contextlib
import os
import string
from collections.abc import Iterator
from typing import Any

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.bio_columns import bio_block
from emr_ner_tf.data.ccks2019 import END, ENTITIES, LABEL, SCORE, START, TEXT, record_line
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, TextWriter, text_writer
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import HOLDS, MENTION_KEYS, RECORD_KEYS, Losses
from emr_ner_tf.data.formats.offsets import CODE_POINTS
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source, mention_of
from emr_ner_tf.data.json_fields import list_of, object_of, string_of
from emr_ner_tf.data.own_text import false_texts, own_text_key
from emr_ner_tf.data.record_error import RecordError


def _read_ccks2019(source: Source) -> Iterator[Record]:
    """Yields the records of one array, or records whose offsets have another unit."""

    def parse(item: dict[str, Any]) -> Record:
        text = string_of(item, TEXT)
        mentions = []
        entities = list_of(item, ENTITIES, required=source.require_entities)
        for number, entity in enumerate(entities, start=1):
            entity = object_of(entity, number)
            key = own_text_key(entity)
            mention = mention_of(entity, number, START, END, LABEL, key)
            if key is not None:
                mention.extra[key] = entity[key]
            mentions.append(mention)
        extra = {key: value for key, value in item.items() if key not in (TEXT, ENTITIES)}
        return Record(0, b"", text, mentions, extra)

    return read_json(source, parse)


def _count_taken(document: Document, losses: Losses, *names: str) -> None:
    """Counts keys of the record and its mentions whose names the format uses itself."""
    losses.add(RECORD_KEYS, sum(key in document.extra for key in (TEXT, ENTITIES)))
    for entity in document.entities:
        taken = (*names, *false_texts(entity.extra, entity.text), *[SCORE] * (entity.score is not None))
        losses.add(MENTION_KEYS, sum(key in entity.extra for key in taken))


def _record_line(document: Document, losses: Losses) -> str:
    _count_taken(document, losses, LABEL, START, END)
    return f"{record_line(document)}\n"


def _bio_block(document: Document, losses: Losses) -> str:
    _count_taken(document, losses)
    return bio_block(document)


@contextlib.contextmanager
def _open_text(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[TextWriter]:
    # The first U+FEFF of a file would be read as a byte order mark.
    mark = "\ufeff"

    def render(document: Document) -> str:
        nonlocal mark
        text = document.text
        if (at := text.find("\n")) >= 0:
            problem = "holds a line feed, which would end the record; write ccks2019 instead"
            raise RecordError(problem, key="text", value=f"character {at}")
        if text and not text.strip(string.whitespace):
            losses.add("texts of white space alone")
        else:
            losses.add("carriage returns at the end of a text", text.endswith("\r"))
        begins, mark = mark * text.startswith("\ufeff"), ""
        return f"{begins}{text}\n"

    with atomic_writer(path) as file:
        yield TextWriter(file, path, render)


CCKS2019 = Format(
    name="ccks2019",
    summary="CCKS2019 task 1: JSON lines, or one array",
    extension="jsonl",
    unit="code points, exclusive ends",
    holds=frozenset(HOLDS),
    read=_read_ccks2019,
    readings=(CODE_POINTS,),
    open=text_writer(_record_line),
)
BIO = Format(
    name="bio",
    summary="one character and its BIO tag a line; keys are kept in comments",
    extension="bio",
    unit="none",
    holds=frozenset(HOLDS) - {"overlapping mentions"},
    open=text_writer(_bio_block),
)
TEXT_LINES = Format(
    name="text",
    summary="one bare text a line",
    extension="txt",
    unit="none",
    holds=frozenset(),
    open=_open_text,
)
