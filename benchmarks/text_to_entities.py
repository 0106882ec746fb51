"""Raw text to entities: this project's bundle against the same architecture in PyTorch, on real records.

.venv-bench/bin/python benchmarks/text_to_entities.py --model_dir=DIR --bundle=DIR --records=FILE \
  --output=FILE

What ours computes in addition: the probability of each entity, and its surface form.
"""

import tempfile

from absl import app, flags
from harness import Worker, machine, measure_pairs, summarise, write_report

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Of a finished training run.", required=True)
_BUNDLE = flags.DEFINE_string("bundle", None, "The bundle exported from it.", required=True)
_RECORDS = flags.DEFINE_string("records", None, "Records, CCKS2019 JSON lines.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Takes the report, JSON.", required=True)
_PAIRS = flags.DEFINE_integer(
    "pairs", 9, "Measurements of each side; each takes its part of the records.", lower_bound=1
)
_TRIES = flags.DEFINE_integer(
    "tries", 3, "Most that a pair is measured where others disturb it.", lower_bound=1
)
_THREADS = flags.DEFINE_integer("threads", 2, "Threads, and processors, of each side.", lower_bound=1)

_TUNED_ON = 16


def main(argv: list[str]) -> None:
    """Compares the entities of all records, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {"benchmark": "raw text to entities", "machine": machine(_THREADS.value)}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"records": _RECORDS.value, "folder": folder}
        bundle = {"model_dir": _MODEL_DIR.value, "bundle": _BUNDLE.value}
        with Worker("ours", "tensorflow_impl.tagging", _THREADS.value, arguments | bundle) as ours:
            mine = ours.ask(do="entities")["entities"]
            with Worker("peer", "pytorch_baseline.tagging", _THREADS.value, arguments) as peer:
                report["check"] = _check(mine, peer.ask(do="entities")["entities"])
                report["peer_window_budget"] = peer.ask(do="tune", records=_TUNED_ON)["window_budget"]
                commands = [{"do": "measure", "first": i, "step": _PAIRS.value} for i in range(_PAIRS.value)]
                report["each"] = measure_pairs(
                    ours, peer, commands, threads=_THREADS.value, tries=_TRIES.value
                )
                report["idle_cpu_seconds"] = {"ours": ours.idle_cpu_seconds, "peer": peer.idle_cpu_seconds}
    report |= summarise(report["each"])
    for side in ("ours", "peer"):
        done = [pair[side] for pair in report["each"]]
        characters, seconds = (sum(answer[name] for answer in done) for name in ("characters", "seconds"))
        report["seconds"][side]["characters_per_second"] = characters / seconds
    write_report(report, _OUTPUT.value)


def _check(ours: list, peer: list) -> dict:
    """How many entities both find, and the numbers of the records on which they differ."""
    differing = [i for i, (mine, theirs) in enumerate(zip(ours, peer, strict=True)) if mine != theirs]
    return {
        "records": len(ours),
        "entities": {"ours": sum(map(len, ours)), "peer": sum(map(len, peer))},
        "records_that_differ": differing,
    }


if __name__ == "__main__":
    app.run(main)
