"""The steps of an epoch: taken, watched, logged, and saved often enough."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.checkpoints import Checkpoints, Progress
from emr_ner_tf.training.progress_log import ProgressLog


def run_epoch(
    batches: Iterable[Any],
    train_step: Callable[[Any], tuple[tf.Tensor, tf.Tensor]],
    progress: Progress,
    log: ProgressLog,
    *,
    first_step: int,
    epoch_steps: int,
    epochs: int,
    save: Checkpoints | None,
    save_seconds: float,
    name: str | None = None,
) -> None:
    """Takes the steps that an epoch still has.

    Args:
        batches: of those steps, distributed.
        train_step: as `make_train_step` makes it.
        progress: advanced with every step.
        log: takes a line now and then.
        first_step: steps of the run before this epoch.
        epoch_steps: steps of this epoch, those already taken included.
        epochs: of the run.
        save: takes the state every `save_seconds`; None where another process does. The end of the epoch is the
            caller's to save.
        save_seconds: least time between two states.
        name: of the epoch in messages; None gives its number.

    Raises:
        UserError: the loss is not finite.
    """
    name = name or f"epoch {progress.epoch + 1}/{epochs}"
    saved = before = time.monotonic()
    for batch in batches:
        loss, tokens = train_step(batch)
        loss = float(loss.numpy())
        if not math.isfinite(loss):
            raise UserError(
                f"{name}, step {progress.step + 1}: the loss must be finite, got {loss}; "
                "lower config.optimizer.encoder_rate and head_rate, or set config.optimizer.clip_norm"
            )
        progress.record_step(loss, epoch_steps)
        now = time.monotonic()
        progress.seconds += now - before
        before = now
        where = f"{name}, step {progress.step}/{epoch_steps}"
        log.step(first_step + progress.step, loss, int(tokens.numpy()), where)
        if save is not None and now - saved >= save_seconds and progress.step < epoch_steps:
            save.save_last()
            saved = time.monotonic()
