"""PaddleNLP's UIE: a record has one line for each label, with the text, the label as prompt and the mentions."""

import collections
import contextlib
import os
from collections.abc import Collection, Iterator
from typing import Any

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, TextWriter
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import MENTION_KEYS, RECORD_KEYS, Losses
from emr_ner_tf.data.formats.offsets import CODE_POINTS, readings
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record, Source, mention_of
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.json_fields import list_of, object_of, string_of
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError, describe_name

_OF = "的"
_JOINED = "records apart from another one with the same text and id"


def _read(source: Source) -> Iterator[Record]:
    """Collects the lines of each text, wherever they are in the file, which is read into memory."""
    texts: dict[tuple[str, Any], list[Record]] = {}
    # For each text, the number of its lines with each prompt.
    prompts: dict[tuple[str, Any], collections.Counter[str]] = {}
    order: list[Record | tuple[str, Any]] = []

    def parse(item: dict[str, Any]) -> Record:
        prompt = string_of(item, "prompt")
        mentions = []
        for number, result in enumerate(list_of(item, "result_list"), start=1):
            result = object_of(result, number)
            source.losses.add(MENTION_KEYS, "prompt" in result)
            mentions.append(mention_of(result | {"prompt": prompt}, number, "start", "end", "prompt", "text"))
        extra = {key: value for key, value in item.items() if key not in ("content", "prompt", "result_list")}
        text = string_of(item, "content")
        prompts.setdefault((text, json_line(extra.get("id"))), collections.Counter())[prompt] += 1
        return Record(0, b"", text, mentions, extra)

    for record in read_json(source, parse):
        if record.error is not None:
            order.append(record)
            continue
        key = (record.text, json_line(record.extra.get("id")))
        if key not in texts:
            order.append(key)
        texts.setdefault(key, []).append(record)
    for each in order:
        if isinstance(each, Record):
            yield each
        else:
            # A record has one line for each prompt; a record without mentions has a line without a prompt.
            found = prompts.pop(each)
            without = found.pop("", 0)
            source.losses.add(_JOINED, without + max(found.values(), default=0) - 1)
            yield _joined(texts.pop(each), source)


def _joined(records: list[Record], source: Source) -> Record:
    """Returns the record of the lines of a text; prompts for relations, such as `MENTION的LABEL`, are left out."""
    owns = {mention.text for record in records for mention in record.mentions}
    kept: dict[tuple[int, int, str], Mention] = {}
    for record in records:
        for mention in record.mentions:
            place = (mention.start, mention.end, mention.label)
            if _is_relation(mention.label, owns):
                source.losses.add("relations")
            elif place in kept:
                source.losses.add("repeated mentions")
            else:
                mention.line = record.line
                kept[place] = mention
    first = records[0]
    raw = b"\n".join(record.raw for record in records)
    extra: dict[str, Any] = {}
    for record in records:
        source.losses.add(
            RECORD_KEYS, sum(extra.get(key, value) != value for key, value in record.extra.items())
        )
        extra |= record.extra
    return Record(first.line, raw, first.text, list(kept.values()), extra, number=first.number)


def _is_relation(label: str, owns: Collection[str | None]) -> bool:
    """Returns whether a prompt is `MENTION的LABEL` with the text of one of the record's mentions."""
    subject = label.rpartition(_OF)[0]
    return bool(subject) and subject in owns


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[TextWriter]:
    written: set[int] = set()

    def render(document: Document) -> str:
        key = hash((document.text, json_line(document.extra.get("id"))))
        losses.add(_JOINED, key in written)
        written.add(key)
        return _render(document)

    with atomic_writer(path) as file:
        yield TextWriter(file, path, render)


def _render(document: Document) -> str:
    offsets = offsets_of(document, CODE_POINTS)
    owns = {entity.text for entity in document.entities}
    for number, entity in enumerate(document.entities, start=1):
        if _is_relation(entity.label, owns):
            raise RecordError(
                "is a relation in UIE, since it begins with the text of a mention",
                key="label",
                value=describe_name(entity.label),
                entity=number,
                remedy="rename the label, or write another format",
            )
    by_label: dict[str, list[dict[str, Any]]] = {}
    for entity in document.entities:
        start, end = offsets(entity)
        by_label.setdefault(entity.label, []).append({"text": entity.text, "start": start, "end": end})
    # A record without mentions gets a line, so that it is not lost.
    by_label = by_label or {"": []}
    return "".join(
        json_line({"content": document.text, "result_list": found, "prompt": label} | _id(document)) + "\n"
        for label, found in by_label.items()
    )


def _id(document: Document) -> dict[str, Any]:
    return {"id": document.extra["id"]} if "id" in document.extra else {}


FORMAT = Format(
    name="uie",
    summary="PaddleNLP's UIE: a line for each label, with content, prompt and result_list",
    extension="jsonl",
    unit="code points, exclusive ends",
    holds=frozenset(("ids", "overlapping mentions", "mentions", "records without text")),
    read=_read,
    readings=readings(),
    open=_open,
)
