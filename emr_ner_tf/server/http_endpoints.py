"""HTTP requests as calls of plain functions: the body is read and bounded, the work runs on threads."""

import asyncio
import concurrent.futures
import dataclasses
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from absl import logging
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.errors import RequestError, from_exception, invalid_argument, log_refusal
from emr_ner_tf.server.json_tensor import parse_object

_GZIP = ("gzip", "x-gzip")


@dataclasses.dataclass(frozen=True)
class Call:
    """A request with its whole body.

    Attributes:
        method: such as POST; GET for a HEAD request, too.
        path: as it was sent, percent-encoded, without the query.
        query: parameters by name, decoded.
        headers: by lower-case name.
        body: decompressed.
        deadline: time on the clock of `time.monotonic`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    deadline: float

    def document(self) -> dict[str, Any]:
        """Returns the body as a JSON object.

        Raises:
            RequestError: INVALID_ARGUMENT.
        """
        return parse_object(self.body)


Work = Callable[[Call], Response]


class Endpoints:
    """Creates endpoints from functions that map a `Call` to a response and may raise `RequestError`."""

    def __init__(self, threads: int, max_body_bytes: int, timeout_s: float) -> None:
        """Stores the arguments; threads are started when they are needed.

        Args:
            threads: maximum number of requests that run at the same time.
            max_body_bytes: maximum size of a body, both as it was sent and decompressed.
            timeout_s: deadline of a request in seconds, from the end of its head.
        """
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="http")
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    def endpoint(self, work: Work) -> Callable[[Request], Awaitable[Response]]:
        """Returns the endpoint that runs `work` on a thread."""

        async def answer(request: Request) -> Response:
            deadline = time.monotonic() + self._timeout_s
            try:
                body = await self._body(request)
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._pool, self._run, work, request, body, deadline)
            except ClientDisconnect:
                return Response()
            except Exception as error:
                return _failure(error)

        return answer

    def close(self) -> None:
        """Starts no more requests and does not wait for running ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _body(self, request: Request) -> bytes:
        announced = int(request.headers.get("content-length", 0))
        if announced > self._max_body_bytes:
            raise self._too_large(str(announced))
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise self._too_large("more")
        return bytes(body)

    def _run(self, work: Work, request: Request, body: bytes, deadline: float) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        encoding = headers.get("content-encoding", "").strip().lower()
        if body and encoding in _GZIP:
            body = self._gunzip(body)
        elif body and encoding not in ("", "identity"):
            message = f"Content-Encoding must be gzip or identity, got {encoding[:20]!r}"
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, message, http_status=415)
        method = "GET" if request.method == "HEAD" else request.method
        path = request.scope["raw_path"].decode("ascii")
        return work(Call(method, path, dict(request.query_params), headers, body, deadline))

    def _gunzip(self, body: bytes) -> bytes:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content = stream.decompress(body, self._max_body_bytes + 1)
        except zlib.error:
            raise invalid_argument("the body is not gzip, though Content-Encoding says so") from None
        if len(content) > self._max_body_bytes:
            raise self._too_large("more, decompressed")
        if not stream.eof or stream.unused_data:
            raise invalid_argument("the gzip body is cut off, or something follows it")
        return content

    def _too_large(self, size: str) -> RequestError:
        message = f"Received message larger than max ({size} vs. {self._max_body_bytes})"
        return RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, http_status=413)


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a response of JSON."""
    # A lone surrogate becomes its escape, which JSON can hold.
    content = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, status, dict(headers or {}), "application/json")


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a response in TensorFlow Serving's form of an error."""
    return json_response({"error": message}, status, headers)


def _failure(caught: Exception) -> Response:
    if isinstance(caught, UserError):
        caught = invalid_argument(str(caught))
    error = from_exception(caught)
    if isinstance(caught, RequestError):
        log_refusal(error)
    else:
        logging.error("a request failed: %s", error)
    return error_response(error.http_status, str(error))
