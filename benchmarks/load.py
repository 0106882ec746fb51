"""The development server under load: several client processes, minutes at saturation, killed and restarted.

.venv/bin/python benchmarks/load.py --bundle=DIR --output=FILE [--protocol=rest]

First a server that merges requests and one that does not are loaded in turn, for some seconds each. Then the first is
loaded for --seconds while its memory is read. At last it is killed twice under the same load and started again on its
port. Every answer is compared with what the bundle says of that record alone, and no two records have the same
entities, so that an answer to another request is found. Status 1 where a request failed, an answer is lost, swapped or
wrong, memory grew by more than a tenth, or a record was not answered exactly once. On an idle machine.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import app, flags
from common_flags import define_bundle, define_output, define_tries
from harness import Worker, machine, measure_pairs, summarise, write_report
from rich.table import Table
from server_process import Server

from emr_ner_tf.cli.console import results
from emr_ner_tf.cli.number_flags import define_seconds
from emr_ner_tf.data.synthetic.generator import generate

_BUNDLE = define_bundle()
_OUTPUT = define_output()
_SECONDS = define_seconds("seconds", 600, "Seconds at saturation, with batching.", 1)
_PAIRS = flags.DEFINE_integer("pairs", 6, "Rounds with and without batching, in turn.", lower_bound=1)
_PAIR_SECONDS = define_seconds("pair_seconds", 20, "Seconds of each side of a pair.", 1)
_TRIES = define_tries(2)
_RECORDS = flags.DEFINE_integer(
    "records", 2000, "Distinct records. While the server is killed each is sent once.", lower_bound=2
)
_PROCESSES = flags.DEFINE_integer("processes", 4, "Clients.", lower_bound=1)
_IN_FLIGHT = flags.DEFINE_integer("in_flight", 4, "Requests of a client at the same time.", lower_bound=1)
_TEXTS = flags.DEFINE_integer("texts", 1, "Texts in a request.", lower_bound=1)
_PROTOCOL = flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "Protocol of the clients.")

_PACKAGES = {"grpc": ("grpcio",), "rest": ("uvicorn", "h11", "starlette", "requests")}
_PROBLEMS = ("errors", "lost", "swapped", "wrong")
_MAX_GROWTH = 1.1
_KILLED_AT = (1 / 3, 2 / 3)
_AWAY_S = 1.0
_MAX_RECOVERY_S = 900.0
_SAMPLE_S = 2.0


def main(argv: list[str]) -> None:
    """Runs all phases, writes the report, prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    # So that it stops what it has started, as at Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    processors = len(os.sched_getaffinity(0))
    packages = ("tensorflow", *_PACKAGES[_PROTOCOL.value], "numpy")
    report: dict[str, Any] = {"machine": machine(processors, packages)}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        records, fingerprint = _prepare(folder, processors)
        report |= {"bundle": fingerprint, "records": records}
        report |= {flag.name: flag.value for flag in (_PROCESSES, _IN_FLIGHT, _TEXTS, _PROTOCOL)}
        clients = Clients(folder, processors, stack)
        batching = stack.enter_context(Server(folder / "versions", "--batching", protocol=_PROTOCOL.value))
        batching.start()
        with Server(folder / "versions", "--nobatching", protocol=_PROTOCOL.value) as alone:
            alone.start()
            report["pairs"] = _compare(batching, alone, clients, processors)
        report["saturation"] = _saturate(batching, clients)
        report["killed"] = _kill(batching, clients, records)
    everything = _figures(clients.answers)
    report["proven"] = {f"no_{name}": not everything[name] for name in _PROBLEMS} | {
        "memory_flat": report["saturation"]["memory"]["last_over_first"] <= _MAX_GROWTH,
        "killed_under_load": report["killed"]["under_load"],
        "each_record_once": report["killed"]["answered_once"] == records,
    }
    write_report(report, _OUTPUT.value)
    _show(report)
    if not all(report["proven"].values()):
        sys.exit(1)


