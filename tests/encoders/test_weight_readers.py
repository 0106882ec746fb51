"""Files of weights: formats, old names, parts; and every variable accounted for in both directions."""

import json

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors.tensorflow
import tensorflow as tf

from emr_ner_tf.encoders.loading import BACKENDS, load_encoder
from emr_ner_tf.encoders.weight_readers import read_weights
from emr_ner_tf.errors import UserError

BOTH = pytest.mark.parametrize("backend", BACKENDS)
QUERY = "encoder.layer.1.attention.self.query.weight"


def check_loads(checkpoint, backend, **tolerance):
    weights = load_encoder(str(checkpoint), backend=backend).hf_weights()
    assert set(weights) == set(checkpoint.weights)
    for name, value in checkpoint.weights.items():
        np.testing.assert_allclose(weights[name], value, err_msg=name, **tolerance)


@BOTH
def test_prefix_and_old_names(make_checkpoint, backend):
    checkpoint = make_checkpoint()
    renamed = {
        "bert."
        + (
            name if "LayerNorm" not in name else name.replace("weight", "gamma").replace("bias", "beta")
        ): value
        for name, value in checkpoint.weights.items()
    }
    heads = {
        "bert.pooler.dense.weight": np.ones([32, 32], np.float32),
        "bert.embeddings.position_ids": np.arange(40)[np.newaxis],
        "cls.predictions.bias": np.ones([36], np.float32),
        "cls.predictions.transform.LayerNorm.gamma": np.ones([32], np.float32),
        "cls.seq_relationship.weight": np.ones([2, 32], np.float32),
    }
    checkpoint.write(renamed | heads)
    check_loads(checkpoint, backend, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_reads_as_float32(make_checkpoint, dtype):
    checkpoint = make_checkpoint()
    if dtype is np.float16:
        checkpoint.write({name: value.astype(dtype) for name, value in checkpoint.weights.items()})
    else:
        halves = {name: tf.cast(value, tf.bfloat16) for name, value in checkpoint.weights.items()}
        safetensors.tensorflow.save_file(
            halves, str(checkpoint.folder / "model.safetensors"), {"format": "pt"}
        )
    checkpoint.weights = {
        name: value.astype(dtype).astype(np.float32) for name, value in checkpoint.weights.items()
    }
    weights = read_weights([checkpoint.folder / "model.safetensors"], prefix="bert")
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
    check_loads(checkpoint, "keras_nlp", atol=0)


@BOTH
def test_weights_in_parts(make_checkpoint, backend):
    checkpoint = make_checkpoint()
    names = sorted(checkpoint.weights)
    (checkpoint.folder / "model.safetensors").unlink()
    parts = {"model-00001-of-00002.safetensors": names[:20], "model-00002-of-00002.safetensors": names[20:]}
    for file, inside in parts.items():
        checkpoint.write({name: checkpoint.weights[name] for name in inside}, file)
    index = {"metadata": {}, "weight_map": {name: file for file, inside in parts.items() for name in inside}}
    index_file = checkpoint.folder / "model.safetensors.index.json"
    index_file.write_text(json.dumps(index), encoding="utf-8")
    check_loads(checkpoint, backend, atol=0)

    (checkpoint.folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"must contain model-00002-of-00002\.safetensors"):
        load_encoder(str(checkpoint), backend=backend)
    index_file.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.json: must hold `weight_map`"):
        load_encoder(str(checkpoint), backend=backend)


@BOTH
def test_pytorch_file_where_torch_is(make_checkpoint, backend):
    torch = pytest.importorskip("torch", reason="reads PyTorch's own format: torch is not installed")
    checkpoint = make_checkpoint()
    (checkpoint.folder / "model.safetensors").unlink()
    tensors = {name: torch.from_numpy(value) for name, value in checkpoint.weights.items()}
    torch.save(tensors, checkpoint.folder / "pytorch_model.bin")
    check_loads(checkpoint, backend, atol=0)


@BOTH
def test_pytorch_file_where_torch_is_not(make_checkpoint, backend):
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tests what is said without torch: torch is installed")
    checkpoint = make_checkpoint()
    (checkpoint.folder / "model.safetensors").rename(checkpoint.folder / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"pytorch_model\.bin: .*needs torch.*convert the checkpoint to safetensors"
    ):
        load_encoder(str(checkpoint), backend=backend)


@pytest.mark.parametrize("file", ["model.safetensors", "tf_model.h5"])
def test_a_broken_file_is_named(make_checkpoint, file):
    checkpoint = make_checkpoint()
    (checkpoint.folder / "model.safetensors").unlink()
    (checkpoint.folder / file).write_bytes(b"not weights, but long enough for a header to be looked for")
    with pytest.raises(UserError, match=f"{file}: no .* can be read here"):
        load_encoder(str(checkpoint))


@BOTH
def test_a_missing_variable_is_named(make_checkpoint, backend):
    checkpoint = make_checkpoint()
    del checkpoint.weights[QUERY]
    checkpoint.write(checkpoint.weights)
    with pytest.raises(
        UserError, match=rf"model\.safetensors: .*got `{QUERY}` missing and none not expected"
    ):
        load_encoder(str(checkpoint), backend=backend)


@BOTH
def test_many_missing_and_unexpected_variables_are_counted(make_checkpoint, backend):
    checkpoint = make_checkpoint(num_hidden_layers=2)
    deeper = {name.replace("layer.1", "layer.2"): value for name, value in checkpoint.weights.items()}
    checkpoint.write(deeper)
    with pytest.raises(
        UserError, match=r"`encoder\.layer\.1\.\S+`.* and 13 more missing and .* and 13 more not expected"
    ):
        load_encoder(str(checkpoint), backend=backend)


@BOTH
@pytest.mark.parametrize(
    "name", ["encoder.layer.0.crossattention.self.query.weight", "embeddings.extra.weight"]
)
def test_an_unexpected_variable_is_named(make_checkpoint, backend, name):
    checkpoint = make_checkpoint()
    checkpoint.write(checkpoint.weights | {name: np.ones([32], np.float32)})
    with pytest.raises(UserError, match=f"got none missing and `{name}` not expected"):
        load_encoder(str(checkpoint), backend=backend)


@BOTH
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        # The first has the right number of elements.
        ("encoder.layer.0.intermediate.dense.weight", [32, 48]),
        (QUERY, [32, 31]),
        ("encoder.layer.1.output.LayerNorm.bias", [33]),
        ("embeddings.position_embeddings.weight", [41, 32]),
    ],
)
def test_a_shape_that_differs_is_named(make_checkpoint, backend, name, shape):
    checkpoint = make_checkpoint()
    checkpoint.write(checkpoint.weights | {name: np.ones(shape, np.float32)})
    expected = list(checkpoint.weights[name].shape)
    with pytest.raises(UserError) as raised:
        load_encoder(str(checkpoint), backend=backend)
    assert f"`{name}` must have shape {expected} by config.json, got {shape}" in str(raised.value)


