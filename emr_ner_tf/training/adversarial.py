"""Adversarial training on the token embeddings: the fast gradient method (Miyato, Dai and Goodfellow 2017)."""

from collections.abc import Callable, Sequence

import tensorflow as tf


class AdversarialEmbeddings:
    """Adds gradients at perturbed token embeddings, which are moved in the direction in which the loss grows fastest.

    The whole table is moved by `norm` * gradient / |gradient|, with one norm over all rows, which is how the method is
    applied to sequence labelling; the paper moves each embedded text by itself. A second forward and backward pass at
    the moved table gives the gradients that are added. The table then has its own values again, bit for bit.

    Attributes:
        table: the token embedding, one of the trained variables.
        norm: `config.train.adversarial_norm`.
    """

    def __init__(self, table: tf.Variable, norm: float) -> None:
        self.table = table
        self.norm = norm

    def add(
        self,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[tf.Variable],
        again: Callable[[], list[tf.Tensor]],
    ) -> list[tf.Tensor]:
        """Returns the gradients plus those at the moved table; called by each replica.

        Args:
            gradients: gradients of `variables`, summed over all replicas.
            variables: the trained variables.
            again: function that computes the same gradients at the current values of the variables.
        """
        (own,) = (g for g, v in zip(gradients, variables, strict=True) if v is self.table)
        before = tf.identity(self.table)
        # Under mixed_float16, a gradient may not be finite; the optimizer then skips the whole update.
        move = tf.math.divide_no_nan(self.norm * own, tf.linalg.global_norm([own]))
        _assign(self.table, before + move)
        moved = again()
        _assign(self.table, before)
        return [gradient + more for gradient, more in zip(gradients, moved, strict=True)]


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assigns, in a replica, a value that is the same on all replicas."""
    tf.distribute.get_replica_context().merge_call(
        lambda strategy, value: strategy.extended.update(
            variable, lambda copy, new: copy.assign(new, read_value=False), args=(value,)
        ),
        args=(value,),
    )
