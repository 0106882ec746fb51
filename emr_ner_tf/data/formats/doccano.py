"""doccano's JSON lines, in all forms that its versions export and import."""

from collections.abc import Iterator
from typing import Any

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, text_writer
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import Reading, readings
from emr_ner_tf.data.formats.records import Mention, Record, Source, mention_of
from emr_ner_tf.data.formats.written import offsets_of, record_keys
from emr_ner_tf.data.json_fields import list_of, string_of
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError, describe_value

_TEXTS = ("text", "data")
_MENTIONS = ("entities", "label", "labels", "annotations")
_WRITTEN = Reading("utf16", "exclusive", "two")


def _read(source: Source) -> Iterator[Record]:
    def parse(item: dict[str, Any]) -> Record:
        text_key = next((key for key in _TEXTS if key in item), _TEXTS[0])
        key = next((key for key in _MENTIONS if key in item), "label")
        text = string_of(item, text_key)
        found = list_of(item, key, required=source.require_entities)
        mentions = [_mention(mention, number) for number, mention in enumerate(found, start=1)]
        extra = {name: value for name, value in item.items() if name not in (text_key, key, "relations")}
        if extra.get("Comments") == []:
            del extra["Comments"]
        if item.get("relations"):
            source.losses.add("relations", len(list_of(item, "relations")))
        return Record(0, b"", text, mentions, extra)

    return read_json(source, parse)


def _mention(value: Any, number: int) -> Mention:
    if isinstance(value, dict):
        return mention_of(value, number, "start_offset", "end_offset", "label")
    if not isinstance(value, list) or len(value) != 3:
        problem = "the mention is neither an object nor a list of start, end and label"
        raise RecordError(problem, value=describe_value(value), entity=number)
    keys = ("start", "end", "label")
    return mention_of(dict(zip(keys, value, strict=True)), number, *keys)


def _render(document: Document, losses: Losses) -> str:
    offsets = offsets_of(document, _WRITTEN)
    record = {"id": document.extra["id"]} if "id" in document.extra else {}
    written = {
        "text": document.text,
        "label": [[*offsets(entity), entity.label] for entity in document.entities],
    }
    # The reader would interpret `entities` as the mentions.
    others = record_keys(document, (*written, "entities", "relations"), losses)
    return json_line(record | written | others) + "\n"


FORMAT = Format(
    name="doccano",
    summary="doccano's JSON lines (lists of start, end and label, or objects)",
    extension="jsonl",
    unit="UTF-16 units (grapheme clusters where the project counts them), exclusive ends",
    holds=frozenset(("ids", "keys of records", "overlapping mentions", "mentions", "records without text")),
    read=_read,
    # In a project that counts grapheme clusters, CR LF is one cluster.
    readings=(*readings("utf16", fixed=("end",)), Reading("grapheme", "exclusive", "one")),
    open=text_writer(_render),
)
