"""The projected LSTM against a plain NumPy version of its equations, and its gradient against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.projected_lstm import ProjectedLSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_numpy(inputs, kernel, recurrent, bias, projection):
    """Returns one direction of one sequence, [T, H] to [T, P]."""
    units, width = projection.shape
    state, cell, states = np.zeros(width), np.zeros(units), []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + state @ recurrent + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = (sigmoid(o) * np.tanh(cell)) @ projection
        states.append(state)
    return np.array(states).reshape(-1, width)


@pytest.fixture
def layer():
    tf.keras.utils.set_random_seed(3)
    layer = ProjectedLSTM(4, 3, name="lstm")
    layer.build([None, 2, None, 5])
    for variable in layer.variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    return layer


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("time", [1, 6])
def test_equals_the_equations(layer, time, training):
    inputs = np.random.default_rng(4).normal(size=[time, 2, 3, 5]).astype(np.float32)
    states = layer(tf.constant(inputs), training=training).numpy()
    assert states.shape == (time, 2, 3, 3)
    weights = [variable.numpy() for variable in layer.variables]
    for direction in range(2):
        for row in range(3):
            expected = by_numpy(inputs[:, direction, row], *(weight[direction] for weight in weights))
            np.testing.assert_allclose(states[:, direction, row], expected, atol=1e-6)


def test_own_gradient_is_tensorflows(layer):
    inputs = tf.random.normal([6, 2, 3, 5], seed=5)
    weight = tf.random.normal([6, 2, 3, 3], seed=6)

    @tf.function(autograph=False)
    def gradients(training):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=training) * weight)
        return tape.gradient(loss, [inputs, *layer.trainable_variables])

    for one, other in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_configuration_and_precision(layer):
    again = ProjectedLSTM.from_config(layer.get_config())
    assert (again.units, again.width, again.name) == (4, 3, "lstm")
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        narrow = ProjectedLSTM(4, 3)
        assert narrow(tf.zeros([2, 2, 1, 5])).dtype == tf.float32
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
