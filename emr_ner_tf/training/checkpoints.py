"""Checkpoints of a run: the last state, from which it resumes exactly, and the best weights."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.averaging import AveragedWeights, averages_in_place
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder, checkpoint_number, read_values
from emr_ner_tf.training.progress import Progress

LAST, BEST = "last", "best"
# Errors of reading a file that changes at the same time.
_UNREADABLE = (tf.errors.OpError, IndexError, KeyError, RuntimeError, ValueError)
_AVERAGES = "averages"
_PROGRESS = "progress/.ATTRIBUTES/py_state"


class Checkpoints:
    """Saves and restores a run under `model_dir/checkpoints`.

    The last state is saved before the best weights: until those are saved, they are those of the last state, from which
    a run that was killed in between saves them again.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        model: tf.Module,
        optimizer: Any,
        step: tf.Variable,
        progress: Progress,
        averages: AveragedWeights | None = None,
    ) -> None:
        self._last, self._best = (checkpoint_folder(model_dir, which) for which in (LAST, BEST))
        averaged = {} if averages is None else {_AVERAGES: averages.state}
        self._state = tf.train.Checkpoint(
            model=model, optimizer=optimizer, step=step, progress=progress, **averaged
        )
        self._weights = tf.train.Checkpoint(model=model)
        self._averages = averages
        self._step = step
        self._progress = progress
        self._best_is_last = False

    def restore_last(self) -> bool:
        """Restores the last state and returns whether there is one; writes nothing.

        Raises:
            UserError: a file of the checkpoint is missing, empty or cut off, or it belongs to another model.
        """
        path = self._last.current()
        if path is None:
            return False
        try:
            self._state.restore(path).assert_existing_objects_matched()
        except (AssertionError, *_UNREADABLE) as error:
            raise _misfit(path, "the configuration describes", error) from error
        self._look_for_best()
        return True

    def tidy(self) -> None:
        """Removes incomplete checkpoints of a killed process, and saves the best weights if that process had not."""
        self._last.remove_others()
        if self._best_is_last:
            self._best.save(self._read_weights(), int(self._step.numpy()))
        self._best.remove_others()

    def snapshot(self, *, best: bool) -> Callable[[], None]:
        """Reads the current state, which can then be written in parallel with the next steps.

        Args:
            best: whether the weights are the best so far.

        Returns:
            A function that saves the state as the last checkpoint and then, if `best`, the weights as the best one. It
            raises `UserError` if one cannot be written; the previous checkpoints then remain valid.
        """
        number = int(self._step.numpy())
        state = read_values(self._state)
        weights = self._read_weights() if best else None

        def save() -> None:
            self._last.save(state, number)
            if weights is not None:
                self._best.save(weights, number)

        return save

    def _read_weights(self) -> dict[str, tf.Tensor]:
        with averages_in_place(self._averages):
            return read_values(self._weights)

    def _look_for_best(self) -> None:
        """Compares the saved best weights with the best epoch of the restored state."""
        progress = self._progress
        if not progress.best_step:
            return
        # Damaged files are an error even if they could be saved again, so that an incomplete copy is noticed.
        path = self._best.current()
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


def check_same_data(path: str, digest: str) -> None:
    """Checks that a run is resumed with its own data, before variables are created, whose shapes depend on the data.

    Args:
        path: path of the last checkpoint.
        digest: digest of the data that the current configuration names.

    Raises:
        UserError: the checkpoint belongs to a run on other data, or is not the state of a run.
    """
    if _saved_progress(path)["data_digest"] != digest:
        raise UserError(
            f"{path}: the run was started with other records, words or passages; name another --model_dir"
        )


def restore_weights(
    model: tf.keras.Model, model_dir: str | os.PathLike[str], which: str = BEST, *, averaged: bool = False
) -> str:
    """Reads the weights of a run's best or last checkpoint into `model`.

    Args:
        model: a model built like that of the run.
        model_dir: model directory of the run.
        which: `BEST` or `LAST`.
        averaged: whether the run averages its weights. If so, the averages are read; the best checkpoint contains no
            other weights.

    Returns:
        The checkpoint's path.

    Raises:
        UserError: there is no checkpoint, one of its files is missing, empty or cut off, or it belongs to another
            model.
    """
    folder = checkpoint_folder(model_dir, which)
    path = folder.current()
    if path is None:
        other = LAST if which == BEST else BEST
        remedy = "train first (python -m emr_ner_tf.cli.train), or copy the checkpoint here"
        if checkpoint_folder(model_dir, other).holds_any():
            remedy = f"copy the checkpoint here, or use the {other} one (--checkpoint={other})"
        raise UserError(f"{folder.path}: no checkpoint with an index (ckpt-*.index); {remedy}")
    averages = AveragedWeights(model.trainable_variables, 0.0) if averaged and which == LAST else None
    objects = {"model": model} | ({} if averages is None else {_AVERAGES: averages.state})
    try:
        status = tf.train.Checkpoint(**objects).restore(path)
        status.assert_existing_objects_matched()
        if which == BEST:
            status.assert_consumed()
        else:
            status.expect_partial()
        if averages is not None:
            averages.assign()
    except (AssertionError, *_UNREADABLE) as error:
        described = f"config.json, encoder.json, labels.txt and vocab.txt of {model_dir} describe"
        raise _misfit(path, described, error) from error
    return path


def _misfit(path: str, described: str, error: Exception) -> UserError:
    # TensorFlow's message may have many lines.
    cause = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"{path}: does not fit the model that {described}: {cause}")


def _saved_progress(path: str) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(path)
    if not reader.has_tensor(_PROGRESS):
        raise UserError(
            f"{path}: contains weights only (a checkpoint of `best`?); to resume, copy the run's checkpoints/{LAST}"
        )
    try:
        saved = json.loads(reader.get_tensor(_PROGRESS))
    except ValueError as error:
        raise UserError(f"{path}: must contain the progress of a run in JSON, got {error}") from error
    if not isinstance(saved, dict) or not saved.keys() >= {"history", "epoch", "finished", "data_digest"}:
        raise UserError(f"{path}: must contain the progress of a run, got other JSON")
    return saved
