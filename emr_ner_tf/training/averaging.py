"""The exponential moving average of a model's weights."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


class AveragedWeights:
    """Averages of variables over the updates of a run, the latest ones weighing most (Polyak and Juditsky 1992).

    After update t, counted from 1, average = d * average + (1 - d) * variable with d = min(decay, (1 + t) / (10 + t)),
    so that the first updates do not hold the average back.

    Attributes:
        averages: one variable for each of `variables`, in their order.
        state: the averages alone, as a checkpoint saves them.
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float) -> None:
        """Creates the averages; called under the scope of the strategy.

        Args:
            variables: variables to average; their values are the first average.
            decay: `config.train.average_decay`.
        """
        self._variables = tuple(variables)
        self._decay = decay
        self.averages = [tf.Variable(variable, trainable=False, dtype=tf.float32) for variable in variables]
        self.state = tf.train.Checkpoint(averages=self.averages)

    def update(self, step: tf.Tensor, strategy: tf.distribute.Strategy) -> None:
        """Averages the values after an update; called outside of the replicas.

        Args:
            step: number of updates so far, int64 scalar.
            strategy: strategy of the variables.
        """
        taken = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + taken) / (10.0 + taken))
        for average, variable in zip(self.averages, self._variables, strict=True):
            strategy.extended.update(
                average, lambda mean, value: mean.assign_add(share * (value - mean)), args=(variable,)
            )

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Lets the variables have their averages as values within the context."""
        own = [variable.read_value() for variable in self._variables]
        self.assign()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, own, strict=True):
                variable.assign(value)

    def assign(self) -> None:
        """Assigns the averages to the variables."""
        for variable, average in zip(self._variables, self.averages, strict=True):
            variable.assign(average.read_value())


def averages_in_place(averages: AveragedWeights | None) -> contextlib.AbstractContextManager[None]:
    """Returns `averages.in_place()`, or a context that changes nothing for a run without averages."""
    return contextlib.nullcontext() if averages is None else averages.in_place()
