"""The resources of a row without a language model: its vocabulary, and vectors that are read or trained."""

import re

import numpy as np
import pytest

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.resources import build_resources, unlabelled_passages
from emr_ner_tf.training.tagging_task import read_tagging_data

_CHARACTERS = "右肾结石左囊肿无殊"
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


def test_seeds_that_validate_on_other_records_have_one_vocabulary(tmp_path):
    path = tmp_path / "records.jsonl"
    documents = [
        Document(str(i), f"患者{character}。", (Entity(0, 2, "药物"),))
        for i, character in enumerate(_CHARACTERS)
    ]
    write_documents(path, documents)
    config = _config()
    config.data.train, config.data.validation_fraction = str(path), 0.5
    vocabularies, validated = set(), set()
    for seed in range(4):
        config.train.seed = seed
        data = read_tagging_data(config, tmp_path, None)
        vocabularies.add(data.resources.vocabulary.tokens)
        validated.add(tuple(document.id for document in data.validation))
    assert len(validated) > 1
    assert len(vocabularies) == 1
    assert set(_CHARACTERS) <= set(*vocabularies)


def test_vectors_of_a_file(tmp_path):
    config = _config()
    config.char.vectors = str(tmp_path / "char.vec")
    # 肝 is in no training record and still gets its row; a word is not a character.
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


def test_unlabelled_text_of_any_format(tmp_path):
    """Each file is of its own format, which is not that of the training records."""
    config = _config()
    data, names = config.data, ("text", "csv", "xlsx", "label_studio", "ccks2019", "brat")
    for name in names:
        write_documents(tmp_path / name, [Document("1", f"肝囊肿 {name}。")], name)
    data.unlabelled = ",".join(str(tmp_path / name) for name in names)
    data.format = "bio"
    expected = [f"肝囊肿 {name}。" for name in names]
    assert list(unlabelled_passages(data)) == expected
    # The lexicon has the words of all of them.
    config.model.context, config.lexicon.min_count = "lattice_lstm", len(names)
    assert "囊肿" in "".join(build_resources(config, _DOCUMENTS[:1]).words)


def test_format_and_options_of_unlabelled_text(tmp_path, caplog):
    path = tmp_path / "notes.csv"
    path.write_bytes("编号,住院经过\n1,肝囊肿。\n2,脾大。\n".encode("gb18030"))
    config = _config()
    data = config.data
    data.unlabelled, data.unlabelled_format = str(path), "csv"
    data.options = "encoding=gb18030,text_column=住院经过"
    assert list(unlabelled_passages(data)) == ["肝囊肿。", "脾大。"]
    data.unlabelled_options, data.options = data.options, ""
    assert list(unlabelled_passages(data)) == ["肝囊肿。", "脾大。"]
    # The options of the records are those of another format.
    path.with_suffix(".txt").write_text("肝囊肿。\n", encoding="utf-8")
    for format in ("auto", "text"):
        data.unlabelled, data.unlabelled_format = str(path.with_suffix(".txt")), format
        data.unlabelled_options, data.options = "", "text_column=住院经过"
        assert list(unlabelled_passages(data)) == ["肝囊肿。"]
        assert "notes.txt: read as text, which has no setting text_column" in caplog.text
        caplog.clear()
    data.unlabelled, data.unlabelled_format = str(path), "csv"
    data.unlabelled_options, data.options = "encoding=gb18030,text_column=住院经过", ""
    config.char.word2vec = True
    assert {"肾", "肝", "脾"} <= set(build_resources(config, _DOCUMENTS).char_vectors.tokens)
    data.unlabelled_options = "encoding=utf-8"
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}:1: .*UTF-8"):
        list(unlabelled_passages(data))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "患者入院。\n".encode("gb18030"),
            r"; read it with --config\.data\.unlabelled_options=encoding=gb18030, or ",
        ),
        (
            '{"data": {"a": "肝", "b": "脾"}, "annotations": []}\n'.encode(),
            r"; name it with --config\.data\.unlabelled_options=text_column=\.\.\.$",
        ),
    ],
)
def test_remedies_name_the_keys_of_unlabelled_text(tmp_path, content, said):
    data = _config().data
    path = tmp_path / "notes"
    path.write_bytes(content)
    data.unlabelled = str(path)
    with pytest.raises(UserError, match=said) as raised:
        list(unlabelled_passages(data))
    assert " --encoding" not in str(raised.value)


def test_a_file_without_passages(tmp_path):
    data = _config().data
    data.unlabelled = str(tmp_path / "blank.txt")
    (tmp_path / "blank.txt").write_text(" \n\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"blank\.txt: must hold passages"):
        list(unlabelled_passages(data))
