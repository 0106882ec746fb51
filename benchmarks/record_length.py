"""Throughput of a bundle by the length of its records, and of the development server against the bundle.

.venv/bin/python benchmarks/record_length.py --bundle=VERSIONS --records=FILE --output=FILE [--rounds=5]

The texts of the records, joined, are cut into records of each of --lengths. Each round annotates the same --characters
at every length in turn, and the records as they are in this process and through `emr-ner serve`, a process of its own
that shares the processors. On an idle machine.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from absl import app, flags
from common_flags import define_bundle, define_output
from harness import machine, spread, write_report
from server_process import Server

import emr_ner_tf
from emr_ner_tf.inference.annotator import Annotator

_BUNDLE = define_bundle()
_RECORDS = flags.DEFINE_string("records", None, "Records, in any format.", required=True)
_OUTPUT = define_output()
_LENGTHS = flags.DEFINE_list("lengths", ["100", "1000", "10000", "100000"], "Characters in a record.")
_CHARACTERS = flags.DEFINE_integer("characters", 100_000, "Characters of one measurement.", lower_bound=1000)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each length and side.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Measures in turn and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    records = [document.text for document in emr_ner_tf.read_documents(_RECORDS.value)]
    joined = "".join(records)
    joined = (joined * (1 + _CHARACTERS.value // len(joined)))[: _CHARACTERS.value]
    lengths = list(map(int, _LENGTHS.value))
    threads = len(os.sched_getaffinity(0))
    report: dict[str, Any] = {"benchmark": "length of a record", "machine": machine(threads, ("tensorflow",))}
    with Server(_BUNDLE.value) as server:
        server.start()
        with emr_ner_tf.connect(f"127.0.0.1:{server.port}") as client:
            bundle = emr_ner_tf.load(_BUNDLE.value)
            assert list(bundle.annotate(records)) == list(client.annotate(records))
            cases: dict[str, tuple[Annotator, list[str]]] = {
                str(length): (bundle, [joined[i : i + length] for i in range(0, len(joined), length)])
                for length in lengths
            }
            sides = {"annotate": (bundle, records), "server": (client, records)}
            speeds = _rounds(cases | sides)
    by_length = {length: spread(speeds[length]) for length in cases}
    middle = [values["median"] for values in by_length.values()]
    report |= {
        "characters_per_second": by_length | {side: spread(speeds[side]) for side in sides},
        "fastest_over_slowest_length": max(middle) / min(middle),
        "server_over_annotate": spread(
            [theirs / ours for ours, theirs in zip(speeds["annotate"], speeds["server"], strict=True)]
        ),
        "each": speeds,
    }
    write_report(report, _OUTPUT.value)


def _rounds(cases: dict[str, tuple[Annotator, list[str]]]) -> dict[str, list[float]]:
    """Characters a second of each case in each round; the order changes from round to round."""
    speeds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(-1, _ROUNDS.value):
        names = list(cases) if number % 2 else list(reversed(cases))
        for name in names:
            speed = _characters_per_second(*cases[name])
            # The first round warms up.
            if number >= 0:
                speeds[name].append(speed)
    return speeds


def _characters_per_second(annotator: Annotator, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for _ in annotator.annotate(texts):
        pass
    return sum(map(len, texts)) / (time.perf_counter() - started)


if __name__ == "__main__":
    app.run(main)
