"""Dropout as a function of (seed, layer, step, replica), with no hidden state.

Legacy Keras draws dropout masks from seeds and counters of the process, so that a resumed run could not repeat an
uninterrupted one. Here, each `Dropout` layer of the model, from any library, gets a generator that computes the mask
from the training step instead.
"""

import functools

import tensorflow as tf

# The dropout layer of transformers' DeBERTa draws its mask in this method.
_METHOD_OF_DEBERTA = "xdropout"
_BITS_RANGE = 1 << 16


class StatelessDropout:
    """Replaces the Keras `RandomGenerator` of one `tf.keras.layers.Dropout`.

    Attributes:
        seed: identifies the layer and the run.
        step: scalar int64 variable, the training step.
    """

    def __init__(self, seed: int, step: tf.Variable) -> None:
        self.seed = seed
        self.step = step

    def _maybe_init(self) -> None:
        """Does nothing: Keras calls this when it builds the layer, and there is no state to create."""

    def dropout(self, inputs: tf.Tensor, rate: float, noise_shape=None) -> tf.Tensor:
        """Applies dropout to `inputs` of any float dtype and shape, like the method of Keras' generator.

        Each value is dropped if 16 random bits, read as a number, are below `rate` of their range. TensorFlow's
        own dropout draws a float for each value and takes two to three times as long on a CPU (decision 4).
        """
        if not rate:
            return inputs
        replica = 0
        context = tf.distribute.get_replica_context()
        if context is not None:
            replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        # The replica is in the high bits, the step in the low bits.
        position = tf.cast(self.step, tf.int64) + replica * (1 << 40)
        seed = tf.stack([tf.constant(self.seed, tf.int64), position])
        shape = tf.shape(inputs) if noise_shape is None else noise_shape
        dropped = min(round(rate * _BITS_RANGE), _BITS_RANGE - 1)
        kept = _random_bits(shape, seed) >= tf.constant(dropped - _BITS_RANGE // 2, tf.int16)
        scale = tf.constant(_BITS_RANGE / (_BITS_RANGE - dropped), inputs.dtype)
        return inputs * (tf.cast(kept, inputs.dtype) * scale)


def _random_bits(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns uniform int16 values of this shape, two from each 32-bit draw."""
    size = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform([(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32)
    return tf.reshape(tf.reshape(tf.bitcast(words, tf.int16), [-1])[:size], shape)


def make_dropout_stateless(model: tf.Module, *, seed: int, step: tf.Variable) -> int:
    """Replaces the generator of every dropout layer in `model`.

    Args:
        model: a built model, because some layers create their dropout when they are built. Its `submodules` are
            visited in order.
        seed: seed of the run.
        step: scalar int64 variable that the training loop increments.

    Returns:
        The number of dropout layers.
    """
    layers = [
        layer
        for layer in model.submodules
        if isinstance(layer, tf.keras.layers.Dropout) or hasattr(layer, _METHOD_OF_DEBERTA)
    ]
    for index, layer in enumerate(layers):
        generator = StatelessDropout(seed * 100_003 + index, step)
        if isinstance(layer, tf.keras.layers.Dropout):
            # A private attribute of Keras 2.15; every draw of a Dropout layer uses it.
            layer._random_generator = generator
        else:
            setattr(layer, _METHOD_OF_DEBERTA, functools.partial(generator.dropout, rate=layer.drop_prob))
    return len(layers)
