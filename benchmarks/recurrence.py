"""BiGRU and BiLSTM, forward and with gradients: this project's loops against Keras' and PyTorch's.

.venv-bench/bin/python benchmarks/recurrence.py --output=FILE
"""

from typing import Any

from absl import app, flags
from common_flags import define_output, define_pairs, define_threads, define_tries
from harness import Worker, machine, measure_pairs, summarise, write_report
from recurrence_data import CELLS

_OUTPUT = define_output()
_SHAPES = flags.DEFINE_list(
    "shapes", ["1x254", "1x510", "16x254", "32x254"], "Windows x tokens of each batch."
)
_UNITS = flags.DEFINE_integer(
    "units", 512, "Units of each direction, and width of the inputs.", lower_bound=1
)
_PAIRS = define_pairs(5)
_TRIES = define_tries(2)
_THREADS = define_threads()

# One measurement repeats a small batch until it has about this many tokens.
_TOKENS_PER_MEASUREMENT = 1024
_TOLERANCE = 1e-4


def main(argv: list[str]) -> None:
    """Checks that all sides compute the same, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    threads, units = _THREADS.value, {"units": _UNITS.value}
    report: dict[str, Any] = {
        "benchmark": "bidirectional recurrence",
        "machine": machine(threads),
        "units": _UNITS.value,
        "cases": {},
    }
    with (
        Worker("ours", "tensorflow_impl.recurrence", threads, units | {"implementation": "ours"}) as ours,
        Worker("keras", "tensorflow_impl.recurrence", threads, units | {"implementation": "keras"}) as keras,
        Worker("peer", "pytorch_baseline.recurrence", threads, units) as pytorch,
    ):
        for name, case, repeats in _cases():
            # It also traces and warms up.
            sums = {side.name: side.ask(do="check", **case)["sums"][0] for side in (ours, keras, pytorch)}
            if max(abs(value / sums["peer"] - 1) for value in sums.values()) > _TOLERANCE:
                raise SystemExit(f"the sides do not compute the same: {name}: {sums}")
            commands = [{"do": "measure", "repeats": repeats} | case] * _PAIRS.value
            report["cases"][name] = {
                peer: summarise(measure_pairs(ours, worker, commands, threads=threads, tries=_TRIES.value))
                for peer, worker in (("keras", keras), ("pytorch", pytorch))
            }
    report["gru_over_lstm"] = {
        name.removeprefix("gru "): _seconds(report, name) / _seconds(report, name.replace("gru", "lstm"))
        for name in report["cases"]
        if name.startswith("gru")
    }
    write_report(report, _OUTPUT.value)


def _cases() -> list[tuple[str, dict[str, Any], int]]:
    cases = []
    for shape in _SHAPES.value:
        batch, time = map(int, shape.split("x"))
        repeats = max(1, _TOKENS_PER_MEASUREMENT // (batch * time))
        for backward in (False, True):
            for cell in CELLS:
                passes = "forward and backward" if backward else "forward"
                case = {"cell": cell, "backward": backward, "batch": batch, "time_steps": time}
                cases.append((f"{cell} {shape} {passes}", case, repeats))
    return cases


def _seconds(report: dict[str, Any], name: str) -> float:
    return report["cases"][name]["pytorch"]["seconds"]["ours"]["median"]


if __name__ == "__main__":
    app.run(main)
