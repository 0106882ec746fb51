"""doccano's auto-labelling by a custom REST request."""

from starlette.responses import Response

from emr_ner_tf.data.formats.offsets import Reading, from_code_points
from emr_ner_tf.data.formats.options import OFFSET_UNITS
from emr_ner_tf.server.errors import invalid_argument
from emr_ner_tf.server.http_endpoints import Call, json_response
from emr_ner_tf.server.text_annotator import TextAnnotator


def predict(texts: TextAnnotator, call: Call) -> Response:
    """Answers `{"text": ...}` with a list of `label`, `start_offset`, `end_offset` and `score`.

    Offsets are UTF-16 units, as in a doccano project without grapheme clusters; `?offset_unit=` names another unit.
    """
    text = call.document().get("text")
    if not isinstance(text, str):
        raise invalid_argument('the body must be {"text": "..."} with a string')
    unit = call.query.get("offset_unit", "utf16")
    if unit not in OFFSET_UNITS:
        raise invalid_argument(f"offset_unit must be one of {', '.join(OFFSET_UNITS)}, got {unit[:20]!r}")
    _, (entities,) = texts.annotate([text], call.deadline)
    place = from_code_points(text, Reading(unit, "exclusive", "two"))
    found = []
    for entity in entities:
        start, end = place(entity.start), place(entity.end)
        # A mention that begins or ends inside a grapheme cluster cannot be shown.
        if start is not None and end is not None:
            found.append(
                {"label": entity.label, "start_offset": start, "end_offset": end, "score": entity.score}
            )
    return json_response(found)
