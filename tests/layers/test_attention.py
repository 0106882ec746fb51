"""The two attentions: their formulas in numpy, padding, precision and saving."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.attention import AdditiveAttentionPooling, SelfAttention

LENGTH = np.array([5, 2, 1, 0], np.int32)
REAL = np.arange(5) < LENGTH[:, None]
WIDTH = 6


def inputs_of(seed=0):
    return np.random.default_rng(seed).normal(size=[4, 5, WIDTH]).astype(np.float32)


def filled(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.build([None, None, WIDTH])
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def make(kind):
    return filled(SelfAttention(3) if kind == "self" else AdditiveAttentionPooling())


def softmax(scores):
    exponents = np.exp(scores - scores.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def test_plain_attention_is_equations_9_to_11():
    layer, inputs = make("plain"), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    kernel, bias = (weight.numpy() for weight in layer.weights)
    for row, n in enumerate(LENGTH):
        h = inputs[row, :n]
        u = np.tanh(h @ kernel[:, 0] + bias[0])
        s = (softmax(u)[:, None] * h).sum(0) if n else None
        for t in range(n):
            np.testing.assert_allclose(outputs[row, t], np.concatenate([h[t], s]), atol=1e-5)
    assert not outputs[~REAL].any()


def test_a_gate_begins_as_the_identity_and_scales_what_is_added():
    layer, inputs = SelfAttention(3, gated=True), inputs_of()
    fresh = layer(inputs, LENGTH).numpy()
    np.testing.assert_array_equal(fresh[REAL], inputs[REAL])
    plain = make("self")
    for own, other in zip(layer.attention.weights, plain.attention.weights, strict=True):
        own.assign(other)
    layer.gate.assign(0.25)
    added = plain(inputs, LENGTH).numpy()[REAL] - inputs[REAL]
    np.testing.assert_allclose(layer(inputs, LENGTH).numpy()[REAL], inputs[REAL] + 0.25 * added, atol=1e-5)
    assert SelfAttention.from_config(layer.get_config()).gated


def test_self_attention_begins_with_glorots_limit_for_square_matrices():
    layer = SelfAttention(8)
    layer.build([None, None, 512])
    kernels = [weight for weight in layer.weights if "kernel" in weight.name]
    assert len(kernels) == 4
    for kernel in kernels:
        # Uniform: the standard deviation is the limit divided by the square root of 3.
        assert np.std(kernel) == pytest.approx(512**-0.5, rel=0.02)
    assert len({weight.numpy().tobytes() for weight in kernels}) == 4


@pytest.mark.parametrize("kind", ["self", "plain"])
def test_dropout_is_of_what_is_added(kind):
    cls = SelfAttention if kind == "self" else AdditiveAttentionPooling
    layer, inputs = (
        filled(cls(output_dropout=0.5) if kind == "plain" else cls(3, output_dropout=0.5)),
        inputs_of(),
    )
    added = layer(inputs, LENGTH).numpy()[REAL]
    dropped = layer(inputs, LENGTH, training=True).numpy()[REAL]
    if kind == "self":
        added, dropped = added - inputs[REAL], dropped - inputs[REAL]
    else:
        np.testing.assert_array_equal(dropped[:, :WIDTH], inputs[REAL])
        added, dropped = added[:, WIDTH:], dropped[:, WIDTH:]
    kept = np.abs(dropped) > 1e-6
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(dropped[kept], 2 * added[kept], rtol=1e-3, atol=1e-5)


def test_self_attention_is_scaled_dot_products_with_a_residual():
    layer, inputs = make("self"), inputs_of()
    outputs = layer(inputs, LENGTH).numpy()
    weights = {
        weight.name.split("/", 1)[-1].removeprefix("attention/"): weight.numpy() for weight in layer.weights
    }
    for row, n in enumerate(LENGTH):
        h = inputs[row, :n]
        attended = np.zeros_like(h)
        for head in range(3):
            query, key, value = (
                h @ weights[f"{name}/kernel:0"][:, head] + weights[f"{name}/bias:0"][head]
                for name in ("query", "key", "value")
            )
            assert query.shape[-1] == WIDTH // 3
            attention = softmax(query @ key.T / np.sqrt(WIDTH // 3)) if n else np.zeros([0, 0])
            attended += attention @ value @ weights["attention_output/kernel:0"][head]
        attended += weights["attention_output/bias:0"]
        np.testing.assert_allclose(outputs[row, :n], h + attended, atol=1e-4)
    assert not outputs[~REAL].any()


@pytest.mark.parametrize("kind", ["self", "plain"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_padding_changes_neither_outputs_nor_gradients(kind, garbage):
    layer, inputs = make(kind), inputs_of()

    def run(inputs):
        inputs = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, LENGTH)
            loss = tf.reduce_sum(outputs**2)
        return outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])

    clean = run(np.where(REAL[:, :, None], inputs, 0))
    dirty = run(np.where(REAL[:, :, None], inputs, np.float32(garbage)))
    for ours, theirs in zip(dirty, clean, strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, theirs)
    wider = run(np.pad(inputs, [(0, 0), (0, 3), (0, 0)]))
    for ours, theirs in zip(wider[2:], clean[2:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(wider[:2], clean[:2], strict=True):
        np.testing.assert_allclose(ours[:, :5], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["self", "plain"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0), (2, 1)])
def test_records_without_a_character(kind, shape):
    layer = make(kind)
    graph = tf.function(layer, autograph=False).get_concrete_function(
        tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([None], tf.int32)
    )
    outputs = graph(tf.ones([*shape, WIDTH]), tf.zeros([shape[0]], tf.int32)).numpy()
    np.testing.assert_array_equal(outputs, np.zeros([*shape, WIDTH * (2 if kind == "plain" else 1)]))


@pytest.mark.parametrize("kind", ["self", "plain"])
def test_eager_equals_graph(kind):
    layer, inputs = make(kind), tf.constant(inputs_of())
    # With AutoGraph, which a user's own function has by default.
    np.testing.assert_allclose(tf.function(layer)(inputs, LENGTH), layer(inputs, LENGTH), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", ["self", "plain"])
def test_mixed_precision(kind, policy):
    cls = SelfAttention if kind == "self" else AdditiveAttentionPooling
    layer = filled(cls.from_config(make(kind).get_config() | {"dtype": policy}))
    outputs = layer(inputs_of(), LENGTH)
    assert outputs.dtype == tf.keras.mixed_precision.Policy(policy).compute_dtype
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    exact = make(kind)(inputs_of(), LENGTH)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact, rtol=0.1, atol=0.5)
    # Long enough for a sum of exponentials to leave the range of float16.
    long = layer(tf.ones([1, 40_000 if kind == "plain" else 50, WIDTH]), [40_000 if kind == "plain" else 50])
    assert np.isfinite(tf.cast(long, tf.float32)).all()


def test_dropout_is_for_training_only():
    layer, inputs = filled(SelfAttention(3, dropout=0.5)), inputs_of()
    np.testing.assert_allclose(layer(inputs, LENGTH, training=False), make("self")(inputs, LENGTH), atol=1e-5)
    trained = layer(inputs, LENGTH, training=True).numpy()
    assert np.abs(trained - layer(inputs, LENGTH).numpy())[REAL].max() > 0.01


@pytest.mark.parametrize("heads", [4, 0, -2])
def test_a_width_that_heads_do_not_divide_is_an_error(heads):
    with pytest.raises(UserError, match=rf"`num_heads`={heads}, got 6"):
        SelfAttention(heads).build([None, None, WIDTH])


@pytest.mark.parametrize(
    "layer", [SelfAttention(3, 0.1, name="a"), AdditiveAttentionPooling(name="b")], ids=["self", "plain"]
)
def test_configuration_round_trips(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.name == layer.name


@pytest.mark.parametrize("kind", ["self", "plain"])
@pytest.mark.parametrize("path", ["saved_model", "archive.keras"])
def test_a_model_is_saved_and_loaded(tmp_path, kind, path):
    inputs, length = tf.keras.Input([None, WIDTH]), tf.keras.Input([], dtype=tf.int32)
    layer = make(kind)
    model = tf.keras.Model([inputs, length], layer(inputs, length))
    model.save(tmp_path / path)
    loaded = tf.keras.models.load_model(tmp_path / path)
    arguments = [inputs_of(), LENGTH]
    np.testing.assert_allclose(loaded(arguments), model(arguments), atol=1e-6)
