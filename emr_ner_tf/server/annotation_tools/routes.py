"""The paths of the annotation tools."""

import functools

from starlette.routing import Route

from emr_ner_tf.server.annotation_tools import doccano, inception, label_studio
from emr_ner_tf.server.http_endpoints import Endpoints
from emr_ner_tf.server.text_annotator import TextAnnotator


def tool_routes(texts: TextAnnotator, endpoints: Endpoints) -> list[Route]:
    """Returns the routes of all tools, each below the tool's name."""
    works = (
        ("/label_studio/predict", "POST", label_studio.predict),
        ("/label_studio/setup", "POST", label_studio.setup),
        ("/label_studio/webhook", "POST", label_studio.webhook),
        ("/label_studio/train", "POST", label_studio.webhook),
        ("/label_studio/health", "GET", label_studio.health),
        ("/label_studio/", "GET", label_studio.health),
        ("/label_studio/versions", "GET", label_studio.versions),
        ("/doccano", "POST", doccano.predict),
        ("/inception/predict", "POST", inception.predict),
        ("/inception/train", "POST", inception.train),
    )
    return [
        Route(path, endpoints.endpoint(functools.partial(work, texts)), methods=[method])
        for path, method, work in works
    ]
