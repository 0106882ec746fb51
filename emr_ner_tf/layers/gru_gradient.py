"""A bidirectional GRU in one loop, with a custom gradient, for training on a CPU.

Keras multiplies by the input kernel inside the time loop, and its gradient sums the gradients of both kernels at each
step. On a CPU, this is a large part of a training step. Here the input products are computed before the loop, both
directions share the loop, and the gradient of each kernel is one product after it.
"""

from typing import NamedTuple

import tensorflow as tf


class GruWeights(NamedTuple):
    """Weights of one direction in the layout of `tf.keras.layers.GRU(reset_after=True)`; gate order z, r, h.

    Attributes:
        kernel: float32 [H, 3U].
        recurrent_kernel: float32 [U, 3U].
        bias: float32 [2, 3U], the input bias and the recurrent bias.
    """

    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor


def bidirectional_gru(
    inputs: tf.Tensor, length: tf.Tensor, forward: GruWeights, backward: GruWeights
) -> tf.Tensor:
    """Runs both directions (eq. 1-4, with the reset gate applied after the product) and concatenates them (eq. 8).

    Args:
        inputs: float32 [B, T, H].
        length: int32 [B].
        forward: weights of the direction that starts at the first character.
        backward: weights of the direction that starts at the last character before the padding.

    Returns:
        float32 [B, T, 2U], zeros in the padding.
    """
    real = tf.sequence_mask(length, tf.shape(inputs)[1], tf.float32)[:, :, tf.newaxis]
    # A record reversed within its length has its padding at the end in both directions, where it has no effect.
    directions = [
        _project(inputs, forward),
        tf.reverse_sequence(_project(inputs, backward), length, seq_axis=1),
    ]
    projected = tf.transpose(tf.stack(directions), [2, 0, 1, 3])
    recurrent = tf.stack([forward.recurrent_kernel, backward.recurrent_kernel])
    bias = tf.stack([forward.bias[1], backward.bias[1]])[:, tf.newaxis]
    states = tf.transpose(_recurrence(projected, recurrent, bias), [1, 2, 0, 3])
    joined = tf.concat([states[0], tf.reverse_sequence(states[1], length, seq_axis=1)], axis=-1)
    return joined * real


def _project(inputs: tf.Tensor, weights: GruWeights) -> tf.Tensor:
    shape = tf.shape(inputs)
    flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
    projected = tf.matmul(flat, weights.kernel) + weights.bias[0]
    return tf.reshape(projected, [shape[0], shape[1], weights.kernel.shape[-1]])


@tf.custom_gradient
def _recurrence(projected: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor):
    """Returns states [T, 2, B, U] from input products [T, 2, B, 3U], kernels [2, U, 3U] and biases [2, 1, 3U]."""
    units = recurrent.shape[1]
    time, batch = tf.shape(projected)[0], tf.shape(projected)[2]
    zero = tf.zeros(tf.stack([2, batch, units]))
    states, gates = _forward_loop(projected, recurrent, bias, zero, time)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        previous = tf.concat([zero[tf.newaxis], states[:-1]], axis=0)[:time]
        slopes = _backward_loop(upstream, gates, previous, recurrent, zero, time)
        update_reset, candidate, product = tf.split(slopes, [2 * units, units, units], axis=-1)
        d_recurrence = _by_direction(tf.concat([update_reset, product], axis=-1))
        d_kernel = tf.matmul(_by_direction(previous), d_recurrence, transpose_a=True)
        d_bias = tf.reduce_sum(d_recurrence, axis=1, keepdims=True)
        return tf.concat([update_reset, candidate], axis=-1), d_kernel, d_bias

    return states, gradient


def _forward_loop(projected, recurrent, bias, zero, time):
    units = recurrent.shape[1]
    steps = tf.TensorArray(tf.float32, time, element_shape=[2, None, 3 * units]).unstack(projected)
    states = tf.TensorArray(tf.float32, time, element_shape=[2, None, units])
    gates = tf.TensorArray(tf.float32, time, element_shape=[2, None, 4 * units])

    def step(t, state, states, gates):
        inputs = steps.read(t)
        inner = tf.matmul(state, recurrent) + bias
        update_reset = tf.sigmoid(inputs[..., : 2 * units] + inner[..., : 2 * units])
        update, reset = update_reset[..., :units], update_reset[..., units:]
        product = inner[..., 2 * units :]
        candidate = tf.tanh(inputs[..., 2 * units :] + reset * product)
        state = candidate + update * (state - candidate)
        kept = tf.concat([update_reset, candidate, product], axis=-1)
        return t + 1, state, states.write(t, state), gates.write(t, kept)

    start = (tf.constant(0), zero, states, gates)
    _, _, states, gates = tf.while_loop(lambda t, *_: t < time, step, start)
    return states.stack(), gates.stack()


def _backward_loop(upstream, gates, previous, recurrent, zero, time):
    units = recurrent.shape[1]

    def unstacked(values, width):
        return tf.TensorArray(tf.float32, time, element_shape=[2, None, width]).unstack(values)

    upstream, gates, previous = (
        unstacked(upstream, units),
        unstacked(gates, 4 * units),
        unstacked(previous, units),
    )
    slopes = tf.TensorArray(tf.float32, time, element_shape=[2, None, 4 * units])

    def step(t, d_state, slopes):
        d_state += upstream.read(t)
        update, reset, candidate, product = tf.split(gates.read(t), 4, axis=-1)
        d_update = d_state * (previous.read(t) - candidate) * update * (1.0 - update)
        d_candidate = d_state * (1.0 - update) * (1.0 - candidate * candidate)
        d_reset = d_candidate * product * reset * (1.0 - reset)
        d_product = d_candidate * reset
        d_inner = tf.concat([d_update, d_reset, d_product], axis=-1)
        kept = tf.concat([d_update, d_reset, d_candidate, d_product], axis=-1)
        d_state = d_state * update + tf.matmul(d_inner, recurrent, transpose_b=True)
        return t - 1, d_state, slopes.write(t, kept)

    _, _, slopes = tf.while_loop(lambda t, *_: t >= 0, step, (time - 1, zero, slopes))
    return slopes.stack()


def _by_direction(values: tf.Tensor) -> tf.Tensor:
    """Reshapes [T, 2, B, W] to [2, T * B, W]."""
    turned = tf.transpose(values, [1, 0, 2, 3])
    return tf.reshape(turned, [2, -1, values.shape[-1]])
