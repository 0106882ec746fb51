"""The convolutional contexts: their formulas in numpy, padding, precision and saving."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.cnn import IteratedDilatedCNN, WindowCNN

LENGTH = np.array([9, 4, 1, 0], np.int32)
REAL = np.arange(9) < LENGTH[:, None]
WIDTH = 3


def inputs_of(seed=0):
    return np.random.default_rng(seed).normal(size=[4, 9, WIDTH]).astype(np.float32)


def filled(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.build([None, None, WIDTH])
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return layer


def make(kind):
    return filled(WindowCNN(4) if kind == "cnn" else IteratedDilatedCNN(4))


def convolved(values, kernel, bias, rate=1):
    """Returns one convolution over a sequence [n, H], written as sums; what is outside counts as 0."""
    half = len(kernel) // 2
    outputs = np.tile(bias, (len(values), 1)).astype(np.float64)
    for t in range(len(values)):
        for k in range(len(kernel)):
            at = t + (k - half) * rate
            if 0 <= at < len(values):
                outputs[t] += values[at] @ kernel[k]
    return outputs


def test_window_network():
    layer, inputs = make("cnn"), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    kernel, bias = (weight.numpy() for weight in layer.weights)
    assert kernel.shape == (5, WIDTH, 4)
    for row, n in enumerate(LENGTH):
        expected = np.clip(convolved(inputs[row, :n], kernel, bias), -1, 1)
        np.testing.assert_allclose(outputs[row, :n], expected, atol=1e-5)
    assert not outputs[~REAL].any()


def test_the_block_begins_as_the_identity():
    layer, inputs = IteratedDilatedCNN(4), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    first = layer.first(tf.where(REAL[:, :, None], inputs, 0)).numpy()
    np.testing.assert_array_equal(outputs, np.where(REAL[:, :, None], np.maximum(first, 0), 0))
    assert outputs.any()


def test_iterated_dilated_convolutions_share_their_block():
    layer, inputs = make("idcnn"), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    weights = [weight.numpy() for weight in layer.weights]
    assert len(weights) == 8  # the first and the three of the one block, kernel and bias each
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for row, n in enumerate(LENGTH):
        value = np.maximum(convolved(inputs[row, :n], *pairs[0]), 0)
        for _ in range(4):
            for (kernel, bias), rate in zip(pairs[1:], (1, 1, 2), strict=True):
                value = np.maximum(convolved(value, kernel, bias, rate), 0)
        np.testing.assert_allclose(outputs[row, :n], value, rtol=1e-4, atol=1e-4)
    assert not outputs[~REAL].any()


@pytest.mark.parametrize("kind", ["cnn", "idcnn"])
def test_padding_is_never_seen(kind):
    layer, inputs = make(kind), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    junk = np.where(REAL[:, :, None], inputs, np.nan)
    junk = np.concatenate([junk, np.full([4, 40, WIDTH], np.nan, np.float32)], axis=1)
    wider = layer(junk, LENGTH).numpy()
    np.testing.assert_allclose(wider[:, :9], outputs, rtol=1e-4, atol=1e-5)
    assert not wider[:, 9:].any()


@pytest.mark.parametrize("kind", ["cnn", "idcnn"])
def test_config_comes_back_and_gradients_reach_every_weight(kind):
    layer, inputs = make(kind), tf.constant(inputs_of())
    again = type(layer).from_config(layer.get_config())
    again.build([None, None, WIDTH])
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(inputs, LENGTH), layer(inputs, LENGTH))

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([None], tf.int32)], autograph=False
    )
    def gradients(values, length):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(values, length) ** 2)
        return tape.gradient(loss, layer.trainable_weights)

    for gradient in gradients(inputs, LENGTH):
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("kind", ["cnn", "idcnn"])
def test_bfloat16(kind):
    layer = make(kind)
    half = type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})
    half.build([None, None, WIDTH])
    half.set_weights(layer.get_weights())
    outputs = half(tf.cast(inputs_of(), tf.bfloat16), LENGTH)
    assert outputs.dtype == tf.bfloat16
    expected = layer(inputs_of(), LENGTH).numpy()
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.05 * np.abs(expected).max())
