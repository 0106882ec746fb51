"""The training loop of all tasks: epochs, measurements, checkpoints and files. A killed run resumes exactly."""

import contextlib
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict, base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.background import BackgroundWriter
from emr_ner_tf.training.checkpoints import Checkpoints, check_same_data
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
from emr_ner_tf.training.progress import Progress
from emr_ner_tf.training.progress_log import ProgressLog, clock
from emr_ner_tf.training.strategies import build_strategy, is_chief_process
from emr_ner_tf.training.task import Epoch, Task


class Data(Protocol):
    """The data of a task."""

    @property
    def digest(self) -> str:
        """Identifies the data and the meaning of its ids; a run is never resumed with other data."""


_D = TypeVar("_D", bound=Data)


def run(
    config: ConfigDict,
    model_dir: str | os.PathLike[str],
    read: Callable[[], _D],
    build: Callable[[_D, tf.distribute.Strategy], Task],
    *,
    base: Callable[[], ConfigDict] = base_config,
    strategy_name: str = "one_device",
) -> dict[str, Any]:
    """Trains a task, or resumes the run that `model_dir` holds.

    A checkpoint is saved after each epoch and every `config.train.checkpoint_seconds`. After a process is killed, the
    same call resumes from the last of them and has the result of an uninterrupted run.

    Args:
        config: resolved and checked; must equal the one that the run started with, except `RUNTIME_ONLY_KEYS`.
            This function reads `seed`, `precision`, `deterministic`, `checkpoint_seconds` and `log_seconds` of its
            section `train`.
        model_dir: directory for `config.json`, checkpoints, `versions.json`, `history.json`, `metrics.json` and the
            files of the task.
        read: function that reads the data.
        build: function that builds the task from the data; it depends on nothing but `config`.
        base: returns the configuration with every key.
        strategy_name: name of a strategy in `emr_ner_tf.training.strategies`.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: the directory has another run, a run that cannot be resumed, or one that another process trains;
            what `read` and `build` raise; a loss that is not finite; a file that cannot be written; too little memory;
            workers that do not agree, or the loss of one.
    """
    started = time.monotonic()
    chief = is_chief_process(strategy_name)
    folder, settings = pathlib.Path(model_dir), config.train
    with exclusive_lock(folder, chief=chief), report_lost_workers(), _report_lack_of_memory():
        last = check_resumable(folder)
        check_same_settings(config, folder, base)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(settings.seed)
        tf.keras.mixed_precision.set_global_policy(settings.precision)
        strategy = build_strategy(strategy_name)
        data = read()
        if last is not None:
            check_same_data(last, data.digest)
        # Checked before variables are created: their shapes depend on the data, and workers create them together.
        rule = "every worker must have the same data files and the same configuration"
        assert_workers_agree(strategy, [data.digest, str(config)], rule)
        task = build(data, strategy)
        return _Run(task, Progress(data.digest), folder, config, strategy, chief, started).train()


