"""Checkpoints of a run: the last state, from which it resumes exactly, and the best weights."""

import json
import os
import pathlib
from typing import Any

import tensorflow as tf
from absl import logging

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder, checkpoint_number
from emr_ner_tf.training.optimization import Optimizer

LAST, BEST = "last", "best"
PARTS = 20
# A file that is changed while it is read ends in one of these.
_UNREADABLE = (tf.errors.OpError, IndexError, KeyError, RuntimeError, ValueError)
_PROGRESS = "progress/.ATTRIBUTES/py_state"


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
        best_epoch: the epoch whose weights are kept as the best, counted from 1; 0 before the first.
        best_step: updates at its end, which number its checkpoint; 0 where an older version did not record them.
        epochs_without_improvement: epochs without a better F1, counted from the first F1 above 0.
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
        self.forget_best()
        self.finished = False

    def record_step(self, loss: float, epoch_steps: int) -> None:
        """Counts a step of an epoch of `epoch_steps`."""
        part, before = (step * PARTS // epoch_steps for step in (self.step, self.step - 1))
        sums, steps = (0.0, 0) if part != before or not self.loss_parts else self.loss_parts.pop()
        self.loss_parts.append((sums + loss, steps + 1))
        self.loss_sum += loss
        self.step += 1

    def losses(self) -> list[float]:
        """The mean loss of each part of the epoch."""
        return [sums / steps for sums, steps in self.loss_parts]

    def end_epoch(self, entry: dict[str, Any]) -> None:
        """Adds an epoch to the history and begins the next one."""
        self.history.append(entry)
        self.epoch += 1
        self.step, self.loss_sum, self.loss_parts, self.seconds = 0, 0.0, [], 0.0

    def score_epoch(self, f1: float | None, step: int) -> bool:
        """Compares the epoch that `end_epoch` has just added with the best one.

        Of equal scores the later epoch counts, since it has seen more; without a score the last epoch does. Epochs
        before the first score above 0 say nothing about whether training still helps.

        Args:
            f1: of the validation records; None without any.
            step: updates of the run so far.

        Returns:
            Whether the weights of this epoch are the best so far.
        """
        if f1 is not None:
            self.epochs_without_improvement = (
                0 if f1 > self.best_f1 or self.best_f1 <= 0 else self.epochs_without_improvement + 1
            )
        if f1 is not None and f1 < self.best_f1:
            return False
        self.best_f1 = self.best_f1 if f1 is None else f1
        self.best_epoch, self.best_step = self.epoch, step
        return True

    def forget_best(self) -> None:
        """Lets the next epoch count as the best."""
        self.best_f1, self.best_epoch, self.best_step, self.epochs_without_improvement = -1.0, 0, 0, 0

    def serialize(self) -> str:
        """Returns the state as JSON; floats come back bit for bit."""
        # What TensorFlow itself keeps on the object begins with an underscore.
        state = {name: value for name, value in vars(self).items() if name[0] != "_"}
        state["stale"] = state.pop("epochs_without_improvement")
        return json.dumps(state)

    def deserialize(self, string_value: str) -> None:
        """Takes the state of `serialize`."""
        values = json.loads(string_value)
        if "best_epoch" not in values and values["history"]:
            # Older versions kept the first epoch of equal scores, and the last one where there was no score.
            scores = [entry.get("f1", -1.0) for entry in values["history"]]
            self.best_epoch = 1 + scores.index(max(scores)) if max(scores) >= 0 else len(scores)
        for name, value in values.items():
            setattr(self, "epochs_without_improvement" if name == "stale" else name, value)


class Checkpoints:
    """Saves and restores a run under `model_dir/checkpoints`.

    The last state is saved before the best weights: until those are saved, they are those of the last state, from which
    a run that was killed in between saves them again.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        model: tf.Module,
        optimizer: Optimizer,
        step: tf.Variable,
        progress: Progress,
    ) -> None:
        self._last, self._best = (checkpoint_folder(model_dir, which) for which in (LAST, BEST))
        self._state = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, progress=progress)
        self._weights = tf.train.Checkpoint(model=model)
        self._step = step
        self._progress = progress
        self._best_is_last = False

    def restore_last(self) -> bool:
        """Restores the newest state; False where there is none. Nothing is written.

        Raises:
            UserError: it is of a run on other records or words, or a file of it is missing, empty or cut off.
        """
        path = self._last.in_force()
        if path is None:
            return False
        # Looked at first: other records may make another vocabulary, whose variables would not even fit.
        if _saved_progress(path)["data_digest"] != self._progress.data_digest:
            raise UserError(
                f"{path}: a run on other records or words than the configuration names now; name another --model_dir"
            )
        try:
            self._state.restore(path).assert_existing_objects_matched()
        except (AssertionError, *_UNREADABLE) as error:
            raise _misfit(path, "the configuration describes", error) from error
        self._look_for_best()
        return True

    def tidy(self) -> None:
        """Removes what a killed process was writing or removing, and saves the best weights if it had not done so."""
        self._last.remove_others()
        if self._best_is_last:
            self.save_best()
        self._best.remove_others()

    def save_last(self) -> None:
        """Saves the whole state.

        Raises:
            UserError: it cannot be written; the state saved before is still in force.
        """
        self._last.save(self._state, int(self._step.numpy()))

    def save_best(self) -> None:
        """Saves the weights alone.

        Raises:
            UserError: they cannot be written; those saved before are still in force.
        """
        self._best.save(self._weights, int(self._step.numpy()))

    def _look_for_best(self) -> None:
        """Compares the best weights that are there with those that the restored state tells of."""
        progress = self._progress
        if not progress.best_step:
            return
        # Damaged files are an error even where they could be saved again: whoever copied them should know.
        path = self._best.in_force()
        if path is not None and checkpoint_number(path) == progress.best_step:
            return
        self._best_is_last = progress.best_step == int(self._step.numpy())
        if self._best_is_last:
            return
        logging.warning(
            "%s has no ckpt-%d, the weights of epoch %d, which is the best so far; copy them here, too%s",
            *(self._best.path, progress.best_step, progress.best_epoch),
            "" if progress.finished else ", or the best epoch from here on counts",
        )
        if not progress.finished:
            progress.forget_best()


def checkpoint_folder(model_dir: str | os.PathLike[str], which: str) -> CheckpointFolder:
    """Returns the folder of a run's "last" or "best" checkpoint."""
    return CheckpointFolder(pathlib.Path(model_dir) / "checkpoints" / which)


def restore_weights(model: tf.Module, model_dir: str | os.PathLike[str], which: str = BEST) -> str:
    """Reads the weights of a run's best or last checkpoint into `model`.

    Returns:
        The checkpoint's path.

    Raises:
        UserError: there is none, a file of it is missing, empty or cut off, or it is of another model.
    """
    folder = checkpoint_folder(model_dir, which)
    path = folder.in_force()
    if path is None:
        other = LAST if which == BEST else BEST
        remedy = "train first (python -m emr_ner_tf.cli.train), or copy the checkpoint here"
        if checkpoint_folder(model_dir, other).holds_any():
            remedy = f"copy the checkpoint here, or take the {other} one (--checkpoint={other})"
        raise UserError(f"{folder.path}: no checkpoint with an index (ckpt-*.index); {remedy}")
    try:
        status = tf.train.Checkpoint(model=model).restore(path)
        status.assert_existing_objects_matched()
        if which == BEST:
            status.assert_consumed()
        else:
            status.expect_partial()
    except (AssertionError, *_UNREADABLE) as error:
        described = f"config.json, encoder.json, labels.txt and vocab.txt of {model_dir} describe"
        raise _misfit(path, described, error) from error
    return path


def _misfit(path: str, described: str, error: Exception) -> UserError:
    # TensorFlow's own words may take many lines.
    cause = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"{path}: does not fit the model that {described}: {cause}")


def _saved_progress(path: str) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(path)
    if not reader.has_tensor(_PROGRESS):
        raise UserError(
            f"{path}: weights alone, from which no run resumes (a checkpoint of `best`?); copy the run's "
            f"checkpoints/{LAST}"
        )
    try:
        saved = json.loads(reader.get_tensor(_PROGRESS))
    except ValueError as error:
        raise UserError(f"{path}: must hold the progress of a run in JSON, got {error}") from error
    if not isinstance(saved, dict) or not saved.keys() >= {"history", "epoch", "finished", "data_digest"}:
        raise UserError(f"{path}: must hold the progress of a run, got other JSON")
    return saved
