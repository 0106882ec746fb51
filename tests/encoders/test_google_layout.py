"""Google's layout of BERT: the names of its variables written out here, and transformers' model of the same weights."""

import json
import logging
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.encoders.hub import encoder_files, find_weights
from emr_ner_tf.encoders.loading import BACKENDS, load_encoder, load_vocabulary
from emr_ner_tf.encoders.weight_readers import read_weights
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.head_weights import read_heads
from emr_ner_tf.pretraining.model import PretrainingModel

BOTH = pytest.mark.parametrize("backend", BACKENDS)
TOKENS = [
    "[PAD]",
    "[unused1]",
    "[unused2]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *map(chr, range(0x4E00, 0x4E1D)),
]
WIDTH, INNER, LAYERS, POSITIONS = 32, 48, 2, 40
# Google's files have neither `model_type` nor `layer_norm_eps`.
CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": 4,
    "num_hidden_layers": LAYERS,
    "pooler_fc_size": WIDTH,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": len(TOKENS),
}
DENSE = {
    "attention/self/query": (WIDTH, WIDTH),
    "attention/self/key": (WIDTH, WIDTH),
    "attention/self/value": (WIDTH, WIDTH),
    "attention/output/dense": (WIDTH, WIDTH),
    "intermediate/dense": (WIDTH, INNER),
    "output/dense": (INNER, WIDTH),
}


def _encoder_shapes():
    """As `modeling.py` of google-research/bert makes them; a kernel is [in, out]."""
    yield "bert/embeddings/word_embeddings", (len(TOKENS), WIDTH)
    yield "bert/embeddings/position_embeddings", (POSITIONS, WIDTH)
    yield "bert/embeddings/token_type_embeddings", (2, WIDTH)
    norms = ["bert/embeddings"]
    for layer in range(LAYERS):
        scope = f"bert/encoder/layer_{layer}"
        for name, shape in DENSE.items():
            yield f"{scope}/{name}/kernel", shape
            yield f"{scope}/{name}/bias", shape[1:]
        norms += [f"{scope}/attention/output", f"{scope}/output"]
    for scope in norms:
        yield f"{scope}/LayerNorm/beta", (WIDTH,)
        yield f"{scope}/LayerNorm/gamma", (WIDTH,)


ENCODER = dict(_encoder_shapes())
HEADS = {
    "bert/pooler/dense/kernel": (WIDTH, WIDTH),
    "bert/pooler/dense/bias": (WIDTH,),
    "cls/predictions/output_bias": (len(TOKENS),),
    "cls/predictions/transform/dense/kernel": (WIDTH, WIDTH),
    "cls/predictions/transform/dense/bias": (WIDTH,),
    "cls/predictions/transform/LayerNorm/beta": (WIDTH,),
    "cls/predictions/transform/LayerNorm/gamma": (WIDTH,),
    "cls/seq_relationship/output_weights": (2, WIDTH),
    "cls/seq_relationship/output_bias": (2,),
}


