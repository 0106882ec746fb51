"""Seconds between the last step of an epoch and the first step of the next one, and the time of a whole run.

.venv/bin/python benchmarks/epoch_pause.py --encoder=DIR --records=FILE --output=FILE [--rows=default,...]

Each row of --rows is trained for --epochs epochs without validation, with a log line for each step. The time of a line
is that at which it arrives here, so that a pause is measured to the end of the next step; `pause_seconds` is the time
without the median of a step. `run_seconds` is from the first step to the last. The rows are trained in turn,
--rounds times. On an idle machine.
"""

import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from common_flags import define_encoder, define_output, define_records
from harness import machine, spread, write_report

_ENCODER = define_encoder()
_RECORDS = define_records()
_OUTPUT = define_output()
_ROWS = flags.DEFINE_list("rows", ["default"], "Recipes to train.")
_EPOCHS = flags.DEFINE_integer("epochs", 4, "Epochs of each run.", lower_bound=2)
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Runs of each row.", lower_bound=1)
_SETTINGS = flags.DEFINE_multi_string(
    "setting", [], "Further flags of `train`, such as --config.train.seed=2."
)

_STEP = re.compile(rb"epoch (\d+)/\d+, step (\d+)/(\d+)")


def main(argv: list[str]) -> None:
    """Trains all rows and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {
        "benchmark": "pause between epochs",
        "machine": machine(len(os.sched_getaffinity(0)), ("tensorflow",)),
    }
    report["each"] = [{"row": row} | _train(row) for _ in range(_ROUNDS.value) for row in _ROWS.value]
    for row in _ROWS.value:
        runs = [run for run in report["each"] if run["row"] == row]
        pauses = [pause for run in runs for pause in run["pauses"]]
        report[row] = {
            "pause_seconds": spread(pauses) | {"max": max(pauses)},
            "run_seconds": spread([run["run_seconds"] for run in runs]),
        }
    write_report(report, _OUTPUT.value)


def _train(row: str) -> dict:
    """Trains once; returns the pauses, a step and the time from the first to the last step, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "emr_ner_tf.cli.train", f"--config={row}", f"--model_dir={folder}/run"),
            *(f"--config.encoder={_ENCODER.value}", f"--config.data.train={_RECORDS.value}"),
            *("--config.data.validation_fraction=0", f"--config.train.epochs={_EPOCHS.value}"),
            *("--config.train.log_seconds=0", *_SETTINGS.value),
        ]
        steps: list[tuple[float, int]] = []
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "200"}
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                found = _STEP.search(line)
                if found:
                    steps.append((time.perf_counter(), int(found[1])))
        if process.returncode:
            raise RuntimeError(f"train ended with status {process.returncode}")
    pairs = list(itertools.pairwise(steps))
    step = statistics.median(
        after - before for (before, epoch), (after, next_epoch) in pairs if epoch == next_epoch
    )
    pauses = [after - before - step for (before, epoch), (after, next_epoch) in pairs if epoch != next_epoch]
    return {
        "pauses": pauses,
        "step_seconds": step,
        "run_seconds": steps[-1][0] - steps[0][0],
        "steps": len(steps),
    }


if __name__ == "__main__":
    app.run(main)
