"""CMeEE of CBLUE, V1 and V2: an array of objects with a text and nested mentions, whose ends are inclusive."""

from collections.abc import Iterator
from typing import Any

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, text_writer
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import HOLDS, Losses
from emr_ner_tf.data.formats.offsets import Reading, readings
from emr_ner_tf.data.formats.records import Mention, Record, Source, mention_of
from emr_ner_tf.data.formats.written import offsets_of, other_keys, record_keys
from emr_ner_tf.data.json_fields import list_of, object_of, string_of
from emr_ner_tf.data.lines import json_line

_WRITTEN = Reading("codepoint", "inclusive", "two")
# Copies of the corpus use other names for the keys.
_STARTS = ("start_idx", "start", "start_offset")
_ENDS = ("end_idx", "end", "end_offset")
_TYPES = ("type", "label")
_TEXTS = ("entity", "text", "mention")


def _read(source: Source) -> Iterator[Record]:
    def parse(item: dict[str, Any]) -> Record:
        text = string_of(item, "text")
        entities = list_of(item, "entities", required=source.require_entities)
        mentions = [_mention(object_of(entity, number), number) for number, entity in enumerate(entities, 1)]
        extra = {key: value for key, value in item.items() if key not in ("text", "entities")}
        return Record(0, b"", text, mentions, extra)

    return read_json(source, parse)


def _mention(item: dict[str, Any], number: int) -> Mention:
    keys = [
        next((key for key in choices if key in item), choices[0])
        for choices in (_STARTS, _ENDS, _TYPES, _TEXTS)
    ]
    return mention_of(item, number, *keys)


def _render(document: Document, losses: Losses) -> str:
    offsets = offsets_of(document, _WRITTEN)
    entities = []
    for entity in document.entities:
        start, end = offsets(entity)
        item = {"start_idx": start, "end_idx": end, "type": entity.label, "entity": entity.text}
        entities.append(item | other_keys(entity, item.keys(), losses))
    record = {"id": document.extra["id"]} if "id" in document.extra else {}
    written = {"text": document.text, "entities": entities}
    return json_line(record | written | record_keys(document, written, losses))


FORMAT = Format(
    name="cmeee",
    summary="CMeEE V1 and V2 (CBLUE): one JSON array, or JSON lines, with nested mentions",
    extension="json",
    unit="code points, inclusive ends",
    holds=frozenset(HOLDS),
    read=_read,
    readings=readings(end="inclusive"),
    open=text_writer(_render, head="[\n", separator=",\n", tail="\n]\n"),
)
