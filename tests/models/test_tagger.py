"""The tagger's parts by name, and texts of unlike length; what every system must do is in tests/conformance."""

import os
import threading

import numpy as np
import pytest
import tensorflow as tf
from tiny_bert import set_tiny_bert

from emr_ner_tf.config import base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger, check_model
from emr_ner_tf.models.context_layers import ContextParts, build_context
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.resources import build_resources
from emr_ner_tf.text.vocabulary import Vocabulary

_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"患者因右肺上叶腺癌入院。"))


def _config():
    config = base_config()
    set_tiny_bert(config, positions=34)
    config.text.window = 16
    config.text.overlap = 4
    config.text.slack = 4
    return config


def _build(config):
    tf.keras.utils.set_random_seed(5)
    return build_tagger(ModelDefinition(config, _VOCABULARY, ("甲", "乙")))[0]


def test_a_window_that_the_encoder_cannot_hold():
    config = _config()
    config.text.window = 33
    with pytest.raises(UserError, match=r"config.text.window must be at most 32.* got 33"):
        _build(config)


def test_no_encoder_named():
    with pytest.raises(UserError, match=r"config.encoder must name"):
        build_resources(base_config(), [])


@pytest.mark.parametrize("key", ["context", "attention"])
def test_unknown_parts_list_the_choices(key):
    config = _config()
    config.model[key] = "transformer"
    with pytest.raises(UserError, match=rf"config.model.{key} must be one of none, .*'transformer'"):
        _build(config)
    with pytest.raises(UserError, match=rf"config.model.{key} must be one of none, .*'transformer'"):
        check_model(config)


@pytest.mark.parametrize("context", ["bigru", "bilstm", "lattice_lstm", "cnn", "idcnn"])
def test_the_checks_before_a_run_agree_with_the_layers(context):
    config = _config()
    config.model.context = context
    width = 8 if context in ("cnn", "idcnn") else 16
    parts = ContextParts(config.model, 4, _VOCABULARY, ("患者", "入院"))
    inputs, length = tf.zeros([1, 3, 6]), tf.constant([3])
    assert build_context(parts)(inputs, length, tf.constant([[5, 6, 7]]), False).shape[-1] == width
    config.model.heads = width
    check_model(config)
    config.model.heads = 2 * width
    with pytest.raises(UserError, match=rf"config.model.context={context}, {width} with .*, got {2 * width}"):
        check_model(config)
    config.model.heads, config.text.window = 1, 33
    with pytest.raises(UserError, match=r"config.text.window must be at most 32.* got 33"):
        check_model(config)


def test_a_short_record_is_the_same_alone_and_beside_a_long_one():
    config = _config()
    ner_pipeline = NerPipeline(_build(config), _VOCABULARY, config.text)
    short, long = "患者因右肺", "患者因右肺上叶腺癌入院。" * 7
    alone = ner_pipeline.tags(tf.constant([short]))
    both = ner_pipeline.tags(tf.constant([long, short, ""]))
    assert both["length"].numpy().tolist() == [len(long), len(short), 0]
    np.testing.assert_array_equal(both["tags"][1, : len(short)], alone["tags"][0])
    assert (both["tags"].numpy()[1, len(short) :] == b"").all()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_two_micro_batches_are_computed_at_the_same_time(monkeypatch):
    config = _config()
    config.text.token_budget = 16
    tagger = _build(config)
    ner_pipeline = NerPipeline(tagger, _VOCABULARY, config.text)
    # Six windows, each a micro-batch.
    text = tf.constant(["患者因右肺上叶腺癌入院。" * 4])
    expected = ner_pipeline.tags(text)["tags"].numpy()
    windows = threading.Barrier(2)

    def meet(token_ids):
        # An error is raised if no second window arrives within this time.
        windows.wait(timeout=60)
        return token_ids

    encode = tagger.call

    def encode_together(token_ids, *arguments, **options):
        # Stateless, because TensorFlow runs stateful operations one after the other.
        met = tf.numpy_function(meet, [token_ids], tf.int32, stateful=False)
        return encode(tf.ensure_shape(met, token_ids.shape), *arguments, **options)

    monkeypatch.setattr(tagger, "call", encode_together)
    together = NerPipeline(tagger, _VOCABULARY, config.text)
    np.testing.assert_array_equal(tf.function(together.tags)(text)["tags"], expected)
