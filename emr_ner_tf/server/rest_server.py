"""The HTTP port: a Starlette application on uvicorn, in a thread of its own."""

import asyncio
import errno
import functools
import math
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Sequence
from typing import Any

import uvicorn
from absl import logging
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.server.address import listen_problem
from emr_ner_tf.server.http_endpoints import error_response
from emr_ner_tf.server.http_protocol import HttpProtocol
from emr_ner_tf.server.request_counter import RequestCounter

METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_IDLE_S = 60
# When descriptors run out, asyncio tries to accept this many connections at once, and tries again after a second.
_BACKLOG = 128
# Errors of accepting a connection that asyncio treats as a lack of resources.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_EXHAUSTED_LOG_S = 60
# Seconds, after requests have ended or were aborted, for their answers to be sent.
_FLUSH_S = 1


class RestServer:
    """The HTTP port.

    Attributes:
        port: bound port.
        requests: counter of the running requests.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        host: str,
        port: int,
        *,
        timeout_s: float,
        max_connections: int,
        cors_origins: Sequence[str] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Binds the port.

        Args:
            routes: routes of the application; the last one matches all remaining paths.
            host: a name or an address, IPv6 without brackets.
            port: port to listen on; 0 selects a free port.
            timeout_s: time for a request to be received.
            max_connections: maximum number of open connections; further ones are refused.
            cors_origins: origins whose pages may send requests; `*` is any.
            context: TLS context; None for plain connections.

        Raises:
            UserError: the port cannot be bound.
        """
        self.requests = RequestCounter()
        is_ipv6 = ":" in host
        try:
            self._socket = socket.create_server(
                (host, port),
                family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
                backlog=_BACKLOG,
                dualstack_ipv6=is_ipv6 and socket.has_dualstack_ipv6(),
            )
        except (OSError, UnicodeError) as error:
            problem = listen_problem(host, port) or getattr(error, "strerror", None) or type(error).__name__
            raise UserError(f"{host}:{port}: REST cannot listen there: {problem}") from error
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _Counted(_application(routes, cors_origins), self.requests),
            interface="asgi3",
            loop="asyncio",
            http=functools.partial(HttpProtocol, max_connections=max_connections, timeout_s=timeout_s),
            ws="none",
            lifespan="off",
            log_config=None,
            # A path may contain any text, and so may a stack trace.
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_FLUSH_S,
        )
        config.load()
        config.ssl = context
        self._server = uvicorn.Server(config)
        # Number of bytes of answers that were not sent when their connections were aborted.
        self._unsent = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="rest", daemon=True)

    def start(self) -> None:
        """Starts serving."""
        self._thread.start()

    def drain(self) -> None:
        """Refuses new requests with 503, over a new connection as over an old one."""
        self.requests.drain()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits for the running requests; returns whether all were answered within `timeout_s` seconds."""
        return self.requests.wait_until_idle(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Closes the port and all connections.

        Args:
            timeout_s: seconds that clients may take to read the rest of their answers.

        Returns:
            Whether all of them were sent.
        """
        self._server.config.timeout_graceful_shutdown = max(_FLUSH_S, math.ceil(timeout_s))
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        return not self._unsent

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._log_loop_error)
        # In a thread other than the main one, uvicorn leaves the signals alone.
        await self._server.serve(sockets=[self._socket])
        for connection in list(self._server.server_state.connections):
            self._unsent += connection.transport.get_write_buffer_size()
            connection.transport.abort()

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs the kind of an error only: a client that aborts its connection is not a problem of the server."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            logging.log_every_n_seconds(
                logging.ERROR, "new connections wait: %s", _EXHAUSTED_LOG_S, describe_os_error(error)
            )
        elif self._server.should_exit and isinstance(error, ValueError):
            # asyncio tries once more to accept connections, and the socket is closed.
            return
        elif error is not None and not isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
            logging.error("a connection failed: %s", type(error).__name__)


class _Counted:
    """Counts the running requests, and refuses new ones once the server is shutting down."""

    def __init__(self, app: ASGIApp, requests: RequestCounter) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._requests.begin():
            refusal = error_response(503, "the server is shutting down", {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        try:
            await self._app(_in_origin_form(scope), receive, send)
        finally:
            self._requests.end()


def _application(routes: Sequence[Route], cors_origins: Sequence[str]) -> Starlette:
    *named, every_path = routes
    middleware = [Middleware(_Options)]
    if cors_origins:
        cors = Middleware(
            CORSMiddleware, allow_origins=list(cors_origins), allow_methods=METHODS, allow_headers=["*"]
        )
        middleware.insert(0, cors)
    app = Starlette(routes=named, middleware=middleware, exception_handlers={HTTPException: _http_error})
    # As a separate route, it would also answer wrong methods on the paths of other routes.
    app.router.default = every_path.handle
    app.router.redirect_slashes = False
    return app


class _Options:
    """Answers OPTIONS for every path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={"Allow": ", ".join(METHODS)})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, error.headers)


def _in_origin_form(scope: Scope) -> Scope:
    """Removes scheme and host from a path; clients send them to proxies."""
    scheme, separator, rest = scope["raw_path"].partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return scope
    path = b"/" + rest.partition(b"/")[2]
    return dict(scope, raw_path=path, path=urllib.parse.unquote(path.decode("ascii")))
