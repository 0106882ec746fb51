"""Executes runs, each in separate processes, and writes the result of each run as a small JSON file."""

import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from emr_ner_tf.child_process import run_to_end
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.formats.options import option_flags, parse_options
from emr_ner_tf.data.whole_files import read_object
from emr_ner_tf.errors import UserError
from emr_ner_tf.experiments.recipes import PAPER
from emr_ner_tf.experiments.runs import Run
from emr_ner_tf.processor import processor_fact
from emr_ner_tf.training.progress_log import clock

VERSION = 1
_SOURCES = ("emr_ner_tf", "configs")


def finished_runs(runs_dir: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Reads the results of earlier calls, on this machine or on others.

    Returns:
        The results by name.

    Raises:
        UserError: a file in the directory was not written by `execute_all`.
    """
    results = {}
    for path in sorted(pathlib.Path(runs_dir).glob("*.json")):
        result = read_object(path)
        if result.get("version") != VERSION:
            raise UserError(f"{path}: must be the result of a run, with `version` {VERSION}")
        if not isinstance(result.get("name"), str):
            raise UserError(f"{path}: must be the result of a run, with its `name`")
        results[result["name"]] = result
    return results


def estimated_seconds(run: Run, finished: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Estimates the training time from finished runs: those of the same row, of the same kind of encoder, or all.

    Returns:
        Seconds, or None if no run is finished.
    """
    for alike in (
        lambda result: result["row"] == run.row and result["encoder"]["kind"] == run.kind,
        lambda result: (result["encoder"]["kind"] == "none") == (run.kind == "none"),
        lambda result: True,
    ):
        paces = [r["training_seconds"] / r["epochs"] for r in finished.values() if alike(r)]
        if paces:
            return sum(paces) / len(paces) * run.config.train.epochs
    return None


def time_left(runs: Sequence[Run], finished: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the estimated total time of runs, as text."""
    guesses = [estimated_seconds(run, finished) for run in runs]
    known = [guess for guess in guesses if guess is not None]
    return f"about {clock(sum(known))}" if len(known) == len(guesses) else "unknown until a run is finished"


def execute_all(runs: Sequence[Run], runs_dir: str, work_dir: str, *, disturbed: bool = False) -> list[str]:
    """Executes the runs that have no result yet, in order; a failed run does not stop the rest.

    Args:
        runs: result of `emr_ner_tf.experiments.runs.plan`.
        runs_dir: directory for `NAME.json` of each finished run.
        work_dir: directory for the model directories, from which interrupted runs resume.
        disturbed: whether other work runs on this machine, so that training times are no measurements.

    Returns:
        One message for each failed run.
    """
    failures = []
    finished = finished_runs(runs_dir)
    left = [run for run in runs if run.name not in finished]
    for i, run in enumerate(left):
        path = pathlib.Path(runs_dir) / f"{run.name}.json"
        if path.exists():
            logging.info("%s: was finished by another call", run.name)
            continue
        logging.info(
            "run %d of %d: %s; time left: %s", i + 1, len(left), run.name, time_left(left[i:], finished)
        )
        try:
            result = _execute(run, pathlib.Path(work_dir) / run.name, disturbed)
        except UserError as error:
            logging.error("%s", error)
            failures.append(str(error))
            continue
        finished[run.name] = result
        with atomic_writer(path) as file:
            file.write(_as_text(result))
        # The optimizer's state is no longer needed, and is larger than the weights.
        shutil.rmtree(pathlib.Path(work_dir) / run.name / "checkpoints" / "last", ignore_errors=True)
        f1 = result["scores"]["exact"]["micro"]["f1"]
        logging.info("%s: exact F1 %.4f, trained in %s", run.name, f1, clock(result["training_seconds"]))
    return failures


def train_command(run: Run, model_dir: str | os.PathLike[str]) -> list[str]:
    """Returns the command that trains a run, without the interpreter."""
    changes = [f"--config.{key}={value}" for key, value in run.changes.items()]
    return ["-m", "emr_ner_tf.cli.train", f"--config={PAPER}:{run.row}", *changes, f"--model_dir={model_dir}"]


def _execute(run: Run, model_dir: pathlib.Path, disturbed: bool) -> dict[str, Any]:
    commit = _commit()
    scores_path = model_dir / "scores.json"
    data = run.config.data
    _call(run, "training", train_command(run, model_dir))
    _call(
        run,
        "scoring",
        [
            *("-m", "emr_ner_tf.cli.evaluate", f"--model_dir={model_dir}", f"--input={run.test}"),
            *(f"--train={data.train}", f"--format={data.format}", f"--overlaps={data.overlaps}"),
            *option_flags(parse_options(data.options, "config.data.options")),
            *("--lookup_baseline", "--by_record", f"--output={scores_path}"),
        ],
    )
    metrics, history, versions, scores = (
        json.loads((model_dir / name).read_text(encoding="utf-8"))
        for name in ("metrics.json", "history.json", "versions.json", "scores.json")
    )
    by_record = scores.pop("by_record")
    lookup = scores.pop("lookup_baseline")["exact"]["micro"]["f1"]
    return {
        "version": VERSION,
        "name": run.name,
        "digest": run.digest,
        "row": run.row,
        "encoder": {"kind": run.kind} | _named(run, "encoder"),
        "seed": run.seed,
        "setup": run.setup,
        "epochs": metrics["epochs"],
        "updates": metrics["updates"],
        "parameters": metrics["parameters"],
        "training_seconds": metrics["training_seconds"],
        "disturbed": disturbed,
        "commit": commit,
        "machine": {"cores": len(os.sched_getaffinity(0)), "cpu": _cpu(), "device": metrics["device"]},
        "versions": versions,
        "lookup_f1": lookup,
        "scores": scores,
        "materials": {key: fingerprint._asdict() for key, fingerprint in run.fingerprints.items()},
        "settings": run.settings(),
        "history": history,
        "by_record": by_record,
    }


def _named(run: Run, key: str) -> dict[str, str]:
    return run.fingerprints[key]._asdict() if key in run.fingerprints else {"name": "", "digest": ""}


def _call(run: Run, what: str, arguments: Sequence[str]) -> None:
    """Runs a command; its output goes to standard error, because the report is the only result here."""
    status = run_to_end([sys.executable, *arguments], stdout=sys.stderr)
    if status == 130 or status == -signal.SIGINT:
        raise KeyboardInterrupt
    if status:
        raise UserError(f"{run.name}: {what} failed with status {status}; its message is printed above")


def _cpu() -> str:
    """Returns the model of this machine's CPU, or only its architecture if the system does not give the model."""
    return processor_fact("model name") or platform.machine()


def _commit() -> dict[str, Any]:
    """Returns the commit of the checkout and whether the code was changed; outside a checkout, the commit is None."""
    root = pathlib.Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        if not (root / ".git").exists():
            return None
        try:
            done = subprocess.run(
                ["git", "-C", root, *arguments], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    return {"id": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--", *_SOURCES))}


def _as_text(result: Mapping[str, Any]) -> str:
    """Returns JSON with one line for each key, so that the file is both readable and small."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in result.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
