"""The interface between the training loop and what it trains: epochs of steps, measurements and files."""

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from emr_ner_tf.training.averaging import AveragedWeights
from emr_ner_tf.training.train_step import TrainStep


class Epoch(NamedTuple):
    """One epoch of a run, or a measurement alone.

    Attributes:
        name: name in log lines and messages, such as "epoch 2/10".
        steps: the number of updates; 0 for a measurement alone.
        batches: returns the distributed batches of the steps that are left, given the number of steps already taken.
        train_step: function from `make_train_step`, called with each batch.
        entry: the facts about the epoch that its entry in `history.json` has beside losses, time and figures.
        measured: whether `Task.evaluate` follows the steps.
    """

    name: str
    steps: int
    batches: Callable[[int], Iterable[Any]]
    train_step: TrainStep
    entry: Mapping[str, Any]
    measured: bool = True


class Task(abc.ABC):
    """A model with its optimizer and epochs.

    Attributes:
        model: model whose variables are in every checkpoint.
        optimizer: optimizer of all epochs; several optimizers are one `tf.train.Checkpoint`.
        step: int64 variable that each train step advances.
        epochs: epochs of the whole run, in order.
        best_by: the figure of `evaluate` by which epochs are compared; the weights of the best epoch are kept. None
            keeps the last state only.
        averages: averages of the trainable variables, which `evaluate` measures and which are kept as the best weights;
            None without averaging.
        patience: the number of epochs without a better figure after which the run stops; 0 never stops it.
    """

    model: tf.keras.Model
    optimizer: Any
    step: tf.Variable
    epochs: Sequence[Epoch]
    averages: AveragedWeights | None = None
    best_by: str | None = None
    patience: int = 0

    def begin(self, *, resumed: bool) -> None:  # noqa: B027 (most have none)
        """Writes the files that describe the model. The chief calls it before the first step of each process."""

    @abc.abstractmethod
    def evaluate(self) -> dict[str, Any]:
        """Measures the model for the history; all processes call it together. Without anything to measure with, {}."""

    @abc.abstractmethod
    def describe(self, entry: Mapping[str, Any]) -> str:
        """Returns the figures of a measured entry of the history as text for the log."""

    def show(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:  # noqa: B027 (most have none)
        """Writes pictures and events after an epoch. The chief calls it, in a thread beside the next steps.

        Args:
            history: the entries of all epochs so far.
            best_epoch: the place of the best one, counted from 1; 0 if none is kept.
        """

    @abc.abstractmethod
    def finish(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        """Writes the result of a finished run. The chief calls it; the arguments are those of `show`."""

    @abc.abstractmethod
    def metrics(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> dict[str, Any]:
        """Returns what `metrics.json` says beside the facts of every run; the arguments are those of `show`."""