class Clients:
    """The client processes, which send at the same time.

    Attributes:
        answers: to all requests, or their failures, as the clients wrote them down.
    """

    def __init__(self, folder: pathlib.Path, processors: int, stack: contextlib.ExitStack) -> None:
        """Starts them; they end with the stack."""
        self.answers: list[dict[str, Any]] = []
        self._logs = [folder / f"log-{place}.jsonl" for place in range(_PROCESSES.value)]
        self._futures: list[concurrent.futures.Future] = []
        # Left last: by then the clients have ended, and so has all that waits for them.
        self._pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(_PROCESSES.value))
        self._workers = []
        for place in range(_PROCESSES.value):
            arguments = {"data": str(folder / "data.json"), "place": place, "places": _PROCESSES.value}
            arguments |= {"size": _TEXTS.value, "protocol": _PROTOCOL.value}
            worker = Worker("client", "tensorflow_impl.asking", processors, arguments)
            self._workers.append(stack.enter_context(worker))

    def cpu_seconds(self) -> float:
        """Returns the processor time of the workers at their last answer plus that of this process."""
        return sum(worker.cpu_seconds for worker in self._workers) + time.process_time()

    def begin(self, server: Server, seconds: float, *, retry_s: float = 0.0, once: bool = False) -> None:
        """Has all of them send to a server; by default a request that fails is not tried again."""
        command = {"do": "send", "port": server.port, "seconds": seconds, "in_flight": _IN_FLIGHT.value}
        command |= {"retry_timeout_s": retry_s, "once": once}
        for log in self._logs:
            log.write_text("", encoding="utf-8")
        self._futures = [
            self._pool.submit(worker.ask, **command, log=str(log))
            for worker, log in zip(self._workers, self._logs, strict=True)
        ]

    def done(self, timeout_s: float) -> bool:
        """Waits a while; says whether all have ended, and raises where one failed."""
        for future in concurrent.futures.wait(self._futures, timeout_s).done:
            future.result()
        return all(future.done() for future in self._futures)

    def count(self) -> int:
        """Requests that have been answered, or have failed, since `begin`."""
        return sum(log.read_bytes().count(b"\n") for log in self._logs)

    def finish(self, server: Server) -> list[dict[str, Any]]:
        """Waits for the end; what they have written down since `begin`, in order of time."""
        while not self.done(_SAMPLE_S):
            server.check()
        lines = itertools.chain(*(log.read_text(encoding="utf-8").splitlines() for log in self._logs))
        answers = sorted(map(json.loads, lines), key=lambda answer: answer["ended"])
        self.answers += answers
        return answers


class Side:
    """A server that is loaded for a while; what `measure_pairs` compares.

    Attributes:
        cpu_seconds: of the server and of the clients, in all rounds of this side.
    """

    def __init__(self, server: Server, clients: Clients) -> None:
        self.cpu_seconds = 0.0
        self._server, self._clients = server, clients

    def ask(self, seconds: float) -> dict[str, Any]:
        """Loads it; `seconds` of 1,000 records, and the `answers`."""
        before, started = self._server.cpu_seconds() + self._clients.cpu_seconds(), time.monotonic()
        self._clients.begin(self._server, seconds)
        answers = self._clients.finish(self._server)
        self.cpu_seconds += self._server.cpu_seconds() + self._clients.cpu_seconds() - before
        length = answers[-1]["ended"] - started
        return {"seconds": 1000 * length / max(1, _records(answers)), "length": length, "answers": answers}


