"""Vocabularies as they are published: padded, with added tokens, with lines that repeat; against transformers."""

import json
import logging

import numpy as np
import pytest

from emr_ner_tf.encoders.hub import encoder_files
from emr_ner_tf.encoders.loading import BACKENDS, load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError

BOTH = pytest.mark.parametrize("backend", BACKENDS)
TABLE = "embeddings.word_embeddings.weight"


def _ids(vocabulary, characters):
    table = vocabulary.code_point_table()
    return [int(table[ord(character)]) for character in characters]


def _transformers_ids(checkpoint, characters):
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(str(checkpoint))
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]"]) == [0, 3, 4, 5]
    ids = [tokenizer.encode(character, add_special_tokens=False) for character in characters]
    assert {len(of_one) for of_one in ids} == {1}
    return [of_one[0] for of_one in ids]


@BOTH
def test_padded_rows_are_kept_and_named(make_checkpoint, backend, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    checkpoint = make_checkpoint(vocab_size=48)
    vocabulary = load_vocabulary(str(checkpoint))
    assert len(vocabulary.tokens) == 48
    assert vocabulary.tokens[36:] == tuple(f"[unused{row}]" for row in range(36, 48))
    encoder = load_encoder(str(checkpoint), backend=backend)
    np.testing.assert_array_equal(encoder.hf_weights()[TABLE], checkpoint.weights[TABLE])
    assert encoder.hf_config["vocab_size"] == 48
    assert "vocab.txt: 36 tokens for a `vocab_size` of 48; the other 12 rows count as [unused]" in caplog.text
    held = [token for token in vocabulary.tokens if len(token) == 1]
    assert _ids(vocabulary, held) == _transformers_ids(checkpoint, held)


def test_new_characters_take_padded_rows(make_checkpoint):
    checkpoint = make_checkpoint(vocab_size=38)
    vocabulary = load_vocabulary(str(checkpoint)).extended(["甲甲甲甲甲乙乙乙乙丙丙丙癸癸壬"])
    assert [row for _, row in vocabulary.added][:4] == [1, 2, 36, 37]
    table = load_encoder(str(checkpoint), vocabulary=vocabulary).hf_weights()[TABLE]
    np.testing.assert_array_equal(table[:38], checkpoint.weights[TABLE])
    np.testing.assert_array_equal(table[38:], np.repeat(table[[3]], len(table) - 38, axis=0))


def test_a_vocabulary_that_lacks_more_than_padding_is_cut_off(make_checkpoint):
    checkpoint = make_checkpoint(vocab_size=36 + 1025)
    with pytest.raises(UserError, match=r"vocab\.txt: .* got 36 tokens; the file may be cut off"):
        load_encoder(str(checkpoint))


@BOTH
def test_added_tokens_have_their_rows(make_checkpoint, backend, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    checkpoint = make_checkpoint(vocab_size=40)
    path = checkpoint.folder / "added_tokens.json"
    path.write_text(json.dumps({"[NAME]": 37, "①": 36, "℃": 38}), encoding="utf-8")
    vocabulary = load_vocabulary(str(checkpoint))
    assert vocabulary.tokens[36:] == ("①", "[NAME]", "℃", "[unused39]")
    asked = ["①", "℃", vocabulary.tokens[20]]
    assert _ids(vocabulary, asked) == _transformers_ids(checkpoint, asked) == [36, 38, 20]
    table = load_encoder(str(checkpoint), backend=backend).hf_weights()[TABLE]
    np.testing.assert_array_equal(table, checkpoint.weights[TABLE])
    assert "added_tokens.json: 3 added tokens" in caplog.text
    assert path in encoder_files(str(checkpoint))


def test_an_added_token_counts_before_a_line_of_the_vocabulary(make_checkpoint):
    checkpoint = make_checkpoint()
    character = load_vocabulary(str(checkpoint)).tokens[20]
    path = checkpoint.folder / "added_tokens.json"
    path.write_text(json.dumps({character: 2, "[MASK]": 6}), encoding="utf-8")
    vocabulary = load_vocabulary(str(checkpoint))
    assert _ids(vocabulary, [character]) == _transformers_ids(checkpoint, [character]) == [2]
    assert vocabulary.mask_id == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 36', "not JSON"),
        ("[]", "must be a JSON object, got list"),
        ('{"a": "36"}', "must be a JSON object from tokens to rows"),
        ('{"a": true}', "must be a JSON object from tokens to rows"),
        ('{"a": -1}', "must be a JSON object from tokens to rows"),
        ('{"a": 37}', "rows must follow one another behind the 36 tokens .* got row 37"),
        ('{"a": 20}', "an added token must have a row of its own, got row 20"),
    ],
)
def test_malformed_added_tokens_are_named(make_checkpoint, text, says):
    checkpoint = make_checkpoint(vocab_size=38)
    (checkpoint.folder / "added_tokens.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"added_tokens\.json: {says}"):
        load_encoder(str(checkpoint))


@BOTH
def test_the_last_of_lines_that_repeat_counts(make_checkpoint, backend, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    checkpoint = make_checkpoint()
    path = checkpoint.folder / "vocab.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[30] = lines[10]
    lines[8] = lines[12]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    vocabulary = load_vocabulary(str(checkpoint))
    held = sorted({token for token in vocabulary.tokens if len(token) == 1})
    assert _ids(vocabulary, held) == _transformers_ids(checkpoint, held)
    assert _ids(vocabulary, [lines[10], lines[12]]) == [30, 12]
    table = load_encoder(str(checkpoint), backend=backend).hf_weights()[TABLE]
    np.testing.assert_array_equal(table, checkpoint.weights[TABLE])
    assert "vocab.txt: 2 lines repeat a token; its last line counts" in caplog.text
    # As a model directory and a bundle hold it.
    vocabulary.save(path)
    assert load_vocabulary(str(checkpoint)) == vocabulary


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.txt"])
@pytest.mark.parametrize("part", [0, 0.02, 0.5, 0.97])
def test_a_file_that_is_cut_off_is_named(make_checkpoint, file, part):
    checkpoint = make_checkpoint()
    path = checkpoint.folder / file
    if file == "vocab.txt":
        lines = [f"##{i}" for i in range(50_000)]
        path.write_text(path.read_text(encoding="utf-8") + "\n".join(lines), encoding="utf-8")
        config = checkpoint.config | {"vocab_size": 36 + len(lines)}
        (checkpoint.folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UserError) as raised:
        load_encoder(str(checkpoint))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("part", [0, 0.02, 0.5, 0.97])
def test_a_file_of_keras_that_is_cut_off_is_named(make_checkpoint, part):
    import h5py

    checkpoint = make_checkpoint()
    (checkpoint.folder / "model.safetensors").unlink()
    path = checkpoint.folder / "tf_model.h5"
    with h5py.File(path, "w") as file:
        file["bert/tf_bert_model/bert/encoder/layer_._0/intermediate/dense/kernel:0"] = np.ones([64, 64])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UserError) as raised:
        load_encoder(str(checkpoint))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
