"""Which rate each variable of a tagger has."""

import pytest

from emr_ner_tf.config import RANDOM_ENCODER, base_config, check_config
from emr_ner_tf.encoders.loading import build_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.learning_rates import encoder_rate, learning_rates

_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"患者"))


@pytest.fixture(scope="module")
def tagger():
    config = base_config()
    config.encoder = RANDOM_ENCODER
    config.random_encoder.hidden_size = 16
    config.random_encoder.num_hidden_layers = 3
    config.random_encoder.num_attention_heads = 2
    config.random_encoder.intermediate_size = 8
    config.model.units = config.model.heads = 2
    config.text.window = 32
    config.text.overlap = 4
    return build_tagger(ModelDefinition(config, _VOCABULARY, ("甲",)))[0]


def _rates(tagger, **changes):
    config = base_config()
    config.optimizer.update({"encoder_rate": 1e-2, "head_rate": 1e-1} | changes)
    check_config(config)
    groups = learning_rates(tagger, config.optimizer)
    rates = {variable.ref(): rate for variables, rate in groups for variable in variables}
    assert sum(len(variables) for variables, _ in groups) == len(rates) == len(tagger.trainable_variables)
    return {variable.name: rates[variable.ref()] for variable in tagger.trainable_variables}


def test_encoder_head_and_crf(tagger):
    rates = _rates(tagger, crf_rate=0.5)
    transitions = {v.name for v in tagger.crf.trainable_variables}
    inside = {v.name for v in tagger.encoder.trainable_variables}
    assert len(transitions) == 3
    for name, rate in rates.items():
        assert rate == (0.5 if name in transitions else 1e-2 if name in inside else 1e-1), name
    assert {_rates(tagger)[name] for name in transitions} == {1e-1}


def test_each_layer_below_learns_slower(tagger):
    rates = _rates(tagger, layer_decay=0.5)
    by_depth = {
        depth: {rates[m.variable.name] for m in tagger.encoder.weight_mappings() if part in m.name}
        for depth, part in enumerate(("embeddings.", "layer.0.", "layer.1.", "layer.2."))
    }
    assert by_depth == {0: {1.25e-3}, 1: {2.5e-3}, 2: {5e-3}, 3: {1e-2}}


@pytest.mark.parametrize(("layers", "width", "rate"), [(4, 512, 2e-4), (12, 768, 4.4e-5), (24, 1024, 1.7e-5)])
def test_the_rate_by_size(layers, width, rate):
    class Sized:
        hidden_size, num_layers = width, layers

    assert encoder_rate(Sized, -1.0) == pytest.approx(rate, rel=0.02)
    assert encoder_rate(Sized, 3e-5) == 3e-5


def test_the_rate_by_size_of_other_architectures():
    # Its configuration says `n_layers` and `dim`.
    sizes = {"vocab_size": 9, "dim": 8, "n_layers": 3, "n_heads": 2, "hidden_dim": 8}
    encoder = build_encoder({"model_type": "distilbert"} | sizes, backend="transformers")
    assert encoder_rate(encoder, -1.0) == pytest.approx(2e-4 * 4 * 512 / (3 * 8))
    sizes = {"vocab_size": 9, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 2}
    assert encoder_rate(build_encoder({"model_type": "elmo"} | sizes), -1.0) == 2e-4


def test_layers_without_variables_of_their_own(tagger, monkeypatch):
    sizes = {"vocab_size": 9, "hidden_size": 8, "embedding_size": 8, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 8, "num_hidden_layers": 3}
    albert = build_encoder({"model_type": "albert"} | sizes, backend="transformers")
    monkeypatch.setattr(tagger, "encoder", albert)
    with pytest.raises(UserError, match=r"config.optimizer.layer_decay must be 1 .* ALBERT, got 0.5"):
        _rates(tagger, layer_decay=0.5)


def test_a_row_without_a_pre_trained_encoder_ignores_layers(monkeypatch):
    config = base_config()
    config.model.encoder = "char"
    config.model.units = config.model.heads = 2
    characters = build_tagger(ModelDefinition(config, _VOCABULARY, ("甲",)))[0]
    assert _rates(characters, layer_decay=0.5) == _rates(characters)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("encoder_rate", -0.5, r"at least 0, or -1"),
        ("layer_decay", 0.0, "above 0"),
        ("layer_decay", 1.5, "at most 1"),
    ],
)
def test_values_that_are_refused(key, value, rule):
    config = base_config()
    config.optimizer[key] = value
    with pytest.raises(UserError, match=rf"config.optimizer.{key} must be .*{rule}.* got {value}"):
        check_config(config)
