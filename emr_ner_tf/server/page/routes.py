"""The routes of the page: the page itself, its static files, and the requests of its script."""

import importlib.resources
import json
import re
from typing import Any

import jinja2
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis import model_pb2

from emr_ner_tf.data.formats.options import OFFSET_UNITS
from emr_ner_tf.data.formats.table import AUTO, FORMATS, READ_FORMATS
from emr_ner_tf.exporting.versioning import LARGEST
from emr_ner_tf.server.errors import RequestError, invalid_argument
from emr_ner_tf.server.http_endpoints import Call, Endpoints, json_response
from emr_ner_tf.server.page.records import read_files, write_records
from emr_ner_tf.server.text_annotator import TextAnnotator

_FILES = importlib.resources.files("emr_ner_tf.server.page")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LANGUAGES = ("en", "zh")
# Only the page's own files are allowed, and no inline script or style, so that a record is always shown as text.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page_routes(texts: TextAnnotator, endpoints: Endpoints) -> list[Route]:
    """Returns the routes of the page."""
    pages = {language: _rendered(language) for language in _LANGUAGES}

    def page(call: Call) -> Response:
        language = call.query.get("lang") or _preferred(call.headers.get("accept-language", ""))
        return Response(pages.get(language, pages["en"]), media_type="text/html", headers=_HEADERS)

    def models(call: Call) -> Response:
        return json_response({"models": _models(texts)}, headers=_HEADERS)

    def annotate(call: Call) -> Response:
        document = _document(call)
        found = document.get("texts")
        model, version = document.get("model", ""), document.get("version")
        if (
            not isinstance(found, list)
            or not isinstance(model, str)
            or not (version is None or (type(version) is int and 0 <= version <= LARGEST))
        ):
            raise invalid_argument("texts must be a list, model a string, version the number of a version")
        answered, entities = texts.annotate(found, call.deadline, model, version)
        columns = [[[one.start, one.end, one.label, one.score] for one in each] for each in entities]
        return json_response({"version": answered, "entities": columns}, headers=_HEADERS)

    def read(call: Call) -> Response:
        return json_response(read_files(_document(call)), headers=_HEADERS)

    def write(call: Call) -> Response:
        content = write_records(_document(call))
        return Response(content, media_type="application/octet-stream", headers=_HEADERS)

    routes = [
        Route("/", endpoints.endpoint(page), methods=["GET"]),
        Route("/page/api/models", endpoints.endpoint(models), methods=["GET"]),
        Route("/page/api/annotate", endpoints.endpoint(annotate), methods=["POST"]),
        Route("/page/api/read", endpoints.endpoint(read), methods=["POST"]),
        Route("/page/api/write", endpoints.endpoint(write), methods=["POST"]),
    ]
    for file in (_FILES / "static").iterdir():
        routes.append(_static(file.name, file.read_bytes(), endpoints))
    return routes


def _static(name: str, content: bytes, endpoints: Endpoints) -> Route:
    media_type = next(kind for suffix, kind in _TYPES.items() if name.endswith(suffix))

    def static(call: Call) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(f"/page/{name}", endpoints.endpoint(static), methods=["GET"])


def _rendered(language: str) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    messages = json.loads((_FILES / "templates" / "messages.json").read_text(encoding="utf-8"))
    template = environment.from_string((_FILES / "templates" / "page.html.jinja").read_text(encoding="utf-8"))
    formats = {name: FORMATS[name].summary for name in READ_FORMATS}
    return template.render(
        language=language,
        other=next(one for one in _LANGUAGES if one != language),
        t={key: values[language] for key, values in messages["page"].items()},
        script={key: values[language] for key, values in messages["script"].items()},
        formats=formats,
        auto=AUTO,
        offset_units=OFFSET_UNITS,
    )


def _preferred(header: str) -> str:
    """Returns the first language of an Accept-Language header that the page has."""
    for part in re.split(",", header):
        language = part.partition(";")[0].strip().lower()[:2]
        if language in _LANGUAGES:
            return language
    return "en"


def _document(call: Call) -> dict[str, Any]:
    # A page of another origin cannot send this type without a preflight request.
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        message = "Content-Type must be application/json"
        raise RequestError(invalid_argument(message).code, message, http_status=415)
    return call.document()


def _models(texts: TextAnnotator) -> list[dict[str, Any]]:
    found = []
    for manager in texts.models.managers:
        for version in reversed(manager.available()):
            spec = model_pb2.ModelSpec(name=manager.name)
            spec.version.value = version
            try:
                with manager.use(spec) as model:
                    found.append({"model": manager.name, "version": version, "labels": list(model.labels)})
            except RequestError:
                # The version was unloaded in the meantime.
                continue
    return found