@contextlib.contextmanager
def _report_lack_of_memory() -> Iterator[None]:
    """Converts TensorFlow's error about too little memory on a device to one with a remedy."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        cause = error.message.partition("\n")[0]
        raise UserError(
            f"out of memory: {cause}; set config.train.token_budget, config.train.batch_size or config.text.window "
            "lower, with another --model_dir, or use a device with more memory"
        ) from error


class _Run:
    """The work of one process in a run."""

    def __init__(
        self,
        task: Task,
        progress: Progress,
        model_dir: pathlib.Path,
        config: ConfigDict,
        strategy: tf.distribute.Strategy,
        chief: bool,
        started: float,
    ) -> None:
        self.task = task
        self.progress = progress
        self.model_dir = model_dir
        self.config = config
        self.strategy = strategy
        self.chief = chief
        self.started = started
        self.checkpoints = Checkpoints(
            model_dir, task.model, task.optimizer, task.step, progress, task.averages
        )

    def train(self) -> dict[str, Any]:
        """Trains to the end and returns the metrics."""
        self._restore()
        # The duration of earlier processes counts, too.
        self.started -= self.progress.wall_seconds
        steps = [epoch.steps for epoch in self.task.epochs]
        log = ProgressLog(
            self.config.train.log_seconds, sum(steps), sum(steps[: self.progress.epoch]) + self.progress.step
        )
        with log, BackgroundWriter() as writer:
            while not self.progress.finished:
                epoch = self.task.epochs[self.progress.epoch]
                self._take_steps(epoch, log, writer)
                self._end_epoch(epoch, writer)
        return self._finish()

    def _restore(self) -> None:
        progress = self.progress
        resumed = self.checkpoints.restore_last()
        state = (variable.numpy().tobytes() for variable in (self.task.step, *self.task.model.variables))
        assert_workers_agree(
            self.strategy,
            state,
            "every worker must have the same encoder, and --model_dir in a folder that all share",
        )
        if self.chief:
            # Files are written only now, after a run on other data has been refused.
            self.checkpoints.tidy()
            if not resumed:
                write_json(self.model_dir / VERSIONS, versions())
                write_json(self.model_dir / CONFIG, self.config.to_dict())
            if not progress.finished:
                self.task.begin(resumed=resumed)
        if progress.finished:
            logging.info("%s is finished; nothing to do", self.model_dir)
        elif resumed:
            logging.info("resumed at %s, step %d", self.task.epochs[progress.epoch].name, progress.step)

    def _take_steps(self, epoch: Epoch, log: ProgressLog, writer: BackgroundWriter) -> None:
        """Takes the remaining steps of an epoch; saves the state periodically, but not at the end of the epoch."""
        progress = self.progress
        if progress.step == epoch.steps:
            return
        saved = before = time.monotonic()
        for batch in epoch.batches(progress.step):
            loss, tokens = epoch.train_step(batch)
            loss = float(loss.numpy())
            if not math.isfinite(loss):
                raise UserError(
                    f"{epoch.name}, step {progress.step + 1}: the loss must be finite, got {loss}; "
                    "lower config.optimizer.encoder_rate and head_rate, or set config.optimizer.clip_norm"
                )
            now = time.monotonic()
            progress.record_step(loss, epoch.steps, now - before)
            before = now
            log.step(loss, int(tokens.numpy()), f"{epoch.name}, step {progress.step}/{epoch.steps}")
            writer.check()
            often = now - saved >= self.config.train.checkpoint_seconds
            if self.chief and often and progress.step < epoch.steps:
                self._save(writer)
                saved = time.monotonic()

    def _end_epoch(self, epoch: Epoch, writer: BackgroundWriter) -> None:
        progress, task = self.progress, self.task
        started = time.monotonic()
        entry = dict(epoch.entry) | progress.losses()
        summary = [f"loss {entry['loss']:.3f}, {clock(progress.seconds)}"] if epoch.steps else []
        if epoch.measured and (figures := task.evaluate()):
            entry |= figures
            summary.append(f"{task.describe(entry)} ({clock(time.monotonic() - started)})")
        progress.end_epoch(entry)
        score = entry.get(task.best_by) if task.best_by else None
        best = task.best_by is not None and progress.score_epoch(score, int(task.step.numpy()))
        stopped = bool(task.patience) and progress.epochs_without_improvement >= task.patience
        progress.finished = stopped or progress.epoch == len(task.epochs)
        if best and score is not None:
            summary.append("the best so far")
        if stopped:
            summary.append(
                f"stopped early, {progress.epochs_without_improvement} epochs without a better {task.best_by}"
            )
        logging.info("%s: %s", epoch.name, "; ".join(summary))
        if self.chief:
            self._save(writer, epoch_steps=epoch.steps, best=best, show=True)

    def _save(
        self, writer: BackgroundWriter, *, epoch_steps: int = 1, best: bool = False, show: bool = False
    ) -> None:
        """Saves the state in parallel with the next steps; after an epoch, the best weights, history and pictures, too.

        The order matters: a run that is killed in between saves the best weights from the last state and writes history
        and pictures again.
        """
        # Waits first, because a snapshot needs as much memory as the variables.
        writer.wait()
        self.progress.wall_seconds = time.monotonic() - self.started
        # An epoch without steps has no checkpoint, because it would have the name of the current one. A run that is
        # killed after such an epoch measures again.
        save = self.checkpoints.snapshot(best=best) if epoch_steps else None
        history, best_epoch = list(self.progress.history), self.progress.best_epoch

        def write() -> None:
            if save is not None:
                save()
            if show:
                write_json(self.model_dir / HISTORY, history)
                self.task.show(history, best_epoch)

        writer.submit(write)

    def _finish(self) -> dict[str, Any]:
        history, best_epoch = self.progress.history, self.progress.best_epoch
        metrics = {
            "epochs": len(history),
            "training_seconds": round(sum(entry.get("seconds", 0.0) for entry in history), 1),
            "wall_seconds": round(self.progress.wall_seconds, 1),
            "parameters": sum(v.shape.num_elements() for v in self.task.model.trainable_variables),
            "updates": int(self.task.step.numpy()),
            "replicas": self.strategy.num_replicas_in_sync,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
        } | self.task.metrics(history, best_epoch)
        if self.chief:
            # Written again, since a process may have died between the last checkpoint and these files.
            write_json(self.model_dir / HISTORY, history)
            self.task.finish(history, best_epoch)
            write_json(self.model_dir / METRICS, metrics)
        # No worker ends before everything is written.
        broadcast_from_chief(self.strategy, [0.0])
        return metrics
