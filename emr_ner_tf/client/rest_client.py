"""The client of TensorFlow Serving over REST, for networks that do not allow gRPC."""

import contextlib
import json
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

import requests
import tenacity

from emr_ner_tf.client.chunking import Piece, check_answer, texts_of
from emr_ner_tf.client.options import (
    NO_CONNECTION,
    OTHER_ANSWER,
    ClientOptions,
    ServingError,
    check_target,
    handshake_error,
    redacted_error,
)
from emr_ner_tf.client.pinned_client import PinnedClient
from emr_ner_tf.client.protos import SIGNATURE, Signature, TensorFacts, VersionStatus
from emr_ner_tf.client.retry import retry_policy
from emr_ner_tf.data.document import Entity
from emr_ner_tf.inference.annotator import Annotator

# gRPC's names for the HTTP statuses of TensorFlow Serving; any other status is "UNKNOWN".
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CHUNK = 1 << 16
_METADATA_BYTES = 16 << 20


class RestClient(PinnedClient, Annotator):
    """Annotates over open HTTP connections; each thread needs its own client.

    Attributes:
        target: `host:port`.
        options: see `ClientOptions`; `channel_options` are ignored.
    """

    def __init__(self, target: str, options: ClientOptions | None = None) -> None:
        """Prepares the client; the connection is opened by the first request.

        Raises:
            UserError: `target` is not an address.
        """
        super().__init__(check_target(target, resolvers=False), options)
        self._session = requests.Session()
        self._session.headers.update(self.options.headers)
        # The target is the user's own server, so proxies named in the environment are not used.
        self._session.trust_env = False
        tls = self.options.tls
        if tls is not None:
            self._session.verify = tls.authorities or True
            self._session.cert = (tls.cert, tls.key) if tls.cert else None
        scheme = "http" if tls is None else "https"
        self._base = f"{scheme}://{target}/v1/models/{_quoted(self.options.model)}"

    def status(self) -> list[VersionStatus]:
        """See `GrpcClient.status`."""
        answer = self._call("GET", self.options, "")
        with self._unexpected_answers():
            return [
                VersionStatus(
                    int(one["version"]), one["state"], one.get("status", {}).get("error_message", "")
                )
                for one in answer["model_version_status"]
            ]

    def signatures(self) -> dict[str, Signature]:
        """See `GrpcClient.signatures`."""
        answer = self._call("GET", self._pin.requested, "/metadata")
        with self._unexpected_answers():
            return {
                name: Signature(
                    *(
                        {key: _facts(info) for key, info in one.get(side, {}).items()}
                        for side in ("inputs", "outputs")
                    )
                )
                for name, one in answer["metadata"]["signature_def"]["signature_def"].items()
                if name != "__saved_model_init_op"
            }

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def _predict(self, texts: Sequence[str], request: Sequence[Piece]) -> list[tuple[Entity, ...]]:
        document = {"signature_name": SIGNATURE, "inputs": {"text": texts_of(texts, request)}}
        body = json.dumps(document, ensure_ascii=False).encode("utf-8")
        if len(body) > self.options.max_message_bytes:
            raise ServingError(
                self.target,
                "RESOURCE_EXHAUSTED",
                f"a request must have at most {self.options.max_message_bytes} bytes (max_message_bytes), got "
                f"{len(body)}; it was not sent; reduce max_characters",
            )
        if self._pin.open:
            # The answer to a prediction does not name its version; the metadata do.
            metadata = self._call("GET", self._pin.requested, "/metadata")
            with self._unexpected_answers():
                spec = metadata.get("model_spec", {})
                version = int(spec["version"]) if "version" in spec else None
            self._pin.take(version, self._pin.requested)
        answer = self._call("POST", self._pin.requested, ":predict", body)
        with self._unexpected_answers():
            entities = _entities(answer["outputs"])
            check_answer(self.target, request, entities)
        return entities

    def _call(self, verb: str, requested: ClientOptions, path: str, body: bytes | None = None) -> Any:
        if requested.version is not None:
            path = f"/versions/{requested.version}{path}"
        elif requested.label is not None:
            path = f"/labels/{_quoted(requested.label)}{path}"
        # Answers about the model (metadata, status) have their own limit, since they are small.
        max_bytes = max(self.options.max_message_bytes, 0 if body else _METADATA_BYTES)
        policy = retry_policy(self.options.retry_timeout_s)
        return tenacity.Retrying(**policy)(self._call_once, verb, requested, path, body, max_bytes)

    def _call_once(
        self, verb: str, requested: ClientOptions, path: str, body: bytes | None, max_bytes: int
    ) -> Any:
        deadline = time.monotonic() + self.options.deadline_s
        try:
            with self._session.request(
                verb,
                self._base + path,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                timeout=self.options.deadline_s,
                stream=True,
                # Texts and headers go to the named server and to no other.
                allow_redirects=False,
            ) as response:
                content = self._content(response, max_bytes)
        except requests.Timeout:
            raise self._deadline_exceeded() from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            failure = handshake_error(self.target, str(error))
            # A timeout in the middle of an answer raises one of these, too.
            if failure is None and time.monotonic() >= deadline:
                raise self._deadline_exceeded() from None
            # The error of urllib3, an argument of that of requests, has the reason.
            reason = getattr(error.args[0] if error.args else None, "reason", None)
            hint = NO_CONNECTION
            if type(reason).__name__ == "NameResolutionError":
                hint = "; the host name cannot be resolved: is it correct?"
            failure = failure or ServingError(self.target, "UNAVAILABLE", f"no connection{hint}")
        except requests.RequestException as error:
            # The message may contain a header, such as an access token.
            raise ServingError(
                self.target, "UNKNOWN", f"{type(error).__name__}; are target, model and headers correct?"
            ) from None
        else:
            if response.status_code < 300:
                return self._parse_json(content)
            failure = self._pin.explain(self._error_of(response.status_code, content), requested)
        # Raised outside the handlers, so that the library's error, which may quote a header, is not its context.
        raise failure

    def _content(self, response: requests.Response, max_bytes: int) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > max_bytes:
                raise ServingError(
                    self.target,
                    "RESOURCE_EXHAUSTED",
                    f"an answer must have at most {max_bytes} bytes (max_message_bytes), got "
                    "more; reduce max_characters",
                )
        return bytes(content)

    def _deadline_exceeded(self) -> ServingError:
        return ServingError(
            self.target, "DEADLINE_EXCEEDED", f"no answer within {self.options.deadline_s} s (deadline_s)"
        )

    def _parse_json(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise ServingError(
                self.target, "UNKNOWN", "the answer is not JSON; is the target a TensorFlow Serving?"
            ) from None

    @contextlib.contextmanager
    def _unexpected_answers(self) -> Iterator[None]:
        """Converts errors of reading an answer in JSON with unexpected content to a `ServingError`."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise ServingError(self.target, "UNKNOWN", OTHER_ANSWER) from None

    def _error_of(self, status: int, content: bytes) -> ServingError:
        code = _CODES.get(status, "UNKNOWN")
        if status < 400:
            message = f"HTTP {status}: the server redirects to another address; name that one, with TLS for https://"
            return ServingError(self.target, code, message)
        try:
            message = str(json.loads(content)["error"])
        except (ValueError, KeyError, TypeError):
            return ServingError(self.target, code, f"HTTP {status} without a message")
        return redacted_error(self.target, code, message)


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _entities(outputs: Any) -> list[tuple[Entity, ...]]:
    columns = zip(
        *(outputs[name] for name in ("num_entities", "start", "end", "label", "score")), strict=True
    )
    return [
        tuple(Entity(start[i], end[i], label[i], score[i]) for i in range(number))
        for number, start, end, label, score in columns
    ]


def _facts(info: dict[str, Any]) -> TensorFacts:
    dims = info.get("tensor_shape", {}).get("dim", [])
    shape = tuple(None if int(dim["size"]) < 0 else int(dim["size"]) for dim in dims)
    return TensorFacts(info["dtype"].removeprefix("DT_").lower(), shape)
