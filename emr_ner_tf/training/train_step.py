"""One update under any strategy and precision."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from emr_ner_tf.training.adversarial import AdversarialEmbeddings
from emr_ner_tf.training.averaging import AveragedWeights
from emr_ner_tf.training.optimization import Optimizer, clip_by_global_norm

# Takes a distributed batch and returns the loss and the number of tokens.
TrainStep = Callable[[Any], tuple[tf.Tensor, tf.Tensor]]


def make_train_step(
    scaled_loss: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    variables: list[tf.Variable],
    optimizer: Optimizer,
    step: tf.Variable,
    strategy: tf.distribute.Strategy,
    clip_norm: float,
    element_spec: Any,
    *,
    averages: AveragedWeights | None = None,
    adversarial: AdversarialEmbeddings | None = None,
) -> TrainStep:
    """Builds the function that takes a distributed batch and updates the model.

    The loss is a mean over the *whole* batch: each replica sums its own part and divides by the global count, and
    gradients are summed over replicas, so that the update does not depend on how many there are, or on one of them
    having nothing. Gradients are clipped after that sum.

    Args:
        scaled_loss: of what a batch holds, to the replica's share of the loss, float32 scalar, and its count of real
            tokens, int32 scalar.
        variables: what is trained.
        optimizer: as `build_optimizer` makes it; under float16 it scales the loss too.
        step: counts updates; advanced here.
        strategy: under whose scope all of these were made.
        clip_norm: most joint L2 norm of the gradients; 0 leaves them.
        element_spec: of the distributed data set that batches come from.
        averages: updated after each update.
        adversarial: adds its gradients before the clipping.

    Returns:
        A function of a batch, a tuple, that returns the loss and the number of tokens.
    """
    scaler = optimizer if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer) else None

    def summed_gradients(*batch):
        with tf.GradientTape() as tape:
            loss, tokens = scaled_loss(*batch)
            target = loss if scaler is None else scaler.get_scaled_loss(loss)
        gradients = tape.gradient(target, variables)
        # Embedding rows arrive as slices; the joint norm needs their sums.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if scaler is not None:
            gradients = scaler.get_unscaled_gradients(gradients)
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return gradients, loss, tokens

    def replica_step(*batch):
        gradients, loss, tokens = summed_gradients(*batch)
        if adversarial is not None:
            gradients = adversarial.add(gradients, variables, lambda: summed_gradients(*batch)[0])
        gradients, _ = clip_by_global_norm(gradients, clip_norm)
        optimizer.apply_gradients(
            zip(gradients, variables, strict=True), experimental_aggregate_gradients=False
        )
        return loss, tokens

    # One trace for every batch: a first batch traced with its own shape would run other kernels than the same
    # batch in the middle of a run, and a resumed run would not repeat an undisturbed one to the bit.
    # AutoGraph would convert the sources of every layer for seconds, and nothing here needs it.
    @tf.function(input_signature=[element_spec], autograph=False)
    def train_step(batch):
        losses, tokens = strategy.run(replica_step, args=batch)
        step.assign_add(1)
        if averages is not None:
            averages.update(step, strategy)
        total = tf.distribute.ReduceOp.SUM
        return strategy.reduce(total, losses, axis=None), strategy.reduce(total, tokens, axis=None)

    return train_step
