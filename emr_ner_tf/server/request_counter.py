"""The requests that a server has in work, and when there are none."""

import threading


class RequestCounter:
    """Counts the requests in work."""

    def __init__(self) -> None:
        self._active = 0
        self._draining = False
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Counts a request in; returns False where the server takes no more."""
        with self._changed:
            self._active += not self._draining
            return not self._draining

    def end(self) -> None:
        """Counts a request out."""
        with self._changed:
            self._active -= 1
            self._changed.notify_all()

    def drain(self) -> None:
        """Lets no more requests begin."""
        with self._changed:
            self._draining = True

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Returns whether the last request ended within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active, timeout_s)
