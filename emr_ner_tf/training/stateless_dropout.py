"""Dropout as a function of (seed, layer, step, replica), with no hidden state.

Legacy Keras draws dropout from op-level seeds and counters that live in the process, so that a resumed run could
never repeat an undisturbed one. Each `Dropout` in the model, whichever library made it, gets a generator that
derives its draw from the training step instead.
"""

import functools

import tensorflow as tf

# transformers' DeBERTa has a dropout layer of its own, which draws in this method.
_METHOD_OF_DEBERTA = "xdropout"
_BITS_RANGE = 1 << 16


class StatelessDropout:
    """Stands in for a Keras `RandomGenerator` inside one `tf.keras.layers.Dropout`.

    Attributes:
        seed: identifies the layer and the run.
        step: scalar int64 variable, the training step.
    """

    def __init__(self, seed: int, step: tf.Variable) -> None:
        self.seed = seed
        self.step = step

    def _maybe_init(self) -> None:
        """Keras calls this when it builds the layer; there is no state to make."""

    def dropout(self, inputs: tf.Tensor, rate: float, noise_shape=None) -> tf.Tensor:
        """Does what the method of Keras' generator does, for `inputs` of any float dtype and shape.

        Each value is dropped if 16 random bits, read as a number, are below `rate` of their range. TensorFlow's own
        dropout draws a float for each, and takes two to three times as long on a CPU (decision 4).
        """
        if not rate:
            return inputs
        replica = 0
        context = tf.distribute.get_replica_context()
        if context is not None:
            replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        # Replicas differ in the high bits, steps in the low ones.
        position = tf.cast(self.step, tf.int64) + replica * (1 << 40)
        seed = tf.stack([tf.constant(self.seed, tf.int64), position])
        shape = tf.shape(inputs) if noise_shape is None else noise_shape
        dropped = round(rate * _BITS_RANGE)
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
        model: built, since some layers make their dropout only then; its `submodules` are walked in their order.
        seed: seed of the run.
        step: scalar int64 variable that the training loop advances.

    Returns:
        How many layers were found.
    """
    layers = [
        layer
        for layer in model.submodules
        if isinstance(layer, tf.keras.layers.Dropout) or hasattr(layer, _METHOD_OF_DEBERTA)
    ]
    for index, layer in enumerate(layers):
        generator = StatelessDropout(seed * 100_003 + index, step)
        if isinstance(layer, tf.keras.layers.Dropout):
            # Private in Keras 2.15, and the one place through which Dropout draws.
            layer._random_generator = generator
        else:
            setattr(layer, _METHOD_OF_DEBERTA, functools.partial(generator.dropout, rate=layer.drop_prob))
    return len(layers)
