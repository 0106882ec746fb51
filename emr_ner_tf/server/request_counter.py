"""Counts the running requests of a server, so that it can wait for them."""

import threading


class RequestCounter:
    """Counts the running requests."""

    def __init__(self) -> None:
        self._active = 0
        self._draining = False
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Counts a new request; returns False if the server accepts no more requests."""
        with self._changed:
            self._active += not self._draining
            return not self._draining

    def end(self) -> None:
        """Counts the end of a request."""
        with self._changed:
            self._active -= 1
            self._changed.notify_all()

    def drain(self) -> None:
        """Refuses new requests."""
        with self._changed:
            self._draining = True

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Returns whether the last request ended within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active, timeout_s)
