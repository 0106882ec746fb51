"""HTTP/1.1 connections: uvicorn's protocol on h11, with limits on their number and on slow clients."""

import asyncio
import http
import json
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_MAX_HEAD_BYTES = 1 << 16
# Two programs that use different values of a repeated header disagree about the meaning or the end of a request.
_LENGTH = b"content-length"
_ONCE = (_LENGTH, b"transfer-encoding", b"content-encoding", b"content-type", b"host")
_STALLED_S = 60.0
# States of a client whose request is complete, without and with `Connection: close`.
_ALL_RECEIVED = (h11.DONE, h11.MUST_CLOSE)


class HttpProtocol(H11Protocol):
    """One connection.

    A request must be complete `timeout_s` seconds after its first byte. A client that stops reading its answer is
    disconnected after a minute.
    """

    def __init__(self, *args: Any, max_connections: int, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._receiving: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._at_eof = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Refuses a connection over the limit; see the base class."""
        super().connection_made(transport)
        # asyncio sets this only for sockets that name their protocol. Head and body are two writes, and the second
        # would wait for the acknowledgement of the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self._max_connections:
            self._refuse(503, f"{self._max_connections} connections are open, which is the limit")
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See the base class."""
        for timer in (self._receiving, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See the base class."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool | None:
        """Keeps a connection whose client has sent its requests and closed its side: it still reads the answers."""
        waiting = self.cycle is not None and not self.cycle.response_complete
        if not waiting or self.conn.their_state not in _ALL_RECEIVED or self.scheme == "https":
            return None
        self._at_eof = True
        self._close_after_last()
        return True

    def on_response_complete(self) -> None:
        """See the base class."""
        super().on_response_complete()
        if self._at_eof:
            self._close_after_last()
        self._watch()

    def _close_after_last(self) -> None:
        """Closes a connection that nothing more comes from, after the answer to its last complete request."""
        if self.cycle.response_complete or self.conn.their_state not in _ALL_RECEIVED:
            self.transport.close()
        elif not self.conn.trailing_data[0]:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """See the base class."""
        if not self.transport.is_closing():
            super().shutdown()

    def pause_writing(self) -> None:
        """See the base class."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """See the base class."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _watch_reader(self) -> None:
        """Disconnects a client that reads nothing of its answer for a while; one that reads slowly may continue."""
        left = self.transport.get_write_buffer_size()

        def check() -> None:
            if self.transport.get_write_buffer_size() < left:
                self._watch_reader()
            else:
                self.transport.abort()

        self._stalled = self.loop.call_later(_STALLED_S, check)

    def send_400_response(self, msg: str) -> None:
        """Answers a request that is not HTTP; the reason is left out, because it may quote the request."""
        self._refuse(
            400, "Malformed request: not HTTP/1.1, or with an invalid, a repeated or a conflicting header"
        )

    def _watch(self) -> None:
        """Runs the timer while a request is received, also after it has been answered."""
        state = self.conn.their_state
        receiving = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if receiving and self._receiving is None:
            self._receiving = self.loop.call_later(self._timeout_s, self._too_slow)
        elif not receiving and self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None
        if state is h11.IDLE and not receiving and self.timeout_keep_alive_task is None:
            # The base class sets this timer after an answer only.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _too_slow(self) -> None:
        self._refuse(408, f"the request was not complete after {self._timeout_s:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Answers without the application, unless the request already has an answer, and closes the connection."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_answer(status, message))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


class _Connection(h11.Connection):
    """Refuses requests that a proxy may have interpreted differently."""

    def next_event(self) -> Any:
        """See the base class."""
        unread = self.trailing_data[0] if self.their_state is h11.IDLE else b""
        event = super().next_event()
        if isinstance(event, h11.Request):
            # The library merges repeated headers, so they are searched in its input.
            head = unread[: len(unread) - len(self.trailing_data[0])]
            lines = [line.lower().partition(b":") for line in head.split(b"\n")[1:]]
            names = [name for name, _, _ in lines]
            both = _LENGTH in names and b"transfer-encoding" in names
            listed = any(name == _LENGTH and b"," in value for name, _, value in lines)
            if both or listed or any(names.count(name) > 1 for name in _ONCE):
                raise h11.RemoteProtocolError("repeated or conflicting headers")
        return event


def _answer(status: int, message: str) -> bytes:
    body = json.dumps({"error": message}).encode()
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
