"""Both backends: transformers' own output, padding, dropout, gradients, precision, export."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import transformers

from emr_ner_tf.encoders.loading import BACKENDS, build_encoder, load_encoder

TOLERANCE = 1e-4
CONFIG = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
}
BOTH = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def policy():
    """A function that sets the precision policy, for one test."""
    yield tf.keras.mixed_precision.set_global_policy
    tf.keras.mixed_precision.set_global_policy("float32")


def by_transformers(folder, token_ids, mask):
    model = transformers.TFBertModel.from_pretrained(str(folder))
    return model(input_ids=token_ids, attention_mask=mask.astype(np.int32)).last_hidden_state.numpy()


def run(encoder, token_ids, mask, **options):
    return encoder(tf.constant(token_ids, tf.int32), tf.constant(mask), **options).numpy()


def dropouts(encoder):
    return [module for module in encoder.submodules if isinstance(module, tf.keras.layers.Dropout)]


@BOTH
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "relu"},
        {"hidden_act": "silu"},
        {"layer_norm_eps": 0.1, "num_attention_heads": 1, "type_vocab_size": 1},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_output_is_transformers_own(make_checkpoint, batch, backend, changes):
    folder = make_checkpoint(**changes)
    token_ids, mask = batch
    expected = by_transformers(folder, token_ids, mask)
    actual = run(load_encoder(str(folder), backend=backend), token_ids, mask)
    np.testing.assert_allclose(actual[mask], expected[mask], atol=TOLERANCE)


@BOTH
def test_output_of_the_real_encoder_is_transformers_own(shared, backend):
    folder = shared / "weights" / "bge-small-zh"
    token_ids = np.random.default_rng(1).integers(100, 21128, [3, 130]).astype(np.int32)
    mask = np.arange(130) < np.array([130, 40, 2])[:, np.newaxis]
    expected = by_transformers(folder, token_ids, mask)
    encoder = load_encoder(str(folder), backend=backend)
    np.testing.assert_allclose(run(encoder, token_ids, mask)[mask], expected[mask], atol=TOLERANCE)
    # In a graph the activation runs fused into the product, which is another kernel.
    graph = tf.function(encoder, autograph=False)(tf.constant(token_ids), tf.constant(mask), training=False)
    np.testing.assert_allclose(graph.numpy()[mask], expected[mask], atol=TOLERANCE)
    assert (encoder.hidden_size, encoder.max_positions, encoder.vocabulary_size) == (512, 512, 21128)


@BOTH
def test_padding_changes_nothing(tiny, batch, backend):
    token_ids, mask = batch
    encoder = load_encoder(str(tiny), backend=backend)
    padded = run(encoder, token_ids, mask)
    for row, length in enumerate(mask.sum(axis=1)):
        alone = run(encoder, token_ids[row : row + 1, :length], mask[row : row + 1, :length])
        np.testing.assert_allclose(padded[row, :length], alone[0], atol=1e-5)


@BOTH
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_row_of_padding_alone_is_finite(tiny, backend, precision, policy):
    policy(precision)
    encoder = load_encoder(str(tiny), backend=backend)
    outputs = run(encoder, np.zeros([2, 6], np.int32), np.array([[False] * 6, [True] * 6]))
    assert outputs.dtype == tf.as_dtype(encoder.compute_dtype)
    assert np.isfinite(outputs.astype(np.float32)).all()


@BOTH
def test_dropout_is_off_unless_training(tiny, batch, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    still = run(encoder, *batch)
    np.testing.assert_array_equal(run(encoder, *batch, training=False), still)
    one, other = (run(encoder, *batch, training=True) for _ in range(2))
    assert np.abs(one - other).max() > 0.01
    assert np.abs(one - still).max() > 0.01


@BOTH
def test_every_dropout_is_found(tiny, batch, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    found = dropouts(encoder)
    # Behind the embeddings; in each of 2 layers on attention's weights, behind attention and behind the dense layers.
    assert sorted(layer.rate for layer in found) == [0.2] * 5 + [0.3] * 2
    for layer in found:
        layer.rate = 0.0
    np.testing.assert_allclose(run(encoder, *batch, training=True), run(encoder, *batch), atol=1e-5)


@BOTH
def test_gradients_reach_every_trainable_variable(tiny, batch, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    token_ids, mask = map(tf.constant, batch)
    weights = tf.constant(np.random.default_rng(2).normal(size=[*token_ids.shape, 32]), tf.float32)

    def loss(training):
        return tf.reduce_sum(encoder(token_ids, mask, training=training) * weights)

    gradients = {}
    for training in (False, True):
        with tf.GradientTape() as tape:
            value = loss(training)
        gradients[training] = tape.gradient(value, encoder.trainable_variables)
        for variable, gradient in zip(encoder.trainable_variables, gradients[training], strict=True):
            assert gradient is not None, variable.name
            # Attention does not change when all its keys move alike.
            assert np.any(tf.convert_to_tensor(gradient)) or "key/bias" in variable.name, variable.name
    assert not [variable.name for variable in encoder.variables if "pooler" in variable.name]


@BOTH
def test_gradients_are_those_of_differences(tiny, batch, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    for layer in dropouts(encoder):
        layer.rate = 0.0
    token_ids, mask = map(tf.constant, batch)
    rng = np.random.default_rng(3)
    weights = tf.constant(rng.normal(size=[*token_ids.shape, 32]) * mask.numpy()[..., np.newaxis], tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(encoder(token_ids, mask, training=True) * weights)
    gradients = tape.gradient(value, encoder.trainable_variables)
    for variable, gradient in zip(encoder.trainable_variables, gradients, strict=True):
        direction = rng.normal(size=variable.shape).astype(np.float32)
        start, values = variable.numpy(), []
        for step in (1e-3, -1e-3):
            variable.assign(start + step * direction)
            values.append(tf.reduce_sum(encoder(token_ids, mask, training=True) * weights).numpy())
        variable.assign(start)
        slope = np.sum(tf.convert_to_tensor(gradient) * direction)
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(slope, rel=0.02, abs=0.1), variable.name


@BOTH
def test_bfloat16_stays_near(tiny, batch, backend, policy):
    token_ids, mask = batch
    expected = run(load_encoder(str(tiny), backend=backend), token_ids, mask)
    policy("mixed_bfloat16")
    encoder = load_encoder(str(tiny), backend=backend)
    assert {variable.dtype for variable in encoder.variables} == {tf.float32}
    for training in (False, True):
        for layer in dropouts(encoder):
            layer.rate = 0.0
        actual = encoder(tf.constant(token_ids), tf.constant(mask), training=training)
        assert actual.dtype == tf.bfloat16
        difference = np.abs(tf.cast(actual, tf.float32).numpy() - expected)[mask]
        assert difference.mean() < 0.02
        assert difference.max() < 0.2


@BOTH
def test_empty_batches_and_records(tiny, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    # The tagger adds two tokens to each window, so that no batch is empty both ways.
    for shape in ([0, 5], [2, 0], [0, 2]):
        outputs = run(encoder, np.zeros(shape, np.int32), np.zeros(shape, bool))
        assert outputs.shape == (*shape, 32)


@BOTH
def test_saved_model_runs_on_tensorflow_alone(tiny, batch, backend, tmp_path):
    encoder = load_encoder(str(tiny), backend=backend)
    module = tf.Module()
    module.encoder_variables = encoder.variables
    module.encode = tf.function(
        lambda token_ids, padding_mask: encoder(token_ids, padding_mask, training=False),
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    graph = module.encode.get_concrete_function().graph.as_graph_def()
    functions = [node.op for function in graph.library.function for node in function.node_def]
    names = {node.op for node in graph.node} | set(functions)
    assert not [name for name in names if "Py" in name or "Assert" in name or "Xla" in name]

    token_ids, mask = batch
    np.savez(tmp_path / "batch.npz", token_ids=token_ids, mask=mask)
    # A process that imports nothing else has nothing but TensorFlow's own operations.
    code = """
