"""ELMo: what each direction may see, padding, the mix, checkpoints in both directions, and what is trained."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document
from emr_ner_tf.encoders.elmo import Elmo
from emr_ner_tf.encoders.loading import build_encoder, load_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.resources import build_resources

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"右肾左囊肿结石，。"]
CONFIG = {
    "model_type": "elmo",
    "vocab_size": len(TOKENS),
    "hidden_size": 3,
    "intermediate_size": 5,
    "num_hidden_layers": 2,
}
WIDTH = 3


@pytest.fixture
def encoder():
    tf.keras.utils.set_random_seed(7)
    encoder = build_encoder(CONFIG | {"character_size": 4})
    for variable in encoder.variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    return encoder


def run(encoder, token_ids, lengths, **options):
    token_ids = tf.constant(token_ids, tf.int32)
    mask = tf.sequence_mask(lengths, token_ids.shape[1])
    return encoder(token_ids, mask, **options).numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_numpy(encoder, ids):
    """Returns the whole encoder on one sequence of ids, from its checkpoint's tensors and the paper's equation 1."""
    weights = encoder.hf_weights()
    layers = []
    for direction, order in enumerate((ids, ids[::-1])):
        inputs = weights["embeddings.word_embeddings.weight"][order]
        outputs = [inputs]
        for layer in range(2):
            ih, hh, hr, bias = (
                weights[f"layers.{layer}.{name}"][direction]
                for name in ("weight_ih", "weight_hh", "weight_hr", "bias")
            )
            state, cell, states = np.zeros(len(hr)), np.zeros(hr.shape[1]), []
            for x in outputs[-1]:
                i, f, g, o = np.split(ih @ x + hh @ state + bias, 4)
                cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
                state = hr @ (sigmoid(o) * np.tanh(cell))
                states.append(state)
            outputs.append(np.array(states) + (outputs[-1] if layer else 0))
        layers.append([output[::-1] if direction else output for output in outputs])
    joined = [np.concatenate(pair, axis=-1) for pair in zip(*layers, strict=True)]
    shares = np.exp(encoder.mix.weights_of_layers.numpy())
    mixed = sum(share / shares.sum() * layer for share, layer in zip(shares, joined, strict=True))
    own = encoder.characters.embedding.embeddings.numpy()[ids]
    return np.concatenate([own, encoder.mix.gamma.numpy() * mixed], axis=-1)


def test_equals_the_equations(encoder):
    ids = np.array([2, 4, 5, 6, 7, 3])
    assert encoder.hidden_size == 4 + 2 * WIDTH
    np.testing.assert_allclose(run(encoder, [ids], [6])[0], by_numpy(encoder, ids), atol=1e-5)


def test_each_direction_sees_its_own_side(encoder):
    ids = np.array([2, 4, 5, 6, 7, 8, 3])
    changed = ids.copy()
    changed[3] = 10
    before, after = run(encoder, [ids], [7])[0], run(encoder, [changed], [7])[0]
    forward, backward = slice(4, 4 + WIDTH), slice(4 + WIDTH, None)
    np.testing.assert_array_equal(before[:3, forward], after[:3, forward])
    np.testing.assert_array_equal(before[4:, backward], after[4:, backward])
    assert (np.abs(before - after)[3:, forward].max(axis=1) > 1e-5).all()
    assert (np.abs(before - after)[:4, backward].max(axis=1) > 1e-5).all()


def test_padding_changes_nothing(encoder):
    ids = np.array([[2, 4, 5, 3], [2, 6, 3, 0]])
    short = run(encoder, ids, [4, 3])
    padded = np.full([2, 7], 9)
    padded[:, :4] = ids
    padded[1, 3] = 11
    long = run(encoder, padded, [4, 3])
    np.testing.assert_allclose(long[:, :4], short, atol=1e-6)
    assert not long[:, 4:].any()
    assert not long[1, 3].any()
    assert not run(encoder, np.zeros([1, 2]), [0]).any()


@pytest.mark.parametrize("tuned", [False, True])
def test_what_is_trained(encoder, tuned):
    encoder.language_model.trainable = tuned
    token_ids, mask = tf.constant([[2, 4, 5, 3]]), tf.ones([1, 4], tf.bool)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(token_ids, mask, training=True) ** 2)
        return tape.gradient(loss, encoder.trainable_variables)

    assert all(gradient is not None for gradient in gradients())
    fresh = {variable.ref() for variable in encoder.randomly_initialized_variables()}
    trained = {variable.ref() for variable in encoder.trainable_variables}
    assert fresh < trained if tuned else fresh == trained


def test_every_variable_is_of_the_checkpoint_or_made_new(encoder):
    held = {mapping.variable.ref() for mapping in encoder.weight_mappings()}
    fresh = {variable.ref() for variable in encoder.randomly_initialized_variables()}
    assert not held & fresh
    assert held | fresh == {variable.ref() for variable in encoder.variables}
    assert len({variable.name for variable in encoder.variables}) == len(encoder.variables)


@pytest.fixture
def checkpoint(tmp_path, encoder):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")

    def write(**changes):
        weights = encoder.hf_weights() | {"lm_head.bias": np.zeros(len(TOKENS), np.float32)} | changes
        weights = {name: np.ascontiguousarray(value) for name, value in weights.items() if value is not None}
        safetensors.numpy.save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return write


def test_round_trip(encoder, checkpoint):
    again = load_encoder(str(checkpoint()), changes={"character_size": 4})
    assert again.hf_config == encoder.hf_config
    for name, value in encoder.hf_weights().items():
        np.testing.assert_array_equal(again.hf_weights()[name], value, err_msg=name)
    again.characters.embedding.embeddings.assign(encoder.characters.embedding.embeddings)
    again.mix.set_weights(encoder.mix.get_weights())
    ids = [[2, 4, 5, 6, 3]]
    np.testing.assert_array_equal(run(again, ids, [5]), run(encoder, ids, [5]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layers.1.weight_hr": None}, "`layers.1.weight_hr` missing"),
        ({"layers.2.bias": np.zeros([2, 20], np.float32)}, "`layers.2.bias` not expected"),
        (
            {"layers.0.bias": np.zeros([2, 16], np.float32)},
            r"`layers.0.bias` must have shape \[2, 20\] .*, got \[2, 16\]",
        ),
    ],
)
def test_weights_that_do_not_match(checkpoint, changes, says):
    with pytest.raises(UserError, match=says):
        load_encoder(str(checkpoint(**changes)))


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "num_hidden_layers"])
def test_sizes_are_needed(key):
    with pytest.raises(UserError, match=f"`{key}` must be a whole number above 0, got None"):
        build_encoder(CONFIG | {key: None})


def _config(encoder):
    config = base_config()
    config.encoder = str(encoder)
    config.model.encoder = "elmo"
    config.model.context = "none"
    config.model.attention = "none"
    config.char.size = 4
    return config


def test_in_a_tagger(checkpoint, tmp_path):
    config = _config(checkpoint())
    config.char.vectors = str(tmp_path / "char.vec")
    (tmp_path / "char.vec").write_text("肾 1 2 3 4\n", encoding="utf-8")
    resources = build_resources(config, [Document("1", "左肾无殊。")])
    assert resources.vocabulary.tokens[len(TOKENS) :] == ("无", "殊")
    tagger, definition = build_tagger(ModelDefinition(config, resources.vocabulary, ("甲",)), resources)
    tuned, fresh = tagger.encoder_and_head_variables()
    assert tuned == []
    # Embedding, weights and scale of the mix; linear layer and CRF.
    assert len(fresh) == 3 + len(tagger.linear.trainable_variables) + len(tagger.crf.trainable_variables)
    assert isinstance(tagger.encoder, Elmo)
    np.testing.assert_array_equal(tagger.encoder.characters.embedding.embeddings[5], [1, 2, 3, 4])
    # To the language model a character that it never saw is [UNK].
    table = tagger.encoder.language_model.embeddings.numpy()
    np.testing.assert_array_equal(table[len(TOKENS) :], table[[1, 1]])
    config.elmo.trainable = True
    tagger, _ = build_tagger(definition)
    tuned, _ = tagger.encoder_and_head_variables()
    assert len(tuned) == 1 + 2 * 4


def test_the_kind_must_be_said(checkpoint):
    config = _config(checkpoint())
    config.model.encoder = "bert"
    resources = build_resources(config, [])
    with pytest.raises(UserError, match=r"config\.model\.encoder must be 'elmo' .*, got 'bert' and 'elmo'"):
        build_tagger(ModelDefinition(config, resources.vocabulary, ("甲",)))
