"""Runs requests on a few threads, those that can be merged as one call of the graph."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import grpc
import numpy as np

from emr_ner_tf.server.errors import RequestError, from_exception
from emr_ner_tf.server.servable import Servable, split_rows


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """How requests are merged and how many may be held.

    Attributes:
        enabled: whether requests are merged at all.
        max_rows: most texts of a merged call.
        max_characters: most characters of a merged call, each text counted as long as the longest; a request with
            more is run alone.
        timeout_s: time that the first request of a call waits for others.
        threads: calls of the graph at the same time.
        max_requests: most requests waiting or in work; a further one is refused with UNAVAILABLE.
    """

    enabled: bool = True
    max_rows: int = 32
    max_characters: int = 16_384
    timeout_s: float = 0.002
    threads: int = 2
    max_requests: int = 256


@dataclasses.dataclass(frozen=True, eq=False)
class PendingRequest:
    """A checked request.

    Attributes:
        model: runs it.
        signature: its name.
        inputs: arrays by name.
        rows: first dimension of the inputs.
        longest: characters of the longest text.
        deadline: time on the clock of `time.monotonic`; None means no deadline.
    """

    model: Servable
    signature: str
    inputs: Mapping[str, np.ndarray]
    rows: int
    longest: int
    deadline: float | None = None
    answer: concurrent.futures.Future = dataclasses.field(default_factory=concurrent.futures.Future)

    def try_start(self) -> bool:
        """Returns whether it is still wanted; what has been cancelled or is too late is not run."""
        if not self.answer.set_running_or_notify_cancel():
            return False
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.answer.set_exception(_too_late("its turn"))
            return False
        return True


class Batcher:
    """A queue of requests and the threads that run them."""

    def __init__(self, options: BatchingOptions) -> None:
        self._options = options
        self._queue: collections.deque[PendingRequest] = collections.deque()
        self._held = 0
        self._closed = False
        self._changed = threading.Condition()
        # One thread at a time collects a call; if two did, each would get half of what could be merged.
        self._collecting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._serve, name=f"batch-{i}", daemon=True)
            for i in range(options.threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(
        self, pending: PendingRequest, on_cancel: Callable[[Callable[[], object]], object] | None = None
    ) -> dict[str, np.ndarray]:
        """Waits for the answer to a request.

        Args:
            pending: the request.
            on_cancel: receives a function to call when the caller is gone, so that the request is not run in vain.

        Returns:
            Output arrays by name, as a call of the signature with this request alone gives them.

        Raises:
            RequestError: UNAVAILABLE, too many requests are held; DEADLINE_EXCEEDED; or the run failed.
        """
        with self._changed:
            if self._closed:
                raise _shutting_down()
            if self._held >= self._options.max_requests:
                raise RequestError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{self._held} requests are waiting or running, which is the limit of this server",
                )
            self._held += 1
            self._queue.append(pending)
            self._changed.notify()
        if on_cancel is not None:
            on_cancel(pending.answer.cancel)
        left = None if pending.deadline is None else max(0.0, pending.deadline - time.monotonic())
        try:
            return pending.answer.result(left)
        except concurrent.futures.TimeoutError:
            pending.answer.cancel()
            raise _too_late("its answer was there") from None
        except concurrent.futures.CancelledError:
            if self._closed:
                raise _shutting_down() from None
            raise RequestError(grpc.StatusCode.CANCELLED, "the caller has cancelled the request") from None
        finally:
            with self._changed:
                self._held -= 1
                # A request that nobody waits for leaves the queue at once, even if all threads are busy.
                with contextlib.suppress(ValueError):
                    self._queue.remove(pending)

    def drain(self) -> None:
        """Refuses what is queued, and what comes."""
        with self._changed:
            self._closed = True
            for pending in self._queue:
                pending.answer.cancel()
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Refuses what is queued, and ends when what is in work has, which nothing can break off.

        Returns:
            Whether that was within `timeout_s` seconds.
        """
        self.drain()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        while self._serve_once():
            pass

    def _serve_once(self) -> bool:
        """Runs the next requests. A call of its own: what it holds of them does not stay while the next are awaited.

        Returns:
            False when there will be no more.
        """
        with self._collecting:
            taken = self._collect()
        batch = [pending for pending in taken if pending.try_start()]
        if batch:
            _answer(batch)
        return bool(taken)

    def _collect(self) -> list[PendingRequest]:
        """Removes the next request and those that can be merged with it from the queue; none after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return []
            first = self._queue.popleft()
            batch = [first]
            if not (self._options.enabled and first.model.merges(first.signature)):
                return batch
            until = time.monotonic() + self._options.timeout_s
            while True:
                self._take_fitting(batch)
                left = until - time.monotonic()
                has_room = self._fits(batch, rows=1, longest=0)
                if not has_room or left <= 0 or self._closed:
                    return batch
                self._changed.wait(left)

    def _take_fitting(self, batch: list[PendingRequest]) -> None:
        first = batch[0]
        rest = collections.deque()
        for pending in self._queue:
            same = pending.model is first.model and pending.signature == first.signature
            if same and self._fits(batch, pending.rows, pending.longest):
                batch.append(pending)
            else:
                rest.append(pending)
        self._queue = rest

    def _fits(self, batch: list[PendingRequest], rows: int, longest: int) -> bool:
        """Returns whether a batch has room for more texts, of `longest` characters at the most."""
        rows += sum(pending.rows for pending in batch)
        longest = max(longest, *(pending.longest for pending in batch))
        return rows <= self._options.max_rows and rows * longest <= self._options.max_characters


def _answer(batch: list[PendingRequest]) -> None:
    first = batch[0]
    try:
        if len(batch) == 1:
            first.answer.set_result(first.model.run(first.signature, first.inputs))
            return
        merged = {name: np.concatenate([pending.inputs[name] for pending in batch]) for name in first.inputs}
        outputs = first.model.run(first.signature, merged)
        parts = split_rows(outputs, [pending.rows for pending in batch])
    except Exception as error:
        if len(batch) == 1:
            first.answer.set_exception(from_exception(error))
        else:
            # One of them may be at fault; the others are not to fail with it.
            for pending in batch:
                _answer([pending])
        return
    for pending, part in zip(batch, parts, strict=True):
        pending.answer.set_result(part)


def _shutting_down() -> RequestError:
    return RequestError(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")


def _too_late(when: str) -> RequestError:
    return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, f"the request's deadline passed before {when}")
