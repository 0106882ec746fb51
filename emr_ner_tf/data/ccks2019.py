"""Reads and writes records as CCKS2019 JSON lines, each with a text and its mentions."""

from collections.abc import Collection, Mapping
from typing import Any

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.json_fields import check_span_keys, list_of, object_of, string_of
from emr_ner_tf.data.lines import json_line, parsed_object
from emr_ner_tf.data.own_text import check_own_text, false_texts, other_counting
from emr_ner_tf.data.record_error import RecordError, describe_value
from emr_ner_tf.data.validation import check_known, check_label, check_text, settle_overlaps

TEXT, ENTITIES, ID = "originalText", "entities", "id"
LABEL, START, END, SCORE, OVERLAP = "label_type", "start_pos", "end_pos", "score", "overlap"


def record_line(document: Document) -> str:
    """Writes a document as one JSON line, without the line feed.

    The id comes first, if the record had one, and other keys come last. A mention keeps its keys. The format requires
    `overlap`, which is 0 by default; `score` is written if the mention has one.
    """
    extra = document.extra
    record: dict[str, Any] = {ID: extra[ID]} if ID in extra else {}
    record[TEXT] = document.text
    record[ENTITIES] = [_mention(entity) for entity in document.entities]
    return json_line(record | {key: value for key, value in extra.items() if key not in record})


def parse_record(
    line: str,
    default_id: str,
    *,
    labels: Collection[str] | None = None,
    overlaps: str = "error",
    require_entities: bool = True,
) -> tuple[Document, int]:
    """Parses and checks one line.

    Args:
        line: the line, without a byte order mark.
        default_id: id of the document if the record has none.
        labels: the labels in use; None accepts any.
        overlaps: "error", "longest" (see `validation.keep_longest_spans`), or "all", which keeps every mention.
        require_entities: whether the record must have `entities`; if it has them, they are always checked.

    Returns:
        The document and the number of mentions that `overlaps` left out.

    Raises:
        RecordError: the record is bad; file and line are not set.
    """
    record = parsed_object(line)
    text = string_of(record, TEXT)
    check_text(text, TEXT)
    items = list_of(record, ENTITIES, required=require_entities)
    given = [(_entity(item, number, text), number) for number, item in enumerate(items, start=1)]
    entities = settle_overlaps(given, overlaps, key=START)
    for entity, number in given:
        check_known(entity.label, labels, key=LABEL, entity=number)
    extra = {key: value for key, value in record.items() if key not in (TEXT, ENTITIES)}
    return Document(document_id(extra, default_id), text, tuple(entities), extra), len(given) - len(entities)


def document_id(extra: Mapping[str, Any], default: str) -> str:
    """Returns a record's id as a string, or `default` if `id` is missing, null or empty.

    Raises:
        RecordError: `id` is neither a string nor a whole number.
    """
    given = extra.get(ID)
    if given is None or given == "":
        return default
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RecordError("is neither a string nor a whole number", key=ID, value=describe_value(given))
    check_text(str(given), ID)
    return str(given)


def parse_score(keys: dict[str, Any]) -> float | None:
    """Removes `score` from a mention's keys and returns it if it is a probability; any other value remains."""
    score = keys.get(SCORE)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return None
    return float(keys.pop(SCORE))


def _mention(entity: Entity) -> dict[str, Any]:
    # Mentions of other formats may have keys with these names.
    taken = (LABEL, *false_texts(entity.extra, entity.text))
    extra = {key: value for key, value in entity.extra.items() if key not in taken}
    mention = {LABEL: entity.label, OVERLAP: 0, **extra, START: entity.start, END: entity.end}
    return mention | _score(entity)


def _score(entity: Entity) -> Mapping[str, float]:
    return {} if entity.score is None else {SCORE: entity.score}


def _entity(item: Any, number: int, text: str) -> Entity:
    item = object_of(item, number)
    check_span_keys(item, number, start=START, end=END, label=LABEL)
    start, end = item[START], item[END]
    extra = {key: value for key, value in item.items() if key not in (LABEL, START, END)}
    if start < 0:
        raise RecordError("is before the text", key=START, value=describe_value(start), entity=number)
    problem = None
    if end > len(text):
        problem = f"is past the end of the text ({len(text)} characters)"
    elif end <= start:
        problem = f"{'is the same as' if end == start else 'is before'} `{START}`={describe_value(start)}"
    if problem is not None:
        counting = other_counting(extra, text, start, end)
        if counting is not None:
            problem = f"{problem}, and the mention has a text of its own; {counting}"
        raise RecordError(problem, key=END, value=describe_value(end), entity=number)
    check_label(item[LABEL], key=LABEL, entity=number)
    check_own_text(extra, text, start, end, entity=number)
    return Entity(start, end, item[LABEL], parse_score(extra), extra)
