"""Carries runs out, each in processes of its own, and writes what came of each as a small JSON."""

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
from emr_ner_tf.data.whole_files import read_object
from emr_ner_tf.errors import UserError
from emr_ner_tf.experiments.recipes import PAPER
from emr_ner_tf.experiments.runs import Run
from emr_ner_tf.training.progress_log import clock

VERSION = 1
_SOURCES = ("emr_ner_tf", "configs")


def finished_runs(runs_dir: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Reads what earlier calls, here or on other machines, left.

    Returns:
        Results by name.

    Raises:
        UserError: a file in the directory is not what `execute_all` writes.
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
    """Guesses training seconds from finished runs: those of the same row, else with the same kind of encoder, else all.

    Returns:
        Seconds; None where nothing is finished.
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
    """The estimated time of runs together, as text."""
    guesses = [estimated_seconds(run, finished) for run in runs]
    known = [guess for guess in guesses if guess is not None]
    return f"about {clock(sum(known))}" if len(known) == len(guesses) else "unknown before a run has finished"


def execute_all(runs: Sequence[Run], runs_dir: str, work_dir: str) -> list[str]:
    """Carries out the runs that have no result yet, in their order; a run that fails does not stop the others.

    Args:
        runs: of a plan.
        runs_dir: takes `NAME.json` of each finished run.
        work_dir: takes the model directory of each run, from which an interrupted one goes on.

    Returns:
        What failed, a line for each.
    """
    failures = []
    finished = finished_runs(runs_dir)
    left = [run for run in runs if run.name not in finished]
    for i, run in enumerate(left):
        path = pathlib.Path(runs_dir) / f"{run.name}.json"
        if path.exists():
            logging.info("%s: finished meanwhile by another call", run.name)
            continue
        logging.info(
            "run %d of %d: %s; time left: %s", i + 1, len(left), run.name, time_left(left[i:], finished)
        )
        try:
            result = _execute(run, pathlib.Path(work_dir) / run.name)
        except UserError as error:
            logging.error("%s", error)
            failures.append(str(error))
            continue
        finished[run.name] = result
        with atomic_writer(path) as file:
            file.write(_as_text(result))
        # The optimiser's state is of no more use, and larger than the weights.
        shutil.rmtree(pathlib.Path(work_dir) / run.name / "checkpoints" / "last", ignore_errors=True)
        f1 = result["scores"]["exact"]["micro"]["f1"]
        logging.info("%s: exact F1 %.4f, trained in %s", run.name, f1, clock(result["training_seconds"]))
    return failures


def train_command(run: Run, model_dir: str | os.PathLike[str]) -> list[str]:
    """Returns the command that trains a run, without the interpreter."""
    changes = [f"--config.{key}={value}" for key, value in run.changes.items()]
    return ["-m", "emr_ner_tf.cli.train", f"--config={PAPER}:{run.row}", *changes, f"--model_dir={model_dir}"]


def _execute(run: Run, model_dir: pathlib.Path) -> dict[str, Any]:
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
    """Runs a main; its results go where its progress goes, since only the report is the result here."""
    status = run_to_end([sys.executable, *arguments], stdout=sys.stderr)
    if status == 130 or status == -signal.SIGINT:
        raise KeyboardInterrupt
    if status:
        raise UserError(f"{run.name}: {what} ended with status {status}; its message stands above")


def _cpu() -> str:
    """The model of this machine's CPU; its kind alone where the system does not tell."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _commit() -> dict[str, Any]:
    """The commit of the checkout that the code is of, and whether its code differs from it; nothing elsewhere."""
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
    """JSON a key a line where it is read, and a line for each long list, so that a run stays a small file."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in result.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
