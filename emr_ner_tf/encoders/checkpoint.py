"""Weights in the Hugging Face layout as NumPy arrays under their PyTorch names."""

import pathlib
import re

import numpy as np

from emr_ner_tf.errors import UserError

# The scopes that `save_pretrained` puts before a variable's path: the class, then the base model.
_H5_SCOPE = re.compile(r"^(?:tf_[a-z_]+?(?:_\d+)?/)?(?:bert/)?")
_H5_ENDINGS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "weight": "weight",
    "embeddings": "weight",
}


def read_weights(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads every tensor of a checkpoint.

    Args:
        path: `model.safetensors`, `tf_model.h5` or `pytorch_model.bin`.

    Returns:
        float32 arrays by PyTorch name, without a leading `bert.`, matrices as PyTorch keeps them ([out, in]); old names
        `gamma` and `beta` read as `weight` and `bias`.

    Raises:
        UserError: the file is broken, or is PyTorch's and torch is not installed.
    """
    read = {".safetensors": _safetensors, ".h5": _h5, ".bin": _pytorch}[path.suffix]
    weights = {}
    for name, value in read(path).items():
        name = name.removeprefix("bert.")
        name = re.sub(r"\bgamma$", "weight", re.sub(r"\bbeta$", "bias", name))
        weights[name] = np.asarray(value, np.float32) if value.dtype.kind == "f" else value
    return weights


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise UserError(f"{path}: not a readable safetensors file: {error}") from error


def _h5(path: pathlib.Path) -> dict[str, np.ndarray]:
    import h5py

    weights: dict[str, np.ndarray] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            *scopes, last = _h5_path(name)
            value = np.asarray(node)
            if last == "kernel":
                value = value.T
            weights[".".join([*scopes, _H5_ENDINGS.get(last, last)])] = value

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise UserError(f"{path}: not a readable HDF5 file: {error}") from error
    return weights


def _h5_path(name: str) -> list[str]:
    # "bert/tf_bert_model/bert/encoder/layer_._0/..." -> ["encoder", "layer", "0", ...]
    parts = name.removesuffix(":0").split("/")
    begins = [
        i
        for i, part in enumerate(parts)
        if part in ("embeddings", "encoder", "pooler", "mlm___cls", "nsp___cls")
    ]
    parts = parts[begins[0] :] if begins else parts
    return [piece for part in parts for piece in part.replace("_._", ".").split(".")]


def _pytorch(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"{path}: a PyTorch file can be read only where torch is installed; install it, or convert the "
            "checkpoint to safetensors (transformers' AutoModel.from_pretrained(...).save_pretrained(...))"
        ) from error
    return {
        name: value.numpy() for name, value in torch.load(path, map_location="cpu", weights_only=True).items()
    }
