"""The retry policy of all clients (gRPC, asyncio and REST)."""

import random
import time
from typing import Any

import tenacity

from emr_ner_tf.client.options import ServingError, TlsHandshakeError
from emr_ner_tf.client.version_pin import VersionGoneError

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 5.0


def retry_policy(retry_timeout_s: float) -> dict[str, Any]:
    """Returns the arguments of `tenacity.Retrying` or `tenacity.AsyncRetrying` for one request.

    Errors that `is_temporary` names are retried, with exponential back-off of at most 5 s and jitter.

    Args:
        retry_timeout_s: seconds after the first failure during which the request is retried; 0 disables retries.

    Returns:
        The arguments. They store the time of the first failure, so each request needs its own.
    """
    window = _RetryWindow(retry_timeout_s)
    return {
        "retry": tenacity.retry_if_exception(is_temporary),
        "wait": window.pause,
        "stop": window.is_over,
        "reraise": True,
    }


def is_temporary(error: BaseException) -> bool:
    """Returns whether a repeated request may succeed: the server was UNAVAILABLE, or had no pinned version."""
    if isinstance(error, TlsHandshakeError):
        return False
    # While servers load a new version one after the other, another one may have the pinned version.
    return isinstance(error, VersionGoneError) or (
        isinstance(error, ServingError) and error.code == "UNAVAILABLE"
    )


class _RetryWindow:
    """The time during which one request is retried, counted from its first failure."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._end: float | None = None
        self._backoff = tenacity.wait_exponential(multiplier=_FIRST_PAUSE_S, max=_MAX_PAUSE_S)

    def pause(self, state: tenacity.RetryCallState) -> float:
        # Jitter, so that clients that failed at the same time do not retry at the same time.
        return min(self._backoff(state) * random.uniform(0.5, 1.0), self._remaining())

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        del state
        return self._remaining() == 0.0

    def _remaining(self) -> float:
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._timeout_s
        return max(0.0, self._end - now)
