"""Runs requests on a few threads and merges requests into one call of the graph."""

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
    """How requests are merged, and how many may wait or run.

    Attributes:
        enabled: whether requests are merged at all.
        max_rows: maximum number of texts in a merged call.
        max_characters: maximum number of characters in a merged call, each text counted with the length of the
            longest; a larger request is run alone.
        timeout_s: time for which the first request of a call waits for others.
        threads: number of concurrent calls of the graph.
        max_requests: maximum number of waiting and running requests; further ones are refused with UNAVAILABLE.
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
        model: model that runs the request.
        signature: name of the signature.
        inputs: arrays by name.
        rows: first dimension of the inputs.
        longest: number of characters of the longest text.
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
        """Marks the request as running; returns False if it was cancelled or its deadline has passed."""
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
        self._pending = 0
        self._closed = False
        self._changed = threading.Condition()
        # Only one thread at a time collects requests; two threads would each get half of those that could be merged.
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
            on_cancel: receives a function to call when the caller disconnects, so that the request is not run.

        Returns:
            Output arrays by name, as if the signature was called with this request alone.

        Raises:
            RequestError: UNAVAILABLE, there are too many requests; DEADLINE_EXCEEDED; or the call failed.
        """
        with self._changed:
            if self._closed:
                raise _shutting_down()
            if self._pending >= self._options.max_requests:
                raise RequestError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{self._pending} requests are waiting or running, which is the limit of this server",
                )
            self._pending += 1
            self._queue.append(pending)
            self._changed.notify()
        if on_cancel is not None:
            on_cancel(pending.answer.cancel)
        left = None if pending.deadline is None else max(0.0, pending.deadline - time.monotonic())
        try:
            return pending.answer.result(left)
        except concurrent.futures.TimeoutError:
            pending.answer.cancel()
            raise _too_late("it was answered") from None
        except concurrent.futures.CancelledError:
            if self._closed:
                raise _shutting_down() from None
            raise RequestError(grpc.StatusCode.CANCELLED, "the caller has cancelled the request") from None
        finally:
            with self._changed:
                self._pending -= 1
                # An abandoned request is removed from the queue at once, even if all threads are busy.
                with contextlib.suppress(ValueError):
                    self._queue.remove(pending)

    def drain(self) -> None:
        """Refuses queued and new requests."""
        with self._changed:
            self._closed = True
            for pending in self._queue:
                pending.answer.cancel()
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Refuses queued requests and waits for running ones, which cannot be aborted.

        Returns:
            Whether they ended within `timeout_s` seconds.
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
        """Runs the next requests. It is a separate function, so that their data is freed before it waits for others.

        Returns:
            False when there will be no more requests.
        """
        with self._collecting:
            taken = self._collect()
        batch = [pending for pending in taken if pending.try_start()]
        if batch:
            _answer(batch)
        return bool(taken)

    def _collect(self) -> list[PendingRequest]:
        """Removes the next request and those that can be merged with it from the queue; returns none after the end."""
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
        """Returns whether a batch has room for more texts of at most `longest` characters."""
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
            # One of the requests may be the cause; the others must not fail with it.
            for pending in batch:
                _answer([pending])
        return
    for pending, part in zip(batch, parts, strict=True):
        pending.answer.set_result(part)


def _shutting_down() -> RequestError:
    return RequestError(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")


def _too_late(when: str) -> RequestError:
    return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, f"the request's deadline passed before {when}")
