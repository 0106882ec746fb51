"""The run of a pre-training, whatever its objective: epochs, measures before and after, checkpoints, files."""

import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict, save_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.checkpoints import Checkpoints, Progress
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.loop import run_epoch
from emr_ner_tf.training.model_dir import (
    CONFIG,
    HISTORY,
    METRICS,
    VERSIONS,
    check_resumable,
    check_same_settings,
    exclusive_lock,
    versions,
    write_json,
)
from emr_ner_tf.training.multi_worker import assert_workers_agree, broadcast_from_chief, report_lost_workers
from emr_ner_tf.training.progress_log import ProgressLog, clock
from emr_ner_tf.training.strategies import build_strategy, is_chief_process


class Epoch(NamedTuple):
    """One epoch of a run.

    Attributes:
        name: in progress and history.
        steps: how many it has.
        batches: from the number of steps already taken to the distributed batches of the others.
        train_step: as `make_train_step` makes it.
    """

    name: str
    steps: int
    batches: Callable[[int], Iterable[Any]]
    train_step: Callable[[Any], tuple[tf.Tensor, tf.Tensor]]


class Task(NamedTuple):
    """What a run trains and how it is measured.

    Attributes:
        model: whose variables a checkpoint holds.
        optimizer: of every epoch; several as one `tf.train.Checkpoint`.
        step: int64 variable that each train step advances.
        digest: of the text and of what its ids stand for, so that a run never goes on with other text.
        warm_up: epochs before the first measure, which is the "before" of the run.
        epochs: those after it, each followed by a measure.
        evaluate: measures on held-out text; all processes call it together.
        save: writes the result; only the chief calls it, at the end.
        facts: what else `metrics.json` says.
    """

    model: tf.keras.Model
    optimizer: Any
    step: tf.Variable
    digest: str
    warm_up: Sequence[Epoch]
    epochs: Sequence[Epoch]
    evaluate: Callable[[], dict[str, float]]
    save: Callable[[], None]
    facts: dict[str, Any]


def run(
    config: ConfigDict,
    model_dir: str,
    build: Callable[[tf.distribute.Strategy], Task],
    *,
    base: Callable[[], ConfigDict],
    strategy_name: str = "one_device",
) -> dict[str, Any]:
    """Pre-trains, or goes on with the run that `model_dir` holds.

    A measure and a checkpoint end each epoch, and a checkpoint comes every `config.train.checkpoint_seconds`; killed
    at any moment, the same call goes on from the last of them, and ends as an undisturbed run does.

    Args:
        config: resolved, checked; must equal the one that `model_dir` was begun with, but for how it is watched. Of
            section `train` this reads `seed`, `precision`, `deterministic`, `checkpoint_seconds` and `log_seconds`.
        model_dir: takes `config.json`, `versions.json`, checkpoints, `history.json` and `metrics.json`.
        build: makes the task under a strategy, deterministic in `config`.
        base: gives the configuration with every key.
        strategy_name: of `emr_ner_tf.training.strategies`.

    Returns:
        What `metrics.json` says: `before` and `after`, each as `Task.evaluate` gives it, and the facts.

    Raises:
        UserError: another run's directory, or one whose run cannot be resumed, or another process at work in it; what
            `build` raises; a file that cannot be written; workers that do not agree, or the loss of one.
    """
    chief = is_chief_process(strategy_name)
    folder = pathlib.Path(model_dir)
    with exclusive_lock(folder, chief=chief), report_lost_workers():
        check_resumable(folder)
        check_same_settings(config, folder, base)
        if config.train.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(config.train.seed)
        tf.keras.mixed_precision.set_global_policy(config.train.precision)
        strategy = build_strategy(strategy_name)
        return _Run(config, folder, strategy, chief, build(strategy)).run()


