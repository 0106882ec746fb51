"""Keys that have no effect: named with the reason where they are, and not where something reads them."""

import pytest

from emr_ner_tf.config import RANDOM_ENCODER, base_config, set_keys
from emr_ner_tf.models.registry import ZOO
from emr_ner_tf.models.unused_keys import report_unused_keys, unused_keys
from emr_ner_tf.recipes import read_recipe


def _config(settings):
    config = base_config()
    set_keys(config, settings)
    return config


@pytest.mark.parametrize(
    ("key", "value", "without", "with_effect"),
    [
        ("char.vectors", "v.txt", {"model.encoder": "bert"}, {"model.encoder": "char"}),
        ("char.word2vec", True, {"model.encoder": "bert"}, {"model.encoder": "elmo"}),
        ("char.size", 50, {"model.encoder": "bert"}, {"model.encoder": "elmo"}),
        ("elmo.trainable", True, {"model.encoder": "bert"}, {"model.encoder": "elmo"}),
        ("elmo.trainable", True, {"model.encoder": "char"}, {"model.encoder": "elmo"}),
        ("encoder", "DIR", {"model.encoder": "char"}, {"model.encoder": "bert"}),
        ("encoder_backend", "transformers", {"model.encoder": "elmo"}, {"model.encoder": "bert"}),
        ("random_encoder.hidden_size", 8, {"encoder": "DIR"}, {"encoder": RANDOM_ENCODER}),
        (
            "random_encoder.hidden_size",
            8,
            {"model.encoder": "char"},
            {"model.encoder": "elmo", "encoder": RANDOM_ENCODER},
        ),
        ("lexicon.file", "words.txt", {"model.context": "bigru"}, {"model.context": "lattice_lstm"}),
        ("lexicon.size", 8, {"model.context": "cnn"}, {"model.context": "lattice_lstm"}),
        (
            "lexicon.min_count",
            8,
            {"model.context": "lattice_lstm", "lexicon.file": "words.txt"},
            {"model.context": "lattice_lstm"},
        ),
        ("model.reset_after", False, {"model.context": "bilstm"}, {"model.context": "bigru"}),
        ("model.attention_gate", True, {"model.attention": "plain"}, {"model.attention": "multi_head"}),
        ("model.heads", 4, {"model.attention": "none"}, {"model.attention": "multi_head"}),
        ("text.extend_vocabulary", False, {"encoder": RANDOM_ENCODER}, {"encoder": "DIR"}),
        ("text.extend_vocabulary", False, {"model.encoder": "char"}, {"model.encoder": "elmo"}),
        ("optimizer.layer_decay", 0.5, {"model.encoder": "char"}, {"model.encoder": "bert"}),
        (
            "optimizer.layer_decay",
            0.5,
            {"model.encoder": "elmo"},
            {"model.encoder": "elmo", "elmo.trainable": True},
        ),
        ("data.unlabelled", "u.txt", {}, {"distillation.teacher": "bundles"}),
        ("data.unlabelled", "u.txt", {}, {"model.encoder": "char", "char.word2vec": True}),
        (
            "data.unlabelled",
            "u.txt",
            {"model.context": "lattice_lstm", "lexicon.file": "words.txt"},
            {"model.context": "lattice_lstm"},
        ),
        (
            "data.unlabelled_options",
            "encoding=gb18030",
            {"model.context": "lattice_lstm"},
            {"model.context": "lattice_lstm", "data.unlabelled": "u.txt"},
        ),
        (
            "distillation.ratio",
            1.0,
            {},
            {"distillation.teacher": "bundles", "data.unlabelled": "u.txt"},
        ),
    ],
)
def test_a_key_without_effect_is_named_and_one_with_an_effect_is_not(key, value, without, with_effect):
    assert key in unused_keys(_config({key: value} | without))
    assert key not in unused_keys(_config({key: value} | with_effect))
    # A neutral value is what nobody set.
    assert key not in unused_keys(_config(without))


@pytest.mark.parametrize("recipe", ["default", "quickstart", *(f"paper:{row}" for row in ZOO)])
def test_our_recipes_set_no_key_without_an_effect(recipe):
    assert unused_keys(read_recipe(recipe)) == {}


def test_the_warning_names_keys_and_reason(caplog):
    report_unused_keys(_config({"char.vectors": "v.txt", "char.size": 50, "encoder": "DIR"}))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "config.char.size, config.char.vectors: not used, because config.model.encoder is 'bert'; leave it out, "
        "or change that setting"
    )
