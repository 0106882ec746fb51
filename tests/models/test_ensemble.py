"""An ensemble: the mean of its members' potentials, and which models may be its members."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.config import base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.ensemble import Ensemble, check_members
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.vocabulary import Vocabulary

_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"患者因右肺上叶腺癌入院。"))
_TEXTS = tf.constant(["患者因右肺上叶腺癌入院。", "", "右肺"])


@pytest.fixture(scope="module")
def definition():
    config = base_config()
    config.model.encoder = "char"
    config.model.context = config.model.attention = "none"
    config.char.size = config.model.units = 8
    config.text.window, config.text.overlap, config.text.slack = 8, 2, 2
    return ModelDefinition(config, _VOCABULARY, ("甲", "乙"))


@pytest.fixture(scope="module")
def members(definition):
    taggers = []
    for seed in range(3):
        tf.keras.utils.set_random_seed(seed)
        tagger = build_tagger(definition)[0]
        for variable in tagger.variables:
            variable.assign(tf.random.stateless_normal(variable.shape, [seed, 7]))
        taggers.append(tagger)
    return taggers


def _marginals(tagger, definition):
    pipeline = NerPipeline(tagger, definition.vocabulary, definition.config.text)
    tokens = tf.constant([[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]])
    return pipeline.marginals(tokens, tf.constant([12]))["marginals"].numpy()


def test_potentials_are_averaged(members):
    ensemble = Ensemble(members)
    tokens, length = tf.constant([[5, 6, 7, 8]]), tf.constant([4])
    expected = np.mean([member(tokens, length).numpy() for member in members], axis=0)
    np.testing.assert_allclose(ensemble(tokens, length), expected, rtol=1e-5, atol=1e-6)
    for name in ("chain_kernel", "left_boundary", "right_boundary"):
        mean = np.mean([getattr(member.crf, name).numpy() for member in members], axis=0)
        np.testing.assert_allclose(getattr(ensemble.crf, name), mean, rtol=1e-6)


def test_members_that_are_alike_are_one_model(members, definition):
    alone = _marginals(members[0], definition)
    np.testing.assert_allclose(_marginals(Ensemble([members[0]] * 2), definition), alone, atol=1e-5)
    assert np.abs(_marginals(Ensemble(members), definition) - alone).max() > 0.01


def test_mentions_below_the_threshold_are_left_out(members, definition):
    vocabulary, settings = definition.vocabulary, definition.config.text
    ensemble = Ensemble(members)
    whole = NerPipeline(ensemble, vocabulary, settings).entities(_TEXTS)
    scores = whole["score"].numpy()[whole["start"].numpy() >= 0]
    assert len(scores) > 2
    least = float(np.median(scores))
    kept = NerPipeline(ensemble, vocabulary, settings, min_probability=least).entities(_TEXTS)
    for row in range(3):
        expected = [
            tuple(whole[name].numpy()[row, i] for name in ("start", "end", "label", "mention", "score"))
            for i in range(whole["num_entities"][row])
            if whole["score"].numpy()[row, i] >= least
        ]
        found = [
            tuple(kept[name].numpy()[row, i] for name in ("start", "end", "label", "mention", "score"))
            for i in range(kept["num_entities"][row])
        ]
        assert found == expected


def test_models_that_do_not_fit_are_refused(definition):
    check_members([definition, definition], ["a", "b"])
    other = dataclasses.replace(definition, labels=("乙", "甲"))
    with pytest.raises(
        UserError, match=r"the same labels in the same order, got 甲, 乙 in a and 乙, 甲 in b"
    ):
        check_members([definition, other], ["a", "b"])
    config = definition.config.copy_and_resolve_references()
    config.text.window = 9
    with pytest.raises(UserError, match=r"the same config.text.window, got 8 in a and 9 in b"):
        check_members([definition, dataclasses.replace(definition, config=config)], ["a", "b"])
    shorter = Vocabulary(_VOCABULARY.tokens[:-1])
    with pytest.raises(UserError, match=r"the same vocabulary \(vocab.txt\).*a and b differ"):
        check_members([definition, dataclasses.replace(definition, vocabulary=shorter)], ["a", "b"])