def check_output(output: str, model_dir: str) -> None:
    """Checks, before hours of work, that the result can be written, and that it does not replace the run.

    Raises:
        UserError: one directory for both, which both have a `config.json`; or no directory can be made there.
    """
    if os.path.realpath(output) == os.path.realpath(model_dir):
        raise UserError(f"--output must be another directory than --model_dir, got {output} for both")
    path = pathlib.Path(os.path.realpath(output))
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    if not nearest.is_dir():
        raise UserError(f"--output must be a directory, got {output}, and {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--output={output}: {nearest} cannot be written to; check its permissions")


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        config: ConfigDict,
        model_dir: pathlib.Path,
        strategy: tf.distribute.Strategy,
        chief: bool,
        task: Task,
    ) -> None:
        self.config = config
        self.model_dir = model_dir
        self.strategy = strategy
        self.chief = chief
        self.task = task
        self.epochs = (*task.warm_up, *task.epochs)
        assert_workers_agree(
            strategy, [task.digest, str(config)], "every worker must have the same text and configuration"
        )
        self.progress = Progress(task.digest)
        self.checkpoints = Checkpoints(model_dir, task.model, task.optimizer, task.step, self.progress)

    def run(self) -> dict[str, Any]:
        """Trains to the end and returns the metrics."""
        progress = self.progress
        resumed = self.checkpoints.restore_last()
        state = (variable.numpy().tobytes() for variable in (self.task.step, *self.task.model.variables))
        assert_workers_agree(
            self.strategy,
            state,
            "every worker must have the same encoder, and --model_dir in a folder that all share",
        )
        if self.chief:
            # Only now: a run on other text is refused before it can touch what the old one wrote.
            self.checkpoints.tidy()
            if not resumed:
                with failed_writes_named(self.model_dir / CONFIG):
                    save_config(self.config, self.model_dir / CONFIG)
                write_json(self.model_dir / VERSIONS, versions())
        if resumed and not progress.finished:
            logging.info("resumed at %s, step %d", self.epochs[progress.epoch].name, progress.step)
        steps = [epoch.steps for epoch in self.epochs]
        done = sum(steps[: progress.epoch]) + progress.step
        log = ProgressLog(self.config.train.log_seconds, sum(steps), done)
        while not progress.finished:
            if progress.epoch == len(self.task.warm_up) and not any(map(_measured, progress.history)):
                progress.history.append(self._measure({"name": "before"}))
                # No checkpoint: it would bear the name of the one in force. A run killed now measures again.
                self._show()
            self._run_epoch(log, sum(steps[: progress.epoch]))
        return self._finish()

    def _run_epoch(self, log: ProgressLog, first_step: int) -> None:
        progress, epoch = self.progress, self.epochs[self.progress.epoch]
        run_epoch(
            epoch.batches(progress.step),
            epoch.train_step,
            progress,
            log,
            first_step=first_step,
            epoch_steps=epoch.steps,
            epochs=len(self.epochs),
            save=self.checkpoints if self.chief else None,
            save_seconds=self.config.train.checkpoint_seconds,
            name=epoch.name,
        )
        entry: dict[str, Any] = {
            "name": epoch.name,
            "loss": progress.loss_sum / epoch.steps,
            "losses": progress.losses(),
            "seconds": round(progress.seconds, 1),
        }
        logging.info("%s: loss %.3f, %s", epoch.name, entry["loss"], clock(progress.seconds))
        if progress.epoch >= len(self.task.warm_up):
            entry = self._measure(entry)
        progress.end_epoch(entry)
        progress.finished = progress.epoch == len(self.epochs)
        self._save()

    def _measure(self, entry: dict[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        figures = self.task.evaluate()
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        logging.info(
            "%s, held-out passages: %s (%s)", entry["name"], shown, clock(time.monotonic() - started)
        )
        return entry | {"held": figures}

    def _save(self) -> None:
        if self.chief:
            self.checkpoints.save_last()
        self._show()

    def _show(self) -> None:
        if self.chief:
            write_json(self.model_dir / HISTORY, self.progress.history)

    def _finish(self) -> dict[str, Any]:
        history = self.progress.history
        figures = [entry["held"] for entry in history if _measured(entry)]
        metrics = {
            "before": figures[0],
            "after": figures[-1],
            "epochs": len(self.task.epochs),
            "updates": int(self.task.step.numpy()),
            "training_seconds": round(sum(entry.get("seconds", 0.0) for entry in history), 1),
            "parameters": sum(v.shape.num_elements() for v in self.task.model.trainable_variables),
            "replicas": self.strategy.num_replicas_in_sync,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
        } | self.task.facts
        if self.chief:
            # Again, since a process may have died between the last checkpoint and these files.
            write_json(self.model_dir / HISTORY, history)
            write_json(self.model_dir / METRICS, metrics)
            self.task.save()
        # No worker says that it is done before all is written.
        broadcast_from_chief(self.strategy, [0.0])
        return metrics


def _measured(entry: dict[str, Any]) -> bool:
    return "held" in entry
