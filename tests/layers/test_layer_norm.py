"""The normalisation with its gradient written out is Keras' own."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.layer_norm import _as_keras, layer_norm


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [[3, 5, 16], [7, 16], [2, 0, 16]])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5), ("bfloat16", 2e-2), ("float16", 4e-3)]
)
def test_outputs_and_gradients_are_those_of_keras(dtype, tolerance, shape, training):
    policy = f"mixed_{dtype}" if dtype in ("bfloat16", "float16") else dtype
    layer = tf.keras.layers.LayerNormalization(epsilon=1e-12, dtype=policy)
    layer.build([None] * (len(shape) - 1) + [16])
    draw = tf.random.Generator.from_seed(1)
    for variable in (layer.gamma, layer.beta):
        variable.assign(draw.normal([16], dtype=variable.dtype))
    inputs = tf.cast(draw.normal(shape, mean=2.0, stddev=4.0), dtype)
    upstream = tf.cast(draw.normal(shape), dtype)

    @tf.function(autograph=False)
    def outputs_and_gradients(ours):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer_norm(layer, inputs, training) if ours else layer(inputs)
        return outputs, *tape.gradient(outputs, [inputs, layer.gamma, layer.beta], upstream)

    ours, keras = outputs_and_gradients(True), outputs_and_gradients(False)
    for mine, theirs in zip(ours, keras, strict=True):
        assert mine.dtype == theirs.dtype
        mine, theirs = (tf.cast(value, tf.float64).numpy() for value in (mine, theirs))
        np.testing.assert_allclose(
            mine, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max(initial=0)
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_graph_made_on_a_cpu_holds_another_for_a_gpu(dtype):
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    layer = tf.keras.layers.LayerNormalization(epsilon=1e-12, dtype=policy)
    layer.build([None, 16])
    # Twice: normalisations of one width share both implementations.
    graph = tf.function(
        lambda inputs: layer_norm(layer, layer_norm(layer, inputs, False), False), autograph=False
    )
    functions = (
        graph.get_concrete_function(tf.TensorSpec([None, 16], dtype)).graph.as_graph_def().library.function
    )
    batch_norm = sorted(
        (f.attr["api_preferred_device"].s, any(node.op == "FusedBatchNormV3" for node in f.node_def))
        for f in functions
        if "api_implements" in f.attr
    )
    assert batch_norm == [(b"CPU", True), (b"GPU", False)]
    # What a GPU runs is the same.
    inputs = tf.cast(tf.random.Generator.from_seed(2).normal([7, 16], mean=3.0), dtype)
    weights = tf.cast(layer.gamma, tf.float32), tf.cast(layer.beta, tf.float32)
    np.testing.assert_allclose(
        tf.cast(tf.function(_as_keras, autograph=False)(1e-12, inputs, *weights), tf.float32),
        tf.cast(layer(inputs), tf.float32),
        atol=2e-2,
    )


def test_the_numerical_gradient_agrees():
    layer = tf.keras.layers.LayerNormalization(epsilon=1e-3, dtype="float64")
    layer.build([None, 4])
    inputs = tf.constant([[0.3, -1.2, 2.0, 0.1], [5.0, 4.0, 5.5, 4.5]], tf.float64)
    analytic, numeric = tf.test.compute_gradient(
        lambda values: layer_norm(layer, values, True) ** 3, [inputs], delta=1e-6
    )
    np.testing.assert_allclose(analytic[0], numeric[0], rtol=1e-5, atol=1e-7)
