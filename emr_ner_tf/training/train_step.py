"""One update under any strategy and precision."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from emr_ner_tf.training.adversarial import AdversarialEmbeddings
from emr_ner_tf.training.averaging import AveragedWeights
from emr_ner_tf.training.optimization import Optimizer, clip_by_global_norm

# A function that takes a distributed batch and returns the loss and the number of tokens.
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

    The loss is the mean over the *whole* batch: each replica sums its own part and divides it by the global count, and
    gradients are summed over the replicas. Therefore, the update does not depend on the number of replicas, even if
    some of them have no data. Gradients are clipped after they are summed.

    Args:
        scaled_loss: maps the elements of a replica's batch to the replica's part of the loss, float32 scalar, and its
            number of real tokens, int32 scalar.
        variables: variables to train.
        optimizer: result of `build_optimizer`; under float16, it also scales the loss.
        step: number of updates; the function increments it.
        strategy: strategy under whose scope model and optimizer were created.
        clip_norm: maximum joint L2 norm of the gradients; 0 disables clipping.
        element_spec: specification of the batches of the distributed data set.
        averages: averages to update after each update; None without averaging.
        adversarial: adds its gradients before clipping; None without adversarial training.

    Returns:
        A function that takes a batch, a tuple, and returns the loss and the number of tokens.
    """
    scaler = optimizer if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer) else None

    def summed_gradients(*batch):
        with tf.GradientTape() as tape:
            loss, tokens = scaled_loss(*batch)
            target = loss if scaler is None else scaler.get_scaled_loss(loss)
        gradients = tape.gradient(target, variables)
        # The gradient of an embedding has slices for its rows; the joint norm needs their sums.
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

    # One trace serves all batches. If the first batch had its own trace, it would run other kernels than in the middle
    # of a run, and a resumed run would not have the same result bit for bit.
    # AutoGraph would spend seconds on converting the source code of every layer, and is not needed.
    @tf.function(input_signature=[element_spec], autograph=False)
    def train_step(batch):
        losses, tokens = strategy.run(replica_step, args=batch)
        step.assign_add(1)
        if averages is not None:
            averages.update(step, strategy)
        total = tf.distribute.ReduceOp.SUM
        return strategy.reduce(total, losses, axis=None), strategy.reduce(total, tokens, axis=None)

    return train_step
