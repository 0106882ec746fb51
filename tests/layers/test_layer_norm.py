"""The normalisation with its gradient written out is Keras' own."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.layer_norm import layer_norm


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5), ("bfloat16", 2e-2)])
def test_outputs_and_gradients_are_those_of_keras(dtype, tolerance):
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    layer = tf.keras.layers.LayerNormalization(epsilon=1e-3, dtype=policy)
    layer.build([None, None, 16])
    draw = tf.random.Generator.from_seed(1)
    for variable in (layer.gamma, layer.beta):
        variable.assign(draw.normal([16], dtype=variable.dtype))
    inputs = tf.cast(draw.normal([3, 5, 16], mean=2.0, stddev=4.0), dtype)
    upstream = tf.cast(draw.normal([3, 5, 16]), dtype)

    @tf.function
    def outputs_and_gradients(training):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer_norm(layer, inputs, training)
        return outputs, *tape.gradient(outputs, [inputs, layer.gamma, layer.beta], upstream)

    ours, keras = outputs_and_gradients(True), outputs_and_gradients(False)
    for mine, theirs in zip(ours, keras, strict=True):
        assert mine.dtype == theirs.dtype
        mine, theirs = (tf.cast(value, tf.float64).numpy() for value in (mine, theirs))
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def test_the_numerical_gradient_agrees():
    layer = tf.keras.layers.LayerNormalization(epsilon=1e-3, dtype="float64")
    layer.build([None, 4])
    inputs = tf.constant([[0.3, -1.2, 2.0, 0.1], [5.0, 4.0, 5.5, 4.5]], tf.float64)
    analytic, numeric = tf.test.compute_gradient(
        lambda values: layer_norm(layer, values, True) ** 3, [inputs], delta=1e-6
    )
    np.testing.assert_allclose(analytic[0], numeric[0], rtol=1e-5, atol=1e-7)
