"""Dropout depends on seed, layer and step, and on nothing else."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.encoders.loading import build_encoder
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless


class _Model(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.one = tf.keras.layers.Dropout(0.5)
        self.attention = tf.keras.layers.MultiHeadAttention(2, 4, dropout=0.5)
        self.two = tf.keras.layers.Dropout(0.5)

    def call(self, inputs, training=None):
        sequence = inputs[tf.newaxis]
        return (
            self.one(inputs, training=training),
            self.two(inputs, training=training),
            self.attention(sequence, sequence, training=training),
        )


def _made(seed):
    tf.keras.utils.set_random_seed(1)
    model, step = _Model(), tf.Variable(0, dtype=tf.int64)
    model(tf.ones([1, 9]))
    assert make_dropout_stateless(model, seed=seed, step=step) == 3
    return tf.function(model, autograph=False), step


def test_a_function_of_seed_layer_and_step():
    ones = tf.ones([4, 9])
    model, step = _made(3)
    first = [output.numpy() for output in model(ones, training=True)]
    again = [output.numpy() for output in model(ones, training=True)]
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first[2], again[2])
    step.assign_add(1)
    later = model(ones, training=True)[0].numpy()
    assert (first[0] != later).any()
    other_process, other_step = _made(3)
    other_step.assign(1)
    np.testing.assert_array_equal(later, other_process(ones, training=True)[0].numpy())
    other_seed, _ = _made(4)
    assert (first[0] != other_seed(ones, training=True)[0].numpy()).any()


@pytest.mark.parametrize("kind", ["deberta", "deberta-v2", "electra"])
def test_encoders_of_transformers(kind):
    sizes = {"hidden_size": 8, "embedding_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 8, "max_position_embeddings": 16, "hidden_dropout_prob": 0.5}
    encoder = build_encoder({"model_type": kind, "vocab_size": 9} | sizes, backend="transformers")
    step = tf.Variable(0, dtype=tf.int64)
    assert make_dropout_stateless(encoder, seed=1, step=step) == 4
    tokens, mask = tf.constant([[1, 2, 3, 4]]), tf.ones([1, 4], tf.bool)
    first, again = (encoder(tokens, mask, training=True).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (encoder(tokens, mask).numpy() != first).any()
    step.assign_add(1)
    assert (encoder(tokens, mask, training=True).numpy() != first).any()


def test_rate_and_scale():
    model, _ = _made(1)
    values = model(tf.ones([4000, 9]), training=True)[0].numpy()
    assert set(np.unique(values)) == {0.0, 2.0}
    assert abs(values.mean() - 1.0) < 0.02
    np.testing.assert_array_equal(model(tf.ones([2, 9]), training=False)[0].numpy(), np.ones([2, 9]))


def _stateless(layer, shape):
    """Returns the layer after its generator was replaced, as the part of a model that it is."""
    layer(tf.ones(shape))
    model = tf.keras.Sequential([layer])
    assert make_dropout_stateless(model, seed=1, step=tf.Variable(0, dtype=tf.int64)) == 1
    return layer


def test_almost_every_value_is_dropped():
    layer = _stateless(tf.keras.layers.Dropout(0.999999), [1, 9])
    assert set(np.unique(layer(tf.ones([999, 999]), training=True).numpy())) <= {0.0, 65536.0}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_rate_on_an_odd_number_of_values(dtype):
    layer = _stateless(tf.keras.layers.Dropout(0.1, dtype=dtype), [1, 9])
    inputs = tf.ones([3, 333, 333], dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    assert outputs.dtype == dtype
    values = outputs.numpy().astype(np.float32)
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.9], rtol=4e-3)
    # Five standard deviations, of all values and of each position in a pair that shares a draw.
    for part in (values.ravel(), values.ravel()[::2], values.ravel()[1::2]):
        assert abs((part == 0).mean() - 0.1) < 5 * (0.1 * 0.9 / part.size) ** 0.5
    np.testing.assert_array_equal(tape.gradient(outputs, inputs).numpy().astype(np.float32), values)


def test_a_noise_shape_drops_whole_features():
    layer = _stateless(tf.keras.layers.SpatialDropout1D(0.5), [1, 2, 9])
    values = layer(tf.ones([4, 7, 9]), training=True).numpy()
    np.testing.assert_array_equal(values, np.broadcast_to(values[:, :1], values.shape))
    assert set(np.unique(values)) == {0.0, 2.0}


# Two devices are a matter of the whole process.
_TWO_REPLICAS = """
import json, tensorflow as tf
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model, step = tf.keras.Sequential([tf.keras.layers.Dropout(0.5)]), tf.Variable(7, dtype=tf.int64)
    model(tf.ones([1, 9]))
assert make_dropout_stateless(model, seed=1, step=step) == 1
drawn = tf.function(lambda: strategy.run(lambda: model(tf.ones([3, 9]), training=True)), autograph=False)()
print(json.dumps([values.numpy().tolist() for values in strategy.experimental_local_results(drawn)]))
"""


def test_replicas_draw_apart():
    done = subprocess.run([sys.executable, "-c", _TWO_REPLICAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first != second
    # The first replica draws what a process without replicas draws.
    model, step = tf.keras.Sequential([tf.keras.layers.Dropout(0.5)]), tf.Variable(7, dtype=tf.int64)
    model(tf.ones([1, 9]))
    make_dropout_stateless(model, seed=1, step=step)
    assert model(tf.ones([3, 9]), training=True).numpy().tolist() == first
