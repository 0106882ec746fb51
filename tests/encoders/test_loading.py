"""Encoders by name: vocabulary and configuration against the checkpoint, and what each backend refuses."""

import json

import numpy as np
import pytest

from emr_ner_tf.encoders.loading import BACKENDS, build_encoder, load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary

BOTH = pytest.mark.parametrize("backend", BACKENDS)
SIZES = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "vocab_size": 10,
}


def test_vocabulary_is_the_encoders_own(tiny):
    vocabulary = load_vocabulary(str(tiny))
    assert len(vocabulary.tokens) == 36
    assert (vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id) == (0, 3, 4, 5)


@BOTH
def test_added_rows_copy_the_unknown_one_and_unused_rows_stay(tiny, backend):
    own = load_vocabulary(str(tiny))
    # Two take the [unused] rows, two come behind.
    vocabulary = own.extended(["甲甲甲甲乙乙乙癸癸壬"])
    assert [row for _, row in vocabulary.added] == [1, 2, 36, 37]
    encoder = load_encoder(str(tiny), vocabulary=vocabulary, backend=backend)
    table = encoder.hf_weights()["embeddings.word_embeddings.weight"]
    before = tiny.weights["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(table[:36], before)
    np.testing.assert_array_equal(table[36:], before[[3, 3]])
    assert encoder.vocabulary_size == encoder.hf_config["vocab_size"] == 38
    again = build_encoder(encoder.hf_config, backend=backend)
    shapes = {name: value.shape for name, value in encoder.hf_weights().items()}
    assert {name: value.shape for name, value in again.hf_weights().items()} == shapes
    json.dumps(encoder.hf_config)


@BOTH
def test_a_shorter_vocabulary_is_an_error(tiny, backend):
    vocabulary = Vocabulary(load_vocabulary(str(tiny)).tokens[:-1])
    with pytest.raises(UserError, match=r"at least the 36 tokens of its vocab\.txt, got 35"):
        load_encoder(str(tiny), vocabulary=vocabulary, backend=backend)


def test_another_vocabulary_is_an_error(tiny):
    tokens = list(load_vocabulary(str(tiny)).tokens)
    tokens[10], tokens[20] = tokens[20], tokens[10]
    with pytest.raises(UserError, match=r"got 2 rows that differ \(first: row 10\)"):
        load_encoder(str(tiny), vocabulary=Vocabulary(tuple(tokens)))


@BOTH
def test_vocabulary_file_and_configuration_must_agree(make_checkpoint, backend):
    checkpoint = make_checkpoint()
    with (checkpoint.folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("甲\n")
    with pytest.raises(UserError, match=r"vocab\.txt must have as many .* config\.json says, got 37 and 36"):
        load_encoder(str(checkpoint), backend=backend)


@BOTH
def test_weights_and_configuration_must_agree(make_checkpoint, backend):
    checkpoint = make_checkpoint()
    name = "embeddings.word_embeddings.weight"
    checkpoint.write(checkpoint.weights | {name: checkpoint.weights[name][:-1]})
    with pytest.raises(
        UserError, match=rf"model\.safetensors: `{name}` must .* config\.json says, got 35 and 36"
    ):
        load_encoder(str(checkpoint), backend=backend)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "roformer"}, "'roformer'; config.encoder_backend=transformers accepts"),
        ({"model_type": None}, "`model_type` must be 'bert'"),
        ({"hidden_act": "mish"}, "`hidden_act` must be one of gelu, .*, got 'mish'"),
        (
            {"position_embedding_type": "relative_key"},
            "`position_embedding_type` must .*, got 'relative_key'",
        ),
        ({"hidden_size": 30}, "multiple of `num_attention_heads`, got 30 and 4"),
        ({"num_hidden_layers": 0}, "`num_hidden_layers` must be a whole number above 0, got 0"),
        ({"intermediate_size": None}, "`intermediate_size` must be a whole number above 0, got None"),
        ({"type_vocab_size": 0}, "`type_vocab_size` must be a whole number above 0, got 0"),
        ({"hidden_dropout_prob": None}, "`hidden_dropout_prob` must be at least 0 and below 1, got None"),
        ({"attention_probs_dropout_prob": "0.1"}, "`attention_probs_dropout_prob` must .*, got '0.1'"),
        ({"layer_norm_eps": None}, "`layer_norm_eps` must be a number above 0, got None"),
        ({"initializer_range": 0}, "`initializer_range` must be a number above 0, got 0"),
        ({"is_decoder": True}, "`is_decoder` must be false"),
        ({"vocab_size": None}, "`vocab_size` must be a whole number above 0, got None"),
    ],
)
def test_what_keras_nlp_cannot_build_is_an_error(changes, says):
    with pytest.raises(UserError, match=says):
        build_encoder(SIZES | changes)


def test_an_unknown_backend_is_an_error():
    with pytest.raises(UserError, match="one of keras_nlp, transformers, got 'torch'"):
        build_encoder(SIZES, backend="torch")


def test_missing_optional_keys_take_berts_own():
    encoder = build_encoder(SIZES)
    weights = encoder.hf_weights()
    assert weights["embeddings.token_type_embeddings.weight"].shape == (2, 32)
    assert np.std(weights["embeddings.word_embeddings.weight"]) == pytest.approx(0.0176, rel=0.15)
