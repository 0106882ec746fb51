"""A client process of the load test: sends records to a server, several requests at a time, and checks each answer."""

import collections
import itertools
import json
import os
import pathlib
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from harness import Handlers, serve

from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions, ServingError
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.data.document import Document
from tensorflow_impl.threads import start_tensorflow

_SCORE_TOLERANCE = 1e-3


def load(threads: int, data: str, bundle: str | None = None, **place: Any) -> Handlers:
    """Reads the records; answers `expect` where there is a bundle, else `send`.

    Args:
        threads: of TensorFlow.
        data: file of `texts` and, to send them, `expected`: the entities of each, no two texts with the same ones.
        bundle: what the expected entities are computed with.
        **place: see `Client`.
    """
    # At Ctrl-C the driver says what ends when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    loaded = json.loads(pathlib.Path(data).read_text(encoding="utf-8"))
    if bundle is None:
        return {"send": Client(**loaded, **place).send}
    return {"expect": lambda: _expect(loaded["texts"], bundle, threads)}


class Client:
    """Sends every n-th record."""

    def __init__(
        self,
        texts: Sequence[str],
        expected: Sequence[Sequence],
        *,
        place: int,
        places: int,
        size: int,
        protocol: str = "grpc",
    ) -> None:
        """Makes one.

        Args:
            texts: of all records.
            expected: entities of each: start, end, label, score.
            place: of this client among all.
            places: how many clients there are.
            size: texts of a request.
            protocol: "grpc" or "rest".
        """
        self._scores = [[score for *_, score in entities] for entities in expected]
        self._number = {_spans(entities): number for number, entities in enumerate(expected)}
        documents = [Document(str(number), text) for number, text in enumerate(texts)][place::places]
        self._requests = [documents[i : i + size] for i in range(0, len(documents), size)]
        self._protocol = protocol
        self._clients: dict[tuple[int, float, int], GrpcClient | RestClient] = {}
        self._lock = threading.Lock()

    def send(
        self, port: int, log: str, seconds: float, in_flight: int, retry_timeout_s: float, once: bool
    ) -> dict[str, Any]:
        """Sends requests, each thread the next when it has its answer.

        Args:
            port: of the server on this machine.
            log: takes a line of JSON for each request: what has been answered or is wrong, and when.
            seconds: after which no further request is sent.
            in_flight: requests at the same time.
            retry_timeout_s: as the client has it; 0 shows every failure.
            once: ends with the last record, instead of beginning again.
        """
        requests = iter(self._requests) if once else itertools.cycle(self._requests)
        until = time.monotonic() + seconds
        failures = []

        def work(thread: int) -> None:
            try:
                client = self._client(port, retry_timeout_s, thread)
                while time.monotonic() < until:
                    with self._lock:
                        request = next(requests, None)
                    if request is None:
                        return
                    line = json.dumps(self._ask(client, request)) + "\n"
                    with self._lock:
                        file.write(line)
                        file.flush()
            except BaseException as error:
                failures.append(error)
                raise

        with open(log, "w", encoding="utf-8") as file:
            workers = [threading.Thread(target=work, args=(i,)) for i in range(in_flight)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        if failures:
            raise RuntimeError("a thread of a client has ended early") from failures[0]
        return {}

    def _client(self, port: int, retry_timeout_s: float, thread: int) -> GrpcClient | RestClient:
        """Returns the client of a thread: threads share one for gRPC, and have their own for REST."""
        key = (port, retry_timeout_s, thread if self._protocol == "rest" else 0)
        kind = RestClient if self._protocol == "rest" else GrpcClient
        with self._lock:
            if key not in self._clients:
                options = ClientOptions(retry_timeout_s=retry_timeout_s)
                self._clients[key] = kind(f"127.0.0.1:{port}", options)
            return self._clients[key]

    def _ask(self, client: GrpcClient | RestClient, request: Sequence[Document]) -> dict[str, Any]:
        started = time.monotonic()
        try:
            answered = list(client.annotate(request))
        except ServingError as error:
            # A server that is away refuses at once, thousands of times a second.
            time.sleep(0.1)
            return {"ended": time.monotonic(), "error": error.code}
        ended = time.monotonic()
        verdicts = collections.Counter(map(self._verdict, answered))
        return {
            "ended": ended,
            "seconds": ended - started,
            "numbers": [int(document.id) for document in answered],
            "lost": len(request) - len(answered),
            "swapped": verdicts["swapped"],
            "wrong": verdicts["wrong"],
        }

    def _verdict(self, document: Document) -> str:
        entities = [(one.start, one.end, one.label, one.score) for one in document.entities]
        number = self._number.get(_spans(entities))
        if number is None:
            return "wrong"
        if number != int(document.id):
            return "swapped"
        scores = zip(entities, self._scores[number], strict=True)
        return "right" if all(abs(one[3] - score) <= _SCORE_TOLERANCE for one, score in scores) else "wrong"


def _expect(texts: Sequence[str], path: str, threads: int) -> dict[str, Any]:
    """Returns the entities of each text, one text at a time; and which bundle that was."""
    # The clients do without: it takes its time and its memory.
    from emr_ner_tf.exporting.bundle import Bundle

    start_tensorflow(threads)
    bundle = Bundle(path)
    found = [bundle.predict([text])[0] for text in texts]
    return {
        "path": str(bundle.path.resolve()),
        "fingerprint": bundle.name,
        "entities": [[(one.start, one.end, one.label, one.score) for one in entities] for entities in found],
    }


def _spans(entities: Sequence[Sequence]) -> tuple:
    return tuple((start, end, label) for start, end, label, _ in entities)


def _end_with_driver() -> None:
    """Ends the process, whatever it waits for, when the driver closes its standard input."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    serve(load)
