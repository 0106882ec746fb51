"""What a run of a row without a language model starts from: its vocabulary, and vectors read or trained."""

import numpy as np
import pytest

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.resources import build_resources

_DOCUMENTS = [Document("1", "右肾结石。"), Document("2", "左肾囊肿，右肾无殊。")]


def _config():
    config = base_config()
    config.model.encoder = "char"
    config.model.context = "cnn"
    config.model.attention = "none"
    config.model.units = 4
    config.char.size = 3
    return config


def _table(config, resources):
    definition = ModelDefinition(config, resources.vocabulary, ("甲",), words=resources.words)
    return build_tagger(definition, resources)[0].encoder.embedding.embeddings.numpy()


def test_a_row_for_each_character_of_the_training_text():
    resources = build_resources(_config(), _DOCUMENTS)
    assert sorted(resources.vocabulary.tokens[5:]) == sorted(set("右肾结石。左囊肿，无殊"))
    assert resources.char_vectors is None


def test_vectors_of_a_file(tmp_path):
    config = _config()
    config.char.vectors = str(tmp_path / "char.vec")
    # 肝 stands in no training record and still gets its row; a word is no character.
    (tmp_path / "char.vec").write_text("肾 1 2 3\n肝 4 5 6\n右肾 7 8 9\n", encoding="utf-8")
    resources = build_resources(config, _DOCUMENTS)
    rows = {token: row for row, token in enumerate(resources.vocabulary.tokens)}
    table = _table(config, resources)
    np.testing.assert_array_equal(table[rows["肾"]], [1, 2, 3])
    np.testing.assert_array_equal(table[rows["肝"]], [4, 5, 6])
    assert "右肾" not in rows


def test_vectors_of_another_width(tmp_path):
    config = _config()
    config.char.vectors = str(tmp_path / "char.vec")
    (tmp_path / "char.vec").write_text("肾 1 2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"config.char.size must be the width .*char\.vec, 2, got 3"):
        build_resources(config, _DOCUMENTS)


def test_vectors_of_nothing_that_is_there(tmp_path):
    config = _config()
    config.char.vectors = str(tmp_path / "char.vec")
    (tmp_path / "char.vec").write_text("右肾 1 2 3\n肝 4 5 6\n", encoding="utf-8")
    with pytest.raises(
        UserError,
        match=r"char\.vec: must contain vectors of the training records' characters, got 2 tokens and none",
    ):
        build_resources(config, _DOCUMENTS)


def test_word2vec_on_training_and_unlabelled_text(tmp_path):
    config = _config()
    config.char.word2vec = True
    config.data.unlabelled = str(tmp_path / "more.txt")
    (tmp_path / "more.txt").write_text("肝囊肿。\n脾大。\n", encoding="utf-8")
    resources = build_resources(config, _DOCUMENTS)
    vectors = dict(zip(resources.char_vectors.tokens, resources.char_vectors.values, strict=True))
    assert {"肾", "肝", "脾"} <= vectors.keys()
    rows = {token: row for row, token in enumerate(resources.vocabulary.tokens)}
    table = _table(config, resources)
    for character, vector in vectors.items():
        np.testing.assert_array_equal(table[rows[character]], vector)
