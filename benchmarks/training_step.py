"""Training step: this project against the same architecture in PyTorch, on the same real batches.

.venv-bench/bin/python benchmarks/training_step.py --encoder=DIR --records=FILE --output=FILE
"""

import tempfile

from absl import app, flags
from common_flags import (
    define_encoder,
    define_output,
    define_pairs,
    define_records,
    define_threads,
    define_tries,
)
from harness import Worker, machine, measure_pairs, summarise, write_report

_ENCODER = define_encoder()
_RECORDS = define_records()
_OUTPUT = define_output()
_PAIRS = define_pairs(9)
_STEPS = flags.DEFINE_integer("steps", 3, "Updates in one measurement.", lower_bound=1)
_TRIES = define_tries(3)
_THREADS = define_threads()

_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "Precision of both sides; bfloat16 is mixed_bfloat16 here and torch.autocast in PyTorch.",
)

_CHECKED, _WARM_UP = 2, 4
_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


def main(argv: list[str]) -> None:
    """Checks that both sides compute the same, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {
        "benchmark": "training step",
        "precision": _PRECISION.value,
        "machine": machine(_THREADS.value),
    }
    steps = _STEPS.value
    needed = _WARM_UP + _PAIRS.value * steps
    with tempfile.TemporaryDirectory() as folder:
        arguments = {
            "encoder": _ENCODER.value,
            "records": _RECORDS.value,
            "batches": needed,
            "folder": folder,
            "precision": _PRECISION.value,
        }
        with Worker("ours", "tensorflow_impl.training", _THREADS.value, arguments) as ours:
            facts = ours.ask(do="facts")
            if facts["batches"] < needed:
                raise app.UsageError(f"{needed} full batches needed, the records give {facts['batches']}")
            with Worker("peer", "pytorch_baseline.training", _THREADS.value, {"folder": folder}) as peer:
                report["shapes"] = facts
                asked = [{"do": "check", "batch": i} for i in range(_CHECKED)]
                report["check"] = [_check(ours.ask(**command), peer.ask(**command)) for command in asked]
                warm_up = list(range(_WARM_UP))
                traces = ours.ask(do="warm_up", batches=warm_up)["traces"]
                peer.ask(do="measure", batches=warm_up)
                commands = [
                    {"do": "measure", "batches": list(range(first, first + steps))}
                    for first in range(_WARM_UP, needed, steps)
                ]
                report["each"] = measure_pairs(
                    ours, peer, commands, threads=_THREADS.value, tries=_TRIES.value
                )
                report["retraced_while_measured"] = report["each"][-1]["ours"]["traces"] - traces
                report["idle_cpu_seconds"] = {"ours": ours.idle_cpu_seconds, "peer": peer.idle_cpu_seconds}
    report["updates_per_measurement"] = steps
    report |= summarise(report["each"])
    write_report(report, _OUTPUT.value)


def _check(ours: dict, peer: dict) -> dict:
    """Returns both answers with their relative differences; too large a one ends the benchmark."""
    differences = {name: abs(ours[name] - peer[name]) / abs(peer[name]) for name in ("loss", "gradient_norm")}
    if max(differences.values()) > _TOLERANCE[_PRECISION.value]:
        raise SystemExit(f"the two sides do not compute the same: ours {ours}, peer {peer}")
    return {"ours": ours, "peer": peer, "relative_difference": differences}


if __name__ == "__main__":
    app.run(main)
