"""Label Studio's tasks: annotations or predictions of an export in JSON or in the flat form JSON_MIN."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.format import Format, Writer, text_writer
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import RECORD_KEYS, Losses
from emr_ner_tf.data.formats.offsets import CODE_POINTS, readings
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record, Source, mention_of
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.json_fields import list_of, object_of, string_of
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError, describe_value

FROM_NAME, TO_NAME = "label", "text"
MODEL_VERSION = "emr_ner_tf"
# Keys of JSON_MIN itself, which are beside those of the data.
_MIN_KEYS = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def _read(source: Source) -> Iterator[Record]:
    names: set[str] = set()

    def parse(item: dict[str, Any]) -> Record:
        return _task(item, source, names) if isinstance(item.get("data"), dict) else _flat(item, source)

    return read_json(source, parse)


def _task(item: dict[str, Any], source: Source, names: set[str]) -> Record:
    """Returns the record of a task.

    Args:
        item: the task.
        source: input of the task.
        names: receives the `to_name` of the file's mentions.
    """
    data = item["data"]
    key = _text_key(data, source)
    extra = {name: value for name, value in data.items() if name != key}
    if "id" not in extra and type(item.get("id")) in (int, str):
        extra["id"] = item["id"]
    mentions: list[Mention] = []
    for result in _results(item, source):
        result = object_of(result, len(mentions) + 1)
        value = result.get("value")
        if not isinstance(value, dict) or result.get("type") != "labels":
            is_relation = result.get("type") == "relation"
            source.losses.add("relations" if is_relation else "results that are no labels of spans")
            continue
        number = len(mentions) + 1
        if not _is_of_text(result.get("to_name"), data, key, names, number):
            source.losses.add("mentions of other keys than the text's")
            continue
        source.losses.add("meta of mentions", bool(result.get("meta")))
        score = {"score": result["score"]} if result.get("score") is not None else {}
        mentions += _mentions(value | score, number)
    source.losses.add("drafts", len(list_of(item, "drafts", required=False)))
    source.losses.add("meta of tasks", bool(item.get("meta")))
    return Record(0, b"", string_of(data, key), mentions, extra)


def _is_of_text(name: Any, data: dict[str, Any], key: str, names: set[str], number: int) -> bool:
    """Returns whether a result is a mention of the text.

    Its `to_name` is the name of a tag of the labeling configuration, which an export does not have: often the key of
    the text, but it may be any name.
    """
    if name is None:
        return True
    if not isinstance(name, str):
        raise RecordError("is not a string", key="to_name", value=describe_value(name), entity=number)
    if name != key and (key in names or isinstance(data.get(name), str)):
        return False
    if names and name not in names:
        raise RecordError(
            "differs from that of earlier mentions, and nothing in the file tells which of them is the text's",
            key="to_name",
            value=describe_value(name),
            entity=number,
            remedy="name the tag of the text in the labeling configuration like the key of the text",
        )
    names.add(name)
    return True


def _results(item: dict[str, Any], source: Source) -> list[Any]:
    """Returns the results of one annotation or prediction of a task."""
    found = {
        "annotations": _live(item, "annotations", source) or _live(item, "completions", source),
        "predictions": _live(item, "predictions", source),
    }
    kind = source.options.label_studio or ("annotations" if found["annotations"] else "predictions")
    others = [each for name, each in found.items() if name != kind]
    source.losses.add("annotations or predictions of the same task", sum(map(len, others)))
    if not found[kind]:
        if source.require_entities:
            # A task that is not annotated is not a record without mentions.
            key = source.options.label_studio or "annotations"
            raise RecordError("has none to read; --noannotated of `data` reads such tasks", key=key)
        return []
    chosen = next((each for each in found[kind] if each.get("ground_truth")), found[kind][0])
    source.losses.add("annotations or predictions of the same task", len(found[kind]) - 1)
    return list_of(chosen, "result")


def _live(item: dict[str, Any], key: str, source: Source) -> list[dict[str, Any]]:
    values = list_of(item, key, required=False)
    # Some answers of the API have numbers instead of predictions.
    found = [each for each in values if isinstance(each, dict)]
    live = [each for each in found if not each.get("was_cancelled")]
    source.losses.add("annotations or predictions that are no objects", len(values) - len(found))
    source.losses.add("cancelled annotations", len(found) - len(live))
    return live


def _flat(item: dict[str, Any], source: Source) -> Record:
    key = _text_key({name: value for name, value in item.items() if name not in _MIN_KEYS}, source)
    names = [name for name, value in item.items() if isinstance(value, list) and _are_labels(value)]
    mentions: list[Mention] = []
    for name in names:
        for value in item[name]:
            mentions += _mentions(object_of(value, len(mentions) + 1), len(mentions) + 1)
    extra = {name: value for name, value in item.items() if name not in (key, *names, *_MIN_KEYS)}
    return Record(0, b"", string_of(item, key), mentions, extra)


def _are_labels(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) and "labels" in value for value in values)


def _mentions(value: dict[str, Any], number: int) -> list[Mention]:
    """Returns one mention for each label of a span."""
    labels = list_of(value, "labels")
    if not labels:
        raise RecordError("is empty", key="labels", entity=number)
    rest = {key: each for key, each in value.items() if key in ("start", "end", "text", "score")}
    return [mention_of(rest | {"label": label}, number, "start", "end", "label", "text") for label in labels]


def _text_key(data: dict[str, Any], source: Source) -> str:
    named = source.options.text_column
    if named:
        return named
    strings = [name for name, value in data.items() if isinstance(value, str) and name != "id"]
    if TO_NAME in strings or len(strings) != 1:
        if TO_NAME not in data:
            raise RecordError(
                "is missing, and no other key is the only one with a string; name it with --text_column",
                key=TO_NAME,
                value=describe_value(data),
            )
        return TO_NAME
    return strings[0]


def _open(
    path: str | os.PathLike[str], options: FormatOptions, losses: Losses
) -> contextlib.AbstractContextManager[Writer]:
    def render(document: Document, losses: Losses) -> str:
        losses.add(RECORD_KEYS, TO_NAME in document.extra)
        return json_line(_task_of(document, options.label_studio))

    return text_writer(render, head="[\n", separator=",\n", tail="\n]\n")(path, options, losses)


def _task_of(document: Document, kind: str) -> dict[str, Any]:
    """Returns the task of a document.

    Args:
        document: the document.
        kind: "annotations" or "predictions"; "" for a prediction if every mention has a score. This includes records
            without mentions, since Label Studio considers a task with an empty annotation finished.
    """
    data = {TO_NAME: document.text} | {key: value for key, value in document.extra.items() if key != TO_NAME}
    prediction = prediction_of(document, FROM_NAME, TO_NAME)
    is_scored = all(entity.score is not None for entity in document.entities)
    if (kind or ("predictions" if is_scored else "annotations")) == "annotations":
        return {"data": data, "annotations": [{"result": prediction["result"]}]}
    if prediction["score"] is None:
        del prediction["score"]
    return {"data": data, "predictions": [{"model_version": MODEL_VERSION, **prediction}]}


def prediction_of(document: Document, from_name: str, to_name: str) -> dict[str, Any]:
    """Returns a document's mentions as the `result` of a prediction, and their mean `score`; None without scores.

    Args:
        document: the document.
        from_name: name of the tag `Labels` in the label configuration.
        to_name: name of the tag `Text` in it.
    """
    offsets = offsets_of(document, CODE_POINTS)
    names = {"from_name": from_name, "to_name": to_name, "type": "labels"}
    result = [
        {"id": f"m{number}", **names, **_value(entity, offsets(entity))}
        for number, entity in enumerate(document.entities, 1)
    ]
    scores = [entity.score for entity in document.entities if entity.score is not None]
    complete = scores and len(scores) == len(result)
    return {"score": sum(scores) / len(scores) if complete else None, "result": result}


def _value(entity: Entity, offsets: tuple[int, int]) -> dict[str, Any]:
    value = {"start": offsets[0], "end": offsets[1], "text": entity.text, "labels": [entity.label]}
    return {"value": value} | ({} if entity.score is None else {"score": entity.score})


FORMAT = Format(
    name="label_studio",
    summary="Label Studio's tasks (JSON and JSON_MIN): annotations or predictions",
    extension="json",
    unit="code points (UTF-16 units in old exports), exclusive ends, CR LF as two",
    holds=frozenset(
        ("ids", "keys of records", "scores", "overlapping mentions", "mentions", "records without text")
    ),
    read=_read,
    options=("text_column", "label_studio"),
    readings=readings(fixed=("end", "crlf")),
    open=_open,
)