import sys
import numpy as np
import tensorflow as tf
folder = sys.argv[1]
loaded = tf.saved_model.load(folder + "/saved")
with np.load(folder + "/batch.npz") as data:
    outputs = loaded.encode(tf.constant(data["token_ids"]), tf.constant(data["mask"])).numpy()
assert loaded.encode(tf.zeros([0, 3], tf.int32), tf.zeros([0, 3], tf.bool)).shape == [0, 3, 32]
assert not {"keras_nlp", "tensorflow_text", "tensorflow_addons", "transformers"} & set(sys.modules)
np.save(folder + "/outputs.npy", outputs)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), run(encoder, *batch), atol=1e-5)


@BOTH
def test_weights_come_back_under_their_names(tiny, backend):
    encoder = load_encoder(str(tiny), backend=backend)
    weights = encoder.hf_weights()
    assert set(weights) == set(tiny.weights)
    for name, value in tiny.weights.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


@BOTH
def test_random_weights_have_the_range_asked_for(backend):
    tf.keras.utils.set_random_seed(3)
    encoder = build_encoder(CONFIG | {"initializer_range": 0.1}, backend=backend, vocabulary_size=200)
    assert (encoder.backend, encoder.vocabulary_size, encoder.max_positions) == (backend, 200, 40)
    assert encoder.hf_config == CONFIG | {"initializer_range": 0.1, "vocab_size": 200}
    for name, value in encoder.hf_weights().items():
        if "LayerNorm" in name or name.endswith("bias"):
            assert len(np.unique(value)) == 1, name
        # Cut at two deviations, which leaves 0.88 of one. The segments are few.
        elif "token_type" not in name:
            assert np.std(value) == pytest.approx(0.088, rel=0.1), name
    tf.keras.utils.set_random_seed(3)
    again = build_encoder(CONFIG | {"initializer_range": 0.1, "vocab_size": 200}, backend=backend)
    for one, other in zip(encoder.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)