def _prepare(folder: pathlib.Path, processors: int) -> tuple[int, str]:
    """Writes the records with what is expected of each, and a directory with the one version.

    Returns:
        The number of records, and which bundle it is.
    """
    _say(f"what is expected of {_RECORDS.value} records, one at a time")
    data = folder / "data.json"
    texts = [document.text for document in generate("test", records=_RECORDS.value, seed=0)]
    data.write_text(json.dumps({"texts": texts}), encoding="utf-8")
    arguments = {"data": str(data), "bundle": _BUNDLE.value}
    with Worker("expected", "tensorflow_impl.asking", processors, arguments) as worker:
        expected = worker.ask(do="expect")
    spans = [tuple(tuple(entity[:3]) for entity in entities) for entities in expected["entities"]]
    times = collections.Counter(spans)
    kept = [number for number, found in enumerate(spans) if found and times[found] == 1]
    least = 2 * _PROCESSES.value * _IN_FLIGHT.value * _TEXTS.value
    if len(kept) < least:
        raise RuntimeError(
            f"{len(kept)} of {len(texts)} records have entities that no other has, and {least} are needed: more "
            "--records, or a bundle that finds more"
        )
    chosen = {"texts": [texts[i] for i in kept], "expected": [expected["entities"][i] for i in kept]}
    data.write_text(json.dumps(chosen), encoding="utf-8")
    (folder / "versions").mkdir()
    (folder / "versions" / "1").symlink_to(expected["path"])
    return len(kept), expected["fingerprint"]


def _compare(batching: Server, alone: Server, clients: Clients, processors: int) -> dict[str, Any]:
    """Measures both servers in turn, after a warm-up round of each."""
    ours, peer = Side(batching, clients), Side(alone, clients)
    command = {"seconds": _PAIR_SECONDS.value}
    _say("warming up")
    for side in (ours, peer):
        side.ask(**command)
    _say(f"{_PAIRS.value} pairs with and without batching, {_PAIR_SECONDS.value:g} s each")
    pairs = measure_pairs(ours, peer, [command] * _PAIRS.value, threads=processors, tries=_TRIES.value)
    summary = summarise(pairs)
    figures = {}
    for name, side in (("batching", "ours"), ("no_batching", "peer")):
        answers = [answer for pair in pairs for answer in pair[side]["answers"]]
        figures[name] = _figures(answers, sum(pair[side]["length"] for pair in pairs))
    return figures | {
        "pairs": len(pairs),
        "tries": [pair["tries"] for pair in pairs],
        "rate_with_batching_over_without": summary["ratio_peer_over_ours"],
        "others_cpu_share": summary["others_cpu_share"],
    }


def _saturate(server: Server, clients: Clients) -> dict[str, Any]:
    """Runs one long load and samples the server's memory."""
    _say(f"saturation, {_SECONDS.value:g} s")
    started, last_logged, samples = time.monotonic(), 0.0, []
    clients.begin(server, _SECONDS.value)
    while not clients.done(min(_SAMPLE_S, _SECONDS.value / 20)):
        server.check()
        now = time.monotonic() - started
        samples.append((now, server.megabytes()))
        if now >= last_logged + 30:
            last_logged = now
            _say(f"{now:.0f} s, {clients.count()} requests, {samples[-1][1]:.0f} MB")
    answers = clients.finish(server)
    part = min(60.0, _SECONDS.value / 4)
    parts = collections.defaultdict(list)
    for at, megabytes in samples:
        parts[min(int(at / part), int(_SECONDS.value / part) - 1)].append(megabytes)
    medians = [statistics.median(parts[i]) for i in sorted(parts)]
    return _figures(answers, answers[-1]["ended"] - started) | {
        "memory": {
            "megabytes": {"first": medians[0], "last": medians[-1], "most": max(m for _, m in samples)},
            "last_over_first": medians[-1] / medians[0],
            "part_seconds": part,
            "medians": medians,
        }
    }


