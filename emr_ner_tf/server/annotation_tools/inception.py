"""INCEpTION's external recommender over UIMA CAS (the extra `uima`)."""

import warnings
from typing import Any

from starlette.responses import Response

from emr_ner_tf.data.formats.uima import has_doctype, import_cassis
from emr_ner_tf.server.errors import RequestError, invalid_argument
from emr_ner_tf.server.http_endpoints import Call, json_response
from emr_ner_tf.server.text_annotator import TextAnnotator

_IS_PREDICTION = "inception_internal_predicted"


def predict(texts: TextAnnotator, call: Call) -> Response:
    """Answers a CAS with the same CAS and the predictions in it."""
    document = call.document()
    layer, feature, xmi, types = (
        _string(document, *keys)
        for keys in (("metadata", "layer"), ("metadata", "feature"), ("document", "xmi"), ("typeSystem",))
    )
    cas = _load(xmi, types)
    try:
        annotation = cas.typesystem.get_type(layer)
        known = {each.name for each in annotation.all_features}
    except Exception:
        raise invalid_argument("the type system lacks the type that metadata.layer names") from None
    missing = {feature, _IS_PREDICTION} - known
    if missing:
        raise invalid_argument(f"the type of metadata.layer lacks the feature {', '.join(sorted(missing))}")
    # Older predictions would look like new ones.
    for old in cas.select(layer):
        if getattr(old, _IS_PREDICTION, False):
            cas.remove(old)
    _, (entities,) = texts.annotate([cas.sofa_string or ""], call.deadline)
    for entity in entities:
        values: dict[str, Any] = {feature: entity.label, _IS_PREDICTION: True}
        if f"{feature}_score" in known:
            values[f"{feature}_score"] = entity.score
        # The library converts from code points to UTF-16 units.
        cas.add(annotation(begin=entity.start, end=entity.end, **values))
    return json_response({"document": cas.to_xmi()})


def train(texts: TextAnnotator, call: Call) -> Response:
    """Accepts annotated documents and ignores them, because training is a separate command."""
    call.document()
    return Response(status_code=204)


def _load(xmi: str, types: str) -> Any:
    cassis = import_cassis()
    try:
        # The library passes the same bytes to its parser.
        if any(has_doctype(xml.encode("utf-8")) for xml in (xmi, types)):
            raise invalid_argument("the CAS or its type system declares a document type")
        # Warnings may contain names from the record.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cassis.load_cas_from_xmi(xmi, typesystem=cassis.load_typesystem(types))
    except RequestError:
        raise
    except Exception as error:
        # The library raises any error of its parsers, whose messages may contain text of the record.
        raise invalid_argument(f"cannot be read as a CAS: {type(error).__name__}") from None


def _string(document: Any, *keys: str) -> str:
    value = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise invalid_argument(f"{'.'.join(keys)} must be a string")
    return value
