"""TensorFlow Serving's REST paths over a `Predictor`."""

import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from typing import Any

import grpc
from absl import logging
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.address import listen_problem
from emr_ner_tf.server.errors import RequestError, from_exception, invalid_argument, log_refusal
from emr_ner_tf.server.json_tensor import Infos, read_request, write_response
from emr_ner_tf.server.predictor import Predictor
from emr_ner_tf.server.request_counter import RequestCounter

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"(?i){_MODEL}:(?P<method>classify|regress|predict)")
_GET = re.compile(rf"(?i){_MODEL}(?P<metadata>/metadata)?")
_IDLE_S = 60.0
_CHUNK = 1 << 16
# Of the largest number of 63 bits.
_DIGITS = 19


class RestServer(http.server.ThreadingHTTPServer):
    """The REST paths on a port.

    Attributes:
        predictor: answers.
        port: that is bound.
        max_message_bytes: of a request's body.
        timeout_s: a request's deadline.
        requests: those in work.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        predictor: Predictor,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        timeout_s: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Binds the port; port 0 is any free one.

        Raises:
            UserError: it cannot be bound.
        """
        self.predictor = predictor
        self.max_message_bytes = max_message_bytes
        self.timeout_s = timeout_s
        self.requests = RequestCounter()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            problem = listen_problem(host, port) or getattr(error, "strerror", None) or type(error).__name__
            raise UserError(f"{host}:{port}: REST cannot listen there: {problem}") from error
        if context is not None:
            # The handshake is left to the connection's own thread: a slow client must not hold up the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self.server_address[1]

    def start(self) -> None:
        """Serves."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="rest", daemon=True).start()

    def drain(self) -> None:
        """Takes no more requests; who asks, over a new connection or an old one, is answered with 503."""
        self.requests.drain()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits for the requests in work; returns whether all were answered within `timeout_s` seconds."""
        return self.requests.wait_until_idle(timeout_s)

    def close(self) -> None:
        """Gives the port back."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is the client's business; nothing of it is shown."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    # Head and body are two writes, and the second would wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    _unread = 0

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)
        # A client that is still sending what was refused could not read why.
        while self._unread > 0 and (read := self.rfile.read(min(self._unread, _CHUNK))):
            self._unread -= len(read)

    def log_message(self, format: str, *args: object) -> None:
        # A path can hold anything.
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._reply(int(code), {"error": http.HTTPStatus(code).phrase})

    def _answered(self, answer: Any) -> None:
        if not self.server.requests.begin():
            self.close_connection = True
            self._reply(503, {"error": "the server is shutting down"})
            return
        try:
            try:
                status, document = 200, answer()
            except RequestError as error:
                log_refusal(error)
                status, document = error.http_status, {"error": str(error)}
            except OSError:
                raise
            except Exception as caught:
                error = from_exception(caught)
                logging.error("a request failed: %s", error)
                status, document = error.http_status, {"error": str(error)}
            self._reply(status, document)
        finally:
            self.server.requests.end()

    def _get(self) -> dict[str, Any]:
        match = _GET.fullmatch(self._path())
        if match is None:
            raise invalid_argument(
                "Malformed request: GET takes /v1/models/NAME[/versions/N|/labels/L][/metadata]"
            )
        spec, predictor = _spec(match), self.server.predictor
        if not match["metadata"]:
            status = predictor.versions.status(spec)
            return _to_dict(status)
        asked = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=["signature_def"]
        )
        answer = predictor.metadata(asked)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return {
            "model_spec": _to_dict(answer.model_spec),
            "metadata": {"signature_def": _to_dict(signatures)},
        }

    def _post(self) -> dict[str, Any]:
        deadline = time.monotonic() + self.server.timeout_s
        body = self._body()
        match = _POST.fullmatch(self._path())
        if match is None:
            raise invalid_argument(
                "Malformed request: POST takes /v1/models/NAME[/versions/N|/labels/L]:predict"
            )
        if match["method"].lower() != "predict":
            raise RequestError(
                grpc.StatusCode.UNIMPLEMENTED, "this development server has no method but predict"
            )
        spec, predictor = _spec(match), self.server.predictor

        def infos_of(signature: str) -> Infos:
            with predictor.versions.use(spec) as model:
                return model.signature(signature).inputs

        request, by_row = read_request(body, infos_of)
        signature = request.model_spec.signature_name
        request.model_spec.CopyFrom(spec)
        request.model_spec.signature_name = signature
        return write_response(predictor.predict(request, deadline), by_row)

    def _path(self) -> str:
        return urllib.parse.urlsplit(self.path).path

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) <= _DIGITS):
            self.close_connection = True
            raise invalid_argument(f"the request must have a Content-Length of at most {_DIGITS} digits")
        if int(length) > self.server.max_message_bytes:
            self.close_connection = True
            self._unread = int(length)
            message = f"Received message larger than max ({length} vs. {self.server.max_message_bytes})"
            raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, http_status=413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the client has gone")
        return body

    def _reply(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document, ensure_ascii=False).encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"]))
    if match["version"] is not None:
        version = match["version"]
        if len(version) > _DIGITS or int(version) >= 1 << 63:
            raise invalid_argument(f"Failed to convert version: {version[:_DIGITS]} to numeric.")
        spec.version.value = int(version)
    if match["label"] is not None:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


def _to_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, including_default_value_fields=True
    )
