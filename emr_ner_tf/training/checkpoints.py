"""Checkpoints of a run: the last state, from which it resumes exactly, and the best weights."""

import json
import os
import pathlib
import shutil
from typing import Any

import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.optimization import Optimizer

LAST, BEST = "last", "best"
PARTS = 20


class Progress(tf.train.experimental.PythonState):
    """Where a run stands, saved within the checkpoint so that it can never disagree with the weights.

    Attributes:
        epoch: the epoch under way, counted from 0.
        step: steps of that epoch already taken.
        loss_sum: loss summed over those steps.
        loss_parts: the same in `PARTS` equal parts of the epoch, as far as it has come: sum and steps of each.
        seconds: that they took.
        history: one entry for each finished epoch, as `history.json` shows it.
        best_f1: best validation F1 so far, -1 before the first.
        stale: epochs since then.
        finished: the run has ended.
        data_digest: of the training windows, words and validation records, so that a run never goes on with others.
    """

    def __init__(self, data_digest: str) -> None:
        self.data_digest = data_digest
        self.epoch = 0
        self.step = 0
        self.loss_sum = 0.0
        self.loss_parts: list[tuple[float, int]] = []
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.best_f1 = -1.0
        self.stale = 0
        self.finished = False

    def take(self, loss: float, epoch_steps: int) -> None:
        """Counts a step of an epoch of `epoch_steps`."""
        part, before = (step * PARTS // epoch_steps for step in (self.step, self.step - 1))
        sums, steps = (0.0, 0) if part != before or not self.loss_parts else self.loss_parts.pop()
        self.loss_parts.append((sums + loss, steps + 1))
        self.loss_sum += loss
        self.step += 1

    def losses(self) -> list[float]:
        """The mean loss of each part of the epoch."""
        return [sums / steps for sums, steps in self.loss_parts]

    def end_epoch(self) -> None:
        """Forgets the epoch that `history` holds now."""
        self.step, self.loss_sum, self.loss_parts, self.seconds = 0, 0.0, [], 0.0

    def serialize(self) -> str:
        """Returns the state as JSON; floats come back bit for bit."""
        # What TensorFlow itself keeps on the object begins with an underscore.
        return json.dumps({name: value for name, value in vars(self).items() if name[0] != "_"})

    def deserialize(self, string_value: str) -> None:
        """Takes the state of `serialize`."""
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)


class Checkpoints:
    """Saves and restores a run under `model_dir/checkpoints`.

    TensorFlow writes the data and renames them into place, then the index where it stands, and last, by rename, the
    file that names the newest checkpoint; only then it removes the one before. A process killed at any moment leaves a
    whole checkpoint in force, and beside it perhaps parts of another, which `remove_parts` clears away.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        model: tf.Module,
        optimizer: Optimizer,
        step: tf.Variable,
        progress: Progress,
    ) -> None:
        folder = pathlib.Path(model_dir) / "checkpoints"
        state = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, progress=progress)
        self._state = state
        self._last = tf.train.CheckpointManager(state, str(folder / LAST), max_to_keep=1)
        weights = tf.train.Checkpoint(model=model)
        self._best = tf.train.CheckpointManager(weights, str(folder / BEST), max_to_keep=1)
        self._step = step
        self._progress = progress

    def restore_last(self) -> bool:
        """Restores the newest state; False where there is none.

        Raises:
            UserError: it is of a run on other records or words.
        """
        path = self._last.latest_checkpoint
        if path is None:
            return False
        # Looked at first: other records may make another vocabulary, whose variables would not even fit.
        saved = json.loads(tf.train.load_checkpoint(path).get_tensor("progress/.ATTRIBUTES/py_state"))
        if saved["data_digest"] != self._progress.data_digest:
            raise UserError(
                f"{path}: a run on other records or words than the configuration names now; name another --model_dir"
            )
        self._state.restore(path).assert_existing_objects_matched()
        return True

    def remove_parts(self) -> None:
        """Removes the files of checkpoints that are not in force: what a killed process was writing or removing."""
        for manager in (self._last, self._best):
            folder = pathlib.Path(manager.directory)
            newest = tf.train.latest_checkpoint(manager.directory)
            kept = set(folder.glob(f"{pathlib.Path(newest).name}.*")) if newest else set()
            for path in {*folder.glob("ckpt-*"), *folder.glob("checkpoint.tmp*")} - kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def save_last(self) -> None:
        """Saves the whole state."""
        self._last.save(checkpoint_number=int(self._step.numpy()))

    def save_best(self) -> None:
        """Saves the weights alone."""
        self._best.save(checkpoint_number=int(self._step.numpy()))


def restore_weights(model: tf.Module, model_dir: str | os.PathLike[str], which: str = BEST) -> str:
    """Reads the weights of a run's best or last checkpoint into `model`.

    Returns:
        The checkpoint's path.

    Raises:
        UserError: there is none, or it is of another model.
    """
    folder = pathlib.Path(model_dir) / "checkpoints" / which
    path = tf.train.latest_checkpoint(str(folder))
    if path is None:
        raise UserError(f"{folder}: no checkpoint; train first (python -m emr_ner_tf.cli.train)")
    try:
        status = tf.train.Checkpoint(model=model).restore(path)
        status.assert_existing_objects_matched()
        if which == BEST:
            status.assert_consumed()
        else:
            status.expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"{path}: does not fit the model that {model_dir} describes: {error}") from error
    return path
