"""TensorFlow Serving's REST paths over a `Predictor`."""

import re
import urllib.parse
from typing import Any

import grpc
from google.protobuf import json_format
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from emr_ner_tf.exporting.versioning import version_number
from emr_ner_tf.server.errors import RequestError, from_exception, invalid_argument
from emr_ner_tf.server.http_endpoints import Call, Endpoints, json_response
from emr_ner_tf.server.json_tensor import Infos, read_request, write_response
from emr_ner_tf.server.metrics import CONTENT_TYPE
from emr_ner_tf.server.predictor import Predictor

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"(?i){_MODEL}:(?P<method>classify|regress|predict)")
_GET = re.compile(rf"(?i){_MODEL}(?P<metadata>/metadata)?")
_METRICS = "/monitoring/prometheus/metrics"


def model_routes(predictor: Predictor, endpoints: Endpoints) -> list[Route]:
    """Returns the routes for the models, the last of which takes every path, and for the metrics if there are any."""

    def get(call: Call) -> Response:
        match = _GET.fullmatch(call.path)
        if match is None:
            raise invalid_argument(
                "Malformed request: GET takes /v1/models/NAME[/versions/N|/labels/L][/metadata]"
            )
        spec = _spec(match)
        return json_response(_metadata(predictor, spec) if match["metadata"] else _status(predictor, spec))

    def post(call: Call) -> Response:
        match = _POST.fullmatch(call.path)
        if match is None:
            raise invalid_argument(
                "Malformed request: POST takes /v1/models/NAME[/versions/N|/labels/L]:predict"
            )
        if match["method"].lower() != "predict":
            raise RequestError(
                grpc.StatusCode.UNIMPLEMENTED, "this development server has no method but predict"
            )
        return json_response(_predict(predictor, _spec(match), call))

    def metrics(call: Call) -> Response:
        assert predictor.metrics is not None
        return Response(predictor.metrics.text(), media_type=CONTENT_TYPE)

    def get_or_post(call: Call) -> Response:
        return get(call) if call.method == "GET" else post(call)

    routes = [Route("/{rest:path}", endpoints.endpoint(get_or_post), methods=["GET", "POST"])]
    if predictor.metrics is not None:
        routes.insert(0, Route(_METRICS, endpoints.endpoint(metrics), methods=["GET"]))
    return routes


def _predict(predictor: Predictor, spec: model_pb2.ModelSpec, call: Call) -> dict[str, Any]:
    def infos_of(signature: str) -> Infos:
        with predictor.versions.use(spec) as model:
            return model.signature(signature).inputs

    try:
        request, by_row = read_request(call.body, infos_of)
    except Exception as error:
        # The predictor counts the requests that reach it, and this one does not. Callers could send any number of
        # other names.
        if predictor.metrics is not None and spec.name in predictor.versions.names:
            predictor.metrics.record(spec.name, from_exception(error).code.name, "REST", 0.0)
        raise
    signature = request.model_spec.signature_name
    request.model_spec.CopyFrom(spec)
    request.model_spec.signature_name = signature
    return write_response(predictor.predict(request, call.deadline, entrypoint="REST"), by_row)


def _status(predictor: Predictor, spec: model_pb2.ModelSpec) -> dict[str, Any]:
    return _to_dict(predictor.versions.status(spec))


def _metadata(predictor: Predictor, spec: model_pb2.ModelSpec) -> dict[str, Any]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec, metadata_field=["signature_def"]
    )
    answer = predictor.metadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    return {
        "model_spec": _to_dict(answer.model_spec),
        "metadata": {"signature_def": _to_dict(signatures)},
    }


def _spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"]))
    if match["version"] is not None:
        version = version_number(match["version"])
        if version is None:
            raise invalid_argument(f"Failed to convert version: {match['version'][:20]} to numeric.")
        spec.version.value = version
    if match["label"] is not None:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


def _to_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, including_default_value_fields=True
    )