def test_a_name_twice_must_have_one_value(make_checkpoint):
    checkpoint = make_checkpoint()
    checkpoint.write(checkpoint.weights | {f"bert.{QUERY}": checkpoint.weights[QUERY]})
    check_loads(checkpoint, "keras_nlp", atol=0)
    checkpoint.write(checkpoint.weights | {f"bert.{QUERY}": checkpoint.weights[QUERY] + 1})
    with pytest.raises(UserError, match=f"got `{QUERY}` a second time with another"):
        load_encoder(str(checkpoint))


def test_hdf5_kernels_are_turned(tmp_path):
    kernel = np.arange(6, dtype=np.float16).reshape(2, 3)
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        layer = "bert/tf_bert_model/bert/encoder/layer_._0/intermediate/dense"
        file[f"{layer}/kernel:0"] = kernel
        file[f"{layer}/bias:0"] = np.ones([3])
        file["mlm___cls/tf_bert/mlm___cls/predictions/bias:0"] = np.ones([4])
    weights = read_weights([tmp_path / "tf_model.h5"], prefix="bert")
    assert set(weights) == {
        "encoder.layer.0.intermediate.dense.weight",
        "encoder.layer.0.intermediate.dense.bias",
        "cls.predictions.bias",
    }
    np.testing.assert_array_equal(weights["encoder.layer.0.intermediate.dense.weight"], kernel.T)
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
