"""Decides when a long job logs its next line of progress."""

import time


class LogInterval:
    """Measures the seconds since a job started, and since it last logged.

    Attributes:
        seconds: minimum time between two lines.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Starts to measure now."""
        self._started = self._last_logged = time.monotonic()

    def elapsed(self) -> float:
        """Returns the seconds since the start."""
        return time.monotonic() - self._started

    def due(self) -> float | None:
        """Returns the seconds that the next line covers; None if it is too early for one."""
        now = time.monotonic()
        covered = now - self._last_logged
        if covered < self.seconds:
            return None
        self._last_logged = now
        return covered
