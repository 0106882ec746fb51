"""Label Studio's ML backend: https://labelstud.io/guide/ml_create."""

import dataclasses
import re
import xml.etree.ElementTree
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.label_studio import prediction_of
from emr_ner_tf.server.errors import invalid_argument
from emr_ner_tf.server.http_endpoints import Call, json_response
from emr_ner_tf.server.text_annotator import TextAnnotator

_MAX_CONFIG = 1 << 20


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    """The texts and labels of a project's labelling configuration.

    Attributes:
        from_name: name of the tag `Labels`.
        to_name: name of the tag `Text`.
        key: key of the text in a task's data.
        labels: the project's label by the model's label.
    """

    from_name: str
    to_name: str
    key: str
    labels: dict[str, str]


def read_config(config: str) -> LabelConfig:
    """Reads a label configuration.

    Args:
        config: its XML. A `Label` represents the model's label of the same value or alias, and those that its
            attribute `predicted_values` lists, separated by commas.

    Raises:
        RequestError: INVALID_ARGUMENT; it is not XML, or has no `Labels` for a `Text`.
    """
    if len(config) > _MAX_CONFIG:
        raise invalid_argument(
            f"the label configuration must have at most {_MAX_CONFIG} characters, got {len(config)}"
        )
    try:
        parser = xml.etree.ElementTree.XMLParser(target=_WithoutDoctype())
        root = xml.etree.ElementTree.fromstring(config, parser)
    except xml.etree.ElementTree.ParseError as error:
        line, column = error.position
        raise invalid_argument(
            f"the label configuration is not XML at line {line}, column {column}"
        ) from None
    except UnicodeEncodeError:
        raise invalid_argument("the label configuration has half of a surrogate pair") from None
    texts = {tag.get("name"): tag for tag in root.iter("Text")}
    for tag in root.iter("Labels"):
        text = texts.get(tag.get("toName"))
        value = "" if text is None else text.get("value", "")
        if text is None or not value.startswith("$"):
            continue
        if text.get("valueType", "text") != "text":
            raise invalid_argument(
                "the label configuration's Text has a valueType other than text: no URL is fetched"
            )
        labels: dict[str, str] = {}
        for label in tag.iter("Label"):
            own = label.get("alias") or label.get("value", "")
            predicted = re.split(r"\s*,\s*", label.get("predicted_values", "").strip())
            for name in (own, label.get("value", ""), *predicted):
                labels.setdefault(name, own)
        return LabelConfig(tag.get("name", ""), tag.get("toName", ""), value[1:], labels)
    raise invalid_argument(
        'the label configuration needs <Labels toName="..."> for a <Text value="$..."> of that name'
    )


class _WithoutDoctype(xml.etree.ElementTree.TreeBuilder):
    """Builds the tree of XML, and refuses a document type, whose entities the parser would expand."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        """Refuses a document type; the parser calls this before it reads the declarations in it."""
        raise invalid_argument("the label configuration declares a document type")


def predict(texts: TextAnnotator, call: Call) -> Response:
    """Answers a request for the predictions of tasks."""
    document = call.document()
    config = read_config(_string(document, "label_config"))
    tasks = document.get("tasks")
    if not isinstance(tasks, list):
        raise invalid_argument("tasks must be a list")
    given = [_text(task, config.key, i) for i, task in enumerate(tasks)]
    version, found = texts.annotate(given, call.deadline)
    results = [
        _prediction(task["data"][config.key], entities, config, str(version))
        for task, entities in zip(tasks, found, strict=True)
    ]
    return json_response({"results": results, "model_version": str(version)})


def setup(texts: TextAnnotator, call: Call) -> Response:
    """Checks the label configuration when a project is connected, and names the version."""
    schema = call.document().get("schema")
    if schema:
        read_config(_string({"schema": schema}, "schema"))
    return json_response({"model_version": _version(texts)})


def webhook(texts: TextAnnotator, call: Call) -> Response:
    """Accepts a new annotation and ignores it, because training is a separate command."""
    call.document()
    return json_response({"result": {"status": "ok", "model_version": _version(texts)}}, 201)


def health(texts: TextAnnotator, call: Call) -> Response:
    """Reports that the backend is running."""
    return json_response({"status": "UP", "model_class": "emr_ner_tf", "v2": False})


def versions(texts: TextAnnotator, call: Call) -> Response:
    """Lists the versions that are served, the newest first."""
    return json_response({"versions": [str(one) for one in texts.models.managers[0].available()[::-1]]})


def _version(texts: TextAnnotator) -> str:
    return str(max(texts.models.managers[0].available(), default=0))


def _string(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise invalid_argument(f"{key} must be a string with the project's label configuration")
    return value


def _text(task: Any, key: str, index: int) -> str:
    data = task.get("data") if isinstance(task, dict) else None
    text = data.get(key) if isinstance(data, dict) else None
    if not isinstance(text, str):
        raise invalid_argument(
            f"task {index}: data must have the text under the label configuration's key {key!r}"
        )
    return text


def _prediction(text: str, entities: Sequence[Entity], config: LabelConfig, version: str) -> dict[str, Any]:
    known = [
        dataclasses.replace(entity, label=config.labels[entity.label])
        for entity in entities
        if entity.label in config.labels
    ]
    prediction = prediction_of(Document("", text, tuple(known)), config.from_name, config.to_name)
    return prediction | {"model_version": version}