def draw(shapes):
    rng = np.random.default_rng(8)
    return {
        name: rng.normal(name.endswith("gamma"), 0.3, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def save_variables(prefix: pathlib.Path, values) -> None:
    """Writes a checkpoint as TensorFlow 1 does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in values.items():
            tf.compat.v1.get_variable(name, initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(prefix))
    (prefix.parent / "checkpoint").unlink()


@pytest.fixture(scope="module")
def values():
    """Every variable, with the optimizer's moments and the count of updates."""
    weights = draw(ENCODER | HEADS)
    moments = {
        f"{name}/{moment}": np.ones_like(weights[name]) for name in ENCODER for moment in ("adam_m", "adam_v")
    }
    return weights | moments | {"global_step": np.int64(100_000)}


@pytest.fixture(scope="module")
def published(values, tmp_path_factory):
    """A directory as Google's archives hold it; not to be written to."""
    folder = tmp_path_factory.mktemp("google") / "chinese_L-2_H-32_A-4"
    folder.mkdir()
    (folder / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    save_variables(folder / "bert_model.ckpt", values)
    return folder


@pytest.fixture
def copied(published, tmp_path):
    """A copy of it."""
    return shutil.copytree(published, tmp_path / "copied")


def _transformers_name(variable):
    """Google's name of a variable of `TFBertModel`, which has the same scopes but for these."""
    name = variable.name.removesuffix(":0").partition("/")[2].replace("layer_._", "layer_")
    for old, new in (
        ("word_embeddings/weight", "word_embeddings"),
        ("token_type_embeddings/embeddings", "token_type_embeddings"),
        ("position_embeddings/embeddings", "position_embeddings"),
    ):
        name = name.replace(old, new)
    return name


@BOTH
def test_outputs_are_those_of_transformers_with_the_same_weights(published, values, batch, backend):
    from transformers import BertConfig, TFBertModel

    config = BertConfig.from_json_file(str(published / "bert_config.json"))
    model = TFBertModel(config)
    model.build_in_name_scope()
    names = [_transformers_name(variable) for variable in model.variables]
    assert set(names) == set(ENCODER) | {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}
    for name, variable in zip(names, model.variables, strict=True):
        # No axis is turned: both are TensorFlow's.
        variable.assign(values[name])
    token_ids, mask = batch
    expected = model(
        {"input_ids": token_ids, "attention_mask": mask.astype(np.int32)}, training=False
    ).last_hidden_state
    encoder = load_encoder(str(published), backend=backend)
    found = encoder(tf.constant(token_ids), tf.constant(mask), training=False)
    np.testing.assert_allclose(found.numpy()[mask], expected.numpy()[mask], atol=2e-5)
    assert encoder.hf_config["model_type"] == "bert"


def test_every_variable_has_its_place(published, values):
    weights = read_weights(find_weights(str(published)), prefix="bert")
    assert len(weights) == len(ENCODER) + len(HEADS)
    kernel = "cls/predictions/transform/dense/kernel"
    np.testing.assert_array_equal(weights["cls.predictions.transform.dense.weight"], values[kernel].T)
    np.testing.assert_array_equal(
        weights["cls.seq_relationship.weight"], values["cls/seq_relationship/output_weights"]
    )
    assert {"cls.predictions.bias", "cls.seq_relationship.bias", "pooler.dense.weight"} <= set(weights)
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}


def test_pre_training_finds_its_heads(published, values):
    model = PretrainingModel(load_encoder(str(published)), 0)
    assert read_heads(model, str(published)) == []
    found = {
        mapping.name: mapping.value()
        for weight_mappings in model.head_mappings().values()
        for mapping in weight_mappings
    }
    for name, google in {
        "cls.predictions.bias": values["cls/predictions/output_bias"],
        "cls.predictions.transform.dense.weight": values["cls/predictions/transform/dense/kernel"].T,
        "cls.predictions.transform.LayerNorm.weight": values["cls/predictions/transform/LayerNorm/gamma"],
        "pooler.dense.weight": values["bert/pooler/dense/kernel"].T,
        "cls.seq_relationship.weight": values["cls/seq_relationship/output_weights"],
    }.items():
        np.testing.assert_array_equal(found[name], google)


def test_what_is_left_out_is_named(published, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    load_encoder(str(published))
    total = 3 * len(ENCODER) + len(HEADS) + 1
    assert (
        f"{total} variables: {len(ENCODER)} of the encoder, which are read; 2 of the pooler, 7 of heads (cls), "
        f"{2 * len(ENCODER) + 1} of the optimizer (moments and global_step)"
    ) in caplog.text


@BOTH
def test_a_missing_and_an_unknown_variable_are_named(copied, values, backend):
    kept = {name: value for name, value in values.items() if "layer_1/attention/self/key/kernel" not in name}
    save_variables(
        copied / "bert_model.ckpt", kept | {"electra/embeddings_project/bias": np.ones(3, np.float32)}
    )
    with pytest.raises(UserError) as raised:
        load_encoder(str(copied), backend=backend)
    assert str(raised.value).startswith(f"{copied}/bert_model.ckpt.index: ")
    assert "`encoder.layer.1.attention.self.key.weight` missing" in str(raised.value)
    assert "`electra/embeddings_project/bias` not expected" in str(raised.value)


@pytest.mark.parametrize("head", ["output_weights", "cls/squad/output_weights"])
def test_heads_of_tasks_are_left_out(copied, values, head):
    weights = {name: values[name] for name in ENCODER}
    bias = head.replace("weights", "bias")
    save_variables(
        copied / "bert_model.ckpt",
        weights | {head: np.ones([2, WIDTH], np.float32), bias: np.ones([2], np.float32)},
    )
    assert load_encoder(str(copied)).hidden_size == WIDTH


def test_the_prefix_of_a_checkpoint(published, copied):
    expected = load_encoder(str(published)).hf_weights()
    for path in copied.glob("bert_model.ckpt.*"):
        path.rename(path.with_name(path.name.replace("bert_model", "model").replace("ckpt", "ckpt-100000")))
    for encoder in (str(copied), str(copied / "model.ckpt-100000")):
        found = load_encoder(encoder).hf_weights()
        assert all((found[name] == value).all() for name, value in expected.items())
        assert load_vocabulary(encoder).tokens == tuple(TOKENS)
        assert [path.name for path in encoder_files(encoder)[:2]] == ["bert_config.json", "vocab.txt"]
    for path in list(copied.glob("model.ckpt-100000.*")):
        shutil.copy(path, path.with_name(path.name.replace("100000", "200000")))
    with pytest.raises(UserError, match=r"2 TensorFlow checkpoints .*; name one: .*model\.ckpt-200000"):
        load_encoder(str(copied))
    assert load_encoder(str(copied / "model.ckpt-200000")).hidden_size == WIDTH


@pytest.mark.parametrize("suffix", [".index", ".meta", ".data-00000-of-00001"])
def test_a_file_given_as_encoder_is_explained(published, suffix):
    with pytest.raises(UserError, match=r"got a file; name the directory") as raised:
        load_encoder(f"{published}/bert_model.ckpt{suffix}")
    assert "prefix of a TensorFlow checkpoint" in str(raised.value)


@pytest.mark.parametrize("file", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"])
@pytest.mark.parametrize("part", [0, 0.3, 0.99])
def test_a_file_that_is_cut_off_is_named(copied, file, part):
    path = copied / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(UserError) as raised:
        load_encoder(str(copied))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_missing_data_is_named(copied):
    (copied / "bert_model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(UserError, match=r"bert_model\.ckpt\.data-00000-of-00001: no such file"):
        load_encoder(str(copied))


def test_damaged_data_is_named(copied):
    path = copied / "bert_model.ckpt.data-00000-of-00001"
    content = path.read_bytes()
    path.write_bytes(bytes(64) + content[64:])
    with pytest.raises(UserError, match=r"data-00000-of-00001: cut off or damaged at `bert/"):
        load_encoder(str(copied))


def test_a_checkpoint_of_objects_is_explained(copied):
    for path in copied.glob("bert_model.ckpt.*"):
        path.unlink()
    tf.train.Checkpoint(weight=tf.Variable(1.0)).write(str(copied / "bert_model.ckpt"))
    with pytest.raises(UserError, match=r"bert_model\.ckpt\.index: .*TensorFlow 2's objects"):
        load_encoder(str(copied))


def test_files_of_the_hugging_face_layout_come_first(make_checkpoint, published):
    checkpoint = make_checkpoint()
    for path in published.glob("bert_*"):
        shutil.copy(path, checkpoint.folder)
    found = load_encoder(str(checkpoint)).hf_weights()
    assert all((found[name] == value).all() for name, value in checkpoint.weights.items())


def test_googles_configuration_under_the_other_name_is_explained(copied):
    (copied / "bert_config.json").rename(copied / "config.json")
    with pytest.raises(
        UserError, match=r"config\.json: must hold `model_type`.*its name is bert_config\.json"
    ):
        load_encoder(str(copied))