def _kill(server: Server, clients: Clients, records: int) -> dict[str, Any]:
    """Sends each record once, while the server is killed and started again."""
    started, outages = time.monotonic(), []
    clients.begin(server, _MAX_RECOVERY_S, retry_s=_MAX_RECOVERY_S, once=True)
    for share in _KILLED_AT:
        while clients.count() * _TEXTS.value < share * records and not clients.done(0.02):
            server.check()
        _say(f"killed after {clients.count()} requests")
        killed = time.monotonic()
        server.kill()
        time.sleep(_AWAY_S)
        server.start()
        outages.append((killed, time.monotonic()))
    answers = clients.finish(server)
    times = [started, *(answer["ended"] for answer in answers)]
    # An answer may have been on its way when the server was killed: what comes after the restart is from the new one.
    recovered = [next((at for at in times if at > ready), None) for _, ready in outages]
    numbers = collections.Counter(itertools.chain(*(answer.get("numbers", ()) for answer in answers)))
    return _figures(answers, times[-1] - started) | {
        "kills": len(outages),
        "under_load": None not in recovered and times[1] < outages[0][0],
        "ready_again_s": [ready - killed for killed, ready in outages],
        "answers_again_s": [
            None if at is None else at - killed for at, (killed, _) in zip(recovered, outages, strict=True)
        ],
        "longest_gap_s": max(later - earlier for earlier, later in itertools.pairwise(times)),
        "answered_once": sum(count == 1 for count in numbers.values()),
        "answered_more_than_once": sum(count > 1 for count in numbers.values()),
    }


def _records(answers: Iterable[dict[str, Any]]) -> int:
    return sum(len(answer.get("numbers", ())) for answer in answers)


def _figures(answers: Sequence[dict[str, Any]], seconds: float | None = None) -> dict[str, Any]:
    """Returns the figures of the answers of a phase; with `seconds`, latencies and rates, too."""
    figures: dict[str, Any] = {"requests": len(answers), "records": _records(answers)}
    figures["errors"] = collections.Counter(answer["error"] for answer in answers if "error" in answer)
    for name in _PROBLEMS[1:]:
        figures[name] = sum(answer.get(name, 0) for answer in answers)
    latencies = [1000 * answer["seconds"] for answer in answers if "seconds" in answer]
    if seconds is not None and latencies:
        p50, p95, p99 = np.quantile(latencies, [0.5, 0.95, 0.99]).tolist()
        figures["latency_ms"] = {"p50": p50, "p95": p95, "p99": p99, "most": max(latencies)}
        figures |= {"seconds": seconds, "records_per_second": figures["records"] / seconds}
    return figures


def _show(report: dict[str, Any]) -> None:
    pairs, killed, memory = report["pairs"], report["killed"], report["saturation"]["memory"]
    phases = {
        "pairs, batching": pairs["batching"],
        "pairs, no batching": pairs["no_batching"],
        "saturation": report["saturation"],
        "killed and restarted": killed,
    }
    table = Table(
        f"over {report['protocol']}", "requests", "records/s", "p50 ms", "p95 ms", "p99 ms", *_PROBLEMS
    )
    for name, one in phases.items():
        latency = one.get("latency_ms", {})
        values = (one.get("records_per_second", 0.0), *(latency.get(p, 0.0) for p in ("p50", "p95", "p99")))
        problems = (sum(one["errors"].values()), *(one[problem] for problem in _PROBLEMS[1:]))
        table.add_row(name, str(one["requests"]), *(f"{value:.1f}" for value in values), *map(str, problems))
    results().print(table)
    ratio, again = pairs["rate_with_batching_over_without"], killed["answers_again_s"]
    table = Table(show_header=False)
    table.add_row(
        "records/s with batching over without",
        f"{ratio['median']:.3f}, quartiles {ratio['quartile_1']:.3f} and {ratio['quartile_3']:.3f}",
    )
    table.add_row(
        f"memory in the first and last {memory['part_seconds']:g} s",
        "{first:.0f} and {last:.0f} MB, most {most:.0f}; ".format(**memory["megabytes"])
        + f"ratio {memory['last_over_first']:.3f} (at most {_MAX_GROWTH})",
    )
    table.add_row(
        "killed: answers again after",
        ", ".join("never" if seconds is None else f"{seconds:.1f} s" for seconds in again)
        + f"; longest gap {killed['longest_gap_s']:.1f} s",
    )
    table.add_row("killed: answered once", f"{killed['answered_once']} of {report['records']} records")
    for name, holds in report["proven"].items():
        table.add_row(name, "yes" if holds else "NO")
    results().print(table)


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    app.run(main)
