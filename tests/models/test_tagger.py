"""The whole tagger, tiny: padding changes nothing, gradients reach everything, every attention and context."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.config import RANDOM_ENCODER, base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.definition import ModelDefinition, build_tagger
from emr_ner_tf.models.start import start
from emr_ner_tf.models.text_tagger import TextTagger
from emr_ner_tf.models.zoo import ZOO
from emr_ner_tf.text.vocabulary import Vocabulary

_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"患者因右肺上叶腺癌入院。"))
_TOKENS = np.array([[5, 6, 7, 8, 9, 10], [12, 13, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], np.int32)
_LENGTH = np.array([6, 2, 0], np.int32)
_TAGS = np.array([[0, 1, 2, 2, 0, 3], [1, 0, 0, 0, 0, 0], [0] * 6], np.int32)


def _config(row="bert_bigru_att_crf"):
    config = base_config()
    config.encoder = RANDOM_ENCODER
    config.random_encoder.hidden_size = 16
    config.random_encoder.num_hidden_layers = 1
    config.random_encoder.num_attention_heads = 2
    config.random_encoder.intermediate_size = 32
    config.random_encoder.max_position_embeddings = 34
    config.model.encoder = ZOO[row].encoder
    config.model.context = ZOO[row].context
    config.model.attention = ZOO[row].attention
    config.model.units = 8
    config.model.heads = 2
    config.text.window = 16
    config.text.overlap = 4
    config.text.slack = 4
    return config


def _build(config):
    tf.keras.utils.set_random_seed(5)
    return build_tagger(ModelDefinition(config, _VOCABULARY, ("甲", "乙")))[0]


@pytest.mark.parametrize("row", list(ZOO))
def test_every_row(row):
    tagger = _build(_config(row))
    emissions = tagger(_TOKENS, _LENGTH).numpy()
    # What stands in the padding, and how much of it there is, changes neither emissions nor loss nor tags.
    junk = np.concatenate([_TOKENS, np.full([3, 5], 9, np.int32)], axis=1)
    junk[1, 2:] = 11
    wider = tagger(junk, _LENGTH).numpy()
    for record, size in enumerate(_LENGTH):
        np.testing.assert_allclose(wider[record, :size], emissions[record, :size], atol=1e-5)
        if not size:
            continue  # no window is ever empty
        alone = tagger(_TOKENS[record : record + 1, :size], _LENGTH[record : record + 1]).numpy()
        np.testing.assert_allclose(alone[0], emissions[record, :size], atol=1e-5)
    wide_tags = np.concatenate([_TAGS, np.full([3, 5], 4, np.int32)], axis=1)
    loss = tagger.loss_of(_TOKENS, _TAGS, _LENGTH, training=False).numpy()
    np.testing.assert_allclose(tagger.loss_of(junk, wide_tags, _LENGTH, training=False), loss, atol=1e-4)
    assert loss[2] == 0
    np.testing.assert_array_equal(
        tagger.crf.decode(wider, _LENGTH)[0][:, :6], tagger.crf.decode(emissions, _LENGTH)[0]
    )
    graph = tf.function(tagger)(tf.constant(_TOKENS), tf.constant(_LENGTH)).numpy()
    for record, size in enumerate(_LENGTH):
        np.testing.assert_allclose(graph[record, :size], emissions[record, :size], atol=1e-5)


@pytest.mark.parametrize("row", list(ZOO))
def test_gradient_reaches_every_variable(row):
    tagger = _build(_config(row))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tagger.loss_of(_TOKENS, _TAGS, _LENGTH, training=True))
    gradients = tape.gradient(loss, tagger.trainable_variables)
    for variable, gradient in zip(tagger.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        # A softmax does not change when every score moves alike: the keys' bias has no slope.
        if "/key/bias" not in variable.name:
            assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name


def test_training_and_inference_of_the_context_agree():
    config = _config()
    config.model.dropout = 0.0
    config.random_encoder.hidden_dropout_prob = 0.0
    config.random_encoder.attention_probs_dropout_prob = 0.0
    tagger = _build(config)
    training = tagger.loss_of(_TOKENS, _TAGS, _LENGTH, training=True)
    np.testing.assert_allclose(training, tagger.loss_of(_TOKENS, _TAGS, _LENGTH, training=False), rtol=1e-5)


def test_a_window_that_the_encoder_cannot_hold():
    config = _config()
    config.text.window = 33
    with pytest.raises(UserError, match=r"config.text.window must be at most 32.* got 33"):
        _build(config)


def test_no_encoder_named():
    with pytest.raises(UserError, match=r"config.encoder must name"):
        start(base_config(), [])


@pytest.mark.parametrize("key", ["context", "attention"])
def test_unknown_parts_list_the_choices(key):
    config = _config()
    config.model[key] = "transformer"
    with pytest.raises(UserError, match=rf"config.model.{key} must be one of none, .*'transformer'"):
        _build(config)


def test_definition_comes_back(tmp_path):
    tagger, definition = build_tagger(ModelDefinition(_config(), _VOCABULARY, ("甲", "乙")))
    definition.save(tmp_path)
    again, loaded = build_tagger(ModelDefinition.load(tmp_path))
    assert loaded.labels == ("甲", "乙")
    assert loaded.vocabulary.tokens == _VOCABULARY.tokens
    shapes = [[tuple(v.shape) for v in model.trainable_variables] for model in (tagger, again)]
    assert shapes[0] == shapes[1]


def test_a_short_record_is_the_same_alone_and_beside_a_long_one():
    config = _config()
    text_tagger = TextTagger(_build(config), _VOCABULARY, config)
    short, long = "患者因右肺", "患者因右肺上叶腺癌入院。" * 7
    alone = text_tagger.tags(tf.constant([short]))
    both = text_tagger.tags(tf.constant([long, short, ""]))
    assert both["length"].numpy().tolist() == [len(long), len(short), 0]
    np.testing.assert_array_equal(both["tags"][1, : len(short)], alone["tags"][0])
    assert (both["tags"].numpy()[1, len(short) :] == b"").all()
