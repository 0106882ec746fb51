"""Reads weights of several file formats as NumPy arrays under the names of the Hugging Face layout."""

import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from emr_ner_tf.encoders.google_checkpoint import read_google_checkpoint
from emr_ner_tf.encoders.tensor_paths import DATA, INDEX
from emr_ner_tf.errors import UserError

_OLD_ENDINGS = {"gamma": "weight", "beta": "bias"}


def read_weights(paths: Iterable[pathlib.Path], *, prefix: str) -> dict[str, np.ndarray]:
    """Reads every tensor of a checkpoint.

    Args:
        paths: one `model.safetensors`, `tf_model.h5` or `pytorch_model.bin`, or its parts; or the index and the data
            of a checkpoint of Google's BERT.
        prefix: prefix of the base model, such as `bert`, which is removed from names.

    Returns:
        Arrays under the names and in the layout of PyTorch's classes (a dense kernel is [out, in]), floats as
        float32. The old names `gamma` and `beta` become `weight` and `bias`.

    Raises:
        UserError: a file cannot be read, torch is required but not installed, or a name has two values.
    """
    weights: dict[str, np.ndarray] = {}
    # Data files are read through their index.
    paths = [path for path in paths if not DATA.search(path.name)]
    for path in paths:
        for name, value in _READERS[path.suffix](path):
            name = name.removeprefix(f"{prefix}.")
            name = re.sub(r"\b(gamma|beta)$", lambda ending: _OLD_ENDINGS[ending[0]], name)
            # Keras writes a layer once for each head that shares it.
            if name in weights and not np.array_equal(weights[name], value):
                raise UserError(
                    f"{path}: a tensor must have one value, got `{name}` a second time with another"
                )
            weights[name] = value
    return weights


def _safetensors(path: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    import safetensors
    import tensorflow as tf

    try:
        # Read as TensorFlow tensors, because NumPy has no bfloat16.
        with safetensors.safe_open(path, framework="tf") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: no safetensors can be read here: {error}") from error
    for name, tensor in tensors.items():
        value = (tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor).numpy()
        # transformers' TensorFlow classes write their own names without the first scope.
        yield _from_tensorflow(f"model/{name}", value) if "/" in name else (name, value)


def _hdf5(path: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    import h5py

    found: list[tuple[str, np.ndarray]] = []

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            # The first part is the group of the layer and does not belong to the name.
            found.append(_from_tensorflow(name.partition("/")[2], _float32(np.asarray(node))))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise UserError(f"{path}: no HDF5 can be read here: {error}") from error
    yield from found


def _pytorch(path: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"{path}: PyTorch's own format needs torch, which is not installed. Install it, or convert the checkpoint "
            "to safetensors where torch is: transformers.AutoModel.from_pretrained(DIR).save_pretrained(DIR)"
        ) from error
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a dozen kinds, for a file that is broken or not torch's
        raise UserError(
            f"{path}: must be a file that torch.save wrote and that contains tensors only"
        ) from error
    for name, tensor in tensors.items():
        yield name, (tensor.float() if tensor.is_floating_point() else tensor).numpy()


_READERS = {".safetensors": _safetensors, ".h5": _hdf5, ".bin": _pytorch, INDEX: read_google_checkpoint}


def _from_tensorflow(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name

    name, transpose = convert_tf_weight_name_to_pt_weight_name(name, tf_weight_shape=value.shape)
    return name, value.transpose(np.argsort(axes_in_tensorflow(transpose.value, value.ndim)))


def axes_in_tensorflow(transpose: str, rank: int) -> tuple[int, ...]:
    """Returns the order of the axes of PyTorch's tensor in TensorFlow's tensor.

    Args:
        transpose: "no", "simple", "conv1d" or "conv2d", as in transformers.
        rank: rank of the tensor.
    """
    ways = {"simple": (1, 0), "conv1d": (2, 1, 0), "conv2d": (2, 3, 1, 0)}
    return ways.get(transpose, tuple(range(rank)))


def _float32(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype.kind == "f" else value
