"""The training GRU against `tf.keras.layers.Bidirectional(GRU)`: outputs and every gradient, padding included."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.gru_gradient import GruWeights, bidirectional_gru


@pytest.mark.parametrize("lengths", [[7], [5, 1, 7, 0], [0]])
def test_equals_keras(lengths):
    tf.keras.utils.set_random_seed(3)
    batch, time, width, units = len(lengths), 7, 5, 4
    layer = tf.keras.layers.Bidirectional(
        tf.keras.layers.GRU(units, return_sequences=True, bias_initializer="random_normal")
    )
    inputs = tf.random.normal([batch, time, width])
    length = tf.constant(lengths)
    mask = tf.sequence_mask(length, time)
    layer(inputs)
    weight = tf.random.normal([batch, time, 2 * units])
    variables = layer.trainable_variables

    @tf.function
    def keras():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask) * tf.cast(mask, tf.float32)[:, :, tf.newaxis]
            loss = tf.reduce_sum(outputs * weight)
        return outputs, tape.gradient(loss, [inputs, *variables])

    @tf.function
    def ours():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            forward, backward = (
                GruWeights(*[tf.convert_to_tensor(v) for v in variables[i : i + 3]]) for i in (0, 3)
            )
            outputs = bidirectional_gru(inputs, length, forward, backward)
            loss = tf.reduce_sum(outputs * weight)
        return outputs, tape.gradient(loss, [inputs, *variables])

    expected, expected_gradients = keras()
    found, found_gradients = ours()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for one, other in zip(expected_gradients, found_gradients, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)
