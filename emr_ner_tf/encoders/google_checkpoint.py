"""Reads checkpoints of Google's BERT (`bert_model.ckpt.index`, `.data-*`) under the names of PyTorch's classes.

Source: the variable scopes of google-research/bert, modeling.py, run_pretraining.py and optimization.py.
"""

import collections
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from emr_ner_tf.encoders.tensor_files import open_tensors, read_tensor
from emr_ner_tf.encoders.tensor_paths import INDEX, tensor_paths
from emr_ner_tf.errors import UserError

# Variables of the optimizer: moments, powers and loss scale, and the number of updates.
_OPTIMIZER = re.compile(
    r"(^|.*/)(global_step|good_steps|loss_scale|beta[12]_power|(adam|lamb)_[mv]|\w*(Adam|LAMB|Momentum)\w*)(/.*|$)"
)
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_LAST_PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "output_weights": "weight",
    "output_bias": "bias",
}
# The head of a fine-tuned classifier is outside any scope.
_CLASSIFIER = ("output_weights", "output_bias")


def read_google_checkpoint(index: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    """Reads all variables except those of the optimizer.

    Args:
        index: the file `*.index`; its data files are in the same directory.

    Yields:
        Names and arrays in the layout of PyTorch's classes (a dense kernel is [out, in]), floats as float32. A variable
        of another model keeps its own name.

    Raises:
        UserError: a file is missing, empty, cut off or damaged, or has no named variables.
    """
    prefix = _prefix(index)
    data = tensor_paths(prefix)[1]
    reader = open_tensors(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    if _OBJECT_GRAPH in names:
        raise UserError(
            f"{index}: must be a checkpoint of Google's BERT for TensorFlow 1, whose variables have names, and it is "
            "one of TensorFlow 2's objects; convert it to the Hugging Face layout"
        )
    for name in names:
        if _kind(name) == "optimizer":
            continue
        value = read_tensor(reader, name, data)
        if value.dtype.kind == "f":
            value = value.astype(np.float32)
        yield pytorch_name(name), value.T if name.endswith("/kernel") else value


def pytorch_name(name: str) -> str:
    """Returns the name of a variable of Google's BERT in PyTorch's classes; other names are returned unchanged.

    >>> pytorch_name("bert/encoder/layer_0/attention/self/query/kernel")
    'bert.encoder.layer.0.attention.self.query.weight'
    """
    if name in _CLASSIFIER:
        return f"classifier.{_LAST_PARTS[name]}"
    if not name.startswith(("bert/", "cls/")):
        return name
    *scopes, last = name.split("/")
    scopes = [re.sub(r"^layer_(\d+)$", r"layer.\1", scope) for scope in scopes]
    last = f"{last}.weight" if last.endswith("_embeddings") else _LAST_PARTS.get(last, last)
    return ".".join([*scopes, last])


def describe_variables(index: pathlib.Path) -> str:
    """Describes how many variables of a checkpoint belong to the encoder, the pooler, heads and the optimizer.

    Raises:
        UserError: see `read_google_checkpoint`.
    """
    names = open_tensors(_prefix(index)).get_variable_to_shape_map()
    counts = collections.Counter(map(_kind, names))
    left_out = {
        "pooler": "of the pooler",
        "heads": "of heads (cls)",
        "optimizer": "of the optimizer (moments and global_step)",
    }
    rest = ", ".join(f"{counts[kind]} {words}" for kind, words in left_out.items())
    return f"{len(names)} variables: {counts['encoder']} of the encoder, which are read; {rest}"


def _kind(name: str) -> str:
    if _OPTIMIZER.fullmatch(name):
        return "optimizer"
    if name.startswith("bert/pooler/"):
        return "pooler"
    if name.startswith("cls/") or name in _CLASSIFIER:
        return "heads"
    return "encoder"


def _prefix(index: pathlib.Path) -> pathlib.Path:
    return index.with_name(index.name.removesuffix(INDEX))
