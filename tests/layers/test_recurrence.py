"""GRU and LSTM against Keras' layers: outputs and every gradient, padding included."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.models.context_layers import RecurrentContext


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("lengths", [[5, 1, 9, 0], [0]])
def test_equals_keras(cell, lengths):
    tf.keras.utils.set_random_seed(3)
    batch, time, width, units = len(lengths), 9, 5, 4
    context = RecurrentContext(cell, units)
    context.build([None, None, width])
    for variable in context.variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.3))
    inputs = tf.random.normal([batch, time, width])
    length = tf.constant(lengths)
    real = tf.sequence_mask(length, time)
    weight = tf.random.normal([batch, time, 2 * units])
    sources = [inputs, *context.trainable_variables]

    @tf.function(autograph=False)
    def outputs_and_gradients(call):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = call()
            loss = tf.reduce_sum(outputs * weight)
        return outputs, tape.gradient(loss, sources)

    expected, expected_gradients = outputs_and_gradients(
        lambda: context.recurrence(inputs, mask=real) * tf.cast(real, tf.float32)[:, :, tf.newaxis]
    )
    found, found_gradients = outputs_and_gradients(lambda: context(inputs, length, training=True))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for one, other in zip(expected_gradients, found_gradients, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)
    inferred = tf.function(lambda: context(inputs, length, training=False), autograph=False)()
    np.testing.assert_allclose(inferred, expected, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_graph_made_on_a_cpu_holds_cudnn_for_a_gpu(cell):
    context = RecurrentContext(cell, 4)
    context.build([None, None, 5])
    # With AutoGraph, which a user's own function has by default.
    graph = tf.function(lambda inputs, length: context(inputs, length, training=False))
    function = graph.get_concrete_function(
        tf.TensorSpec([None, None, 5], tf.float32), tf.TensorSpec([None], tf.int32)
    )
    functions = function.graph.as_graph_def().library.function
    by_device = [f for f in functions if "api_implements" in f.attr]
    found = sorted(
        (f.attr["api_preferred_device"].s, any(node.op == "CudnnRNNV3" for node in f.node_def))
        for f in by_device
    )
    assert found == [(b"CPU", False)] * 2 + [(b"GPU", True)] * 2
    assert len({f.attr["api_implements"].s for f in by_device}) == 2


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_only_the_products_of_the_inputs_are_bfloat16_and_only_without_training(cell):
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        context = RecurrentContext(cell, 4)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    context.build([None, None, 5])
    inputs, length = tf.random.stateless_normal([3, 9, 5], [1, 2]), tf.constant([9, 4, 1])
    trained, inferred = (
        tf.function(lambda training=training: context(inputs, length, training=training), autograph=False)
        for training in (True, False)
    )
    np.testing.assert_allclose(inferred(), trained(), atol=0.02)
    products = [
        [node.attr["T"].type for node in _nodes(graph) if node.op == "MatMul"]
        for graph in (trained, inferred)
    ]
    assert set(products[0]) == {tf.float32.as_datatype_enum}
    assert products[1].count(tf.bfloat16.as_datatype_enum) == 2
    assert tf.float32.as_datatype_enum in products[1]


def _nodes(graph):
    definition = graph.get_concrete_function().graph.as_graph_def()
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def
