"""Variables as TensorFlow stores them, an index and its data files, opened only where they are whole."""

import os
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.errors import UserError

_DATA = re.compile(r"\.data-(\d{5})-of-(\d{5})")
# Raised for an index that is not one: by its table, its header, or an entry.
_UNREADABLE = (tf.errors.OpError, IndexError, KeyError, RuntimeError, UnicodeDecodeError, ValueError)
_PATTERN = re.compile(r"[\[\\]")
_COPY_AGAIN = "copy it again from where it is whole"
# A string tensor has a check sum between its lengths and its bytes.
_CHECK_SUM = 4


def tensor_paths(prefix: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that hold the variables: the index first, then the data.

    Args:
        prefix: their common path, such as `bert_model.ckpt`.

    Raises:
        UserError: one is missing.
    """
    index = prefix.with_name(f"{prefix.name}.index")
    parts = {
        match.groups(): path
        for path in prefix.parent.iterdir()
        if path.name.startswith(prefix.name)
        and (match := _DATA.fullmatch(path.name.removeprefix(prefix.name)))
    }
    count = max((total for _, total in parts), default="00001")
    data = [prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{count}") for i in range(int(count))]
    for path in (index, *data):
        if not path.exists():
            raise UserError(f"{path}: no such file, and the variables need it; {_COPY_AGAIN}")
    return [index, *data]


def open_tensors(prefix: pathlib.Path) -> Any:
    """Opens variables; their data must have the size that the index says, so that half a copy is found at once.

    Args:
        prefix: as in `tensor_paths`.

    Raises:
        UserError: a file is missing, empty or cut off; the message names it. Or TensorFlow cannot open such a path.
    """
    index, *data = tensor_paths(prefix)
    for path in (index, *data):
        if not path.stat().st_size:
            raise UserError(f"{path}: the file is empty; {_COPY_AGAIN}")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    except _UNREADABLE as error:
        problem = pattern_problem(prefix)
        if problem and isinstance(error, tf.errors.NotFoundError):
            raise UserError(f"{prefix}: {problem}") from error
        raise UserError(f"{index}: cut off or damaged; {_COPY_AGAIN}") from error
    wanted = sum(_size(reader, name, types[name], shape, data[0]) for name, shape in shapes.items())
    found = sum(path.stat().st_size for path in data)
    if found < wanted:
        raise UserError(
            f"{data[0] if len(data) == 1 else f'{prefix}.data-*'}: cut off: must hold the {wanted} bytes that "
            f"{index.name} lists, got {found}; {_COPY_AGAIN}"
        )
    return reader


def pattern_problem(path: str | os.PathLike[str]) -> str | None:
    """Says that TensorFlow cannot open variables under this path; None where it can."""
    found = _PATTERN.search(os.fspath(path))
    if not found:
        return None
    return f"TensorFlow reads {found[0]} in a path as part of a pattern and finds no variables there; use another name"


def read_tensor(reader: Any, name: str, source: pathlib.Path) -> np.ndarray:
    """Reads a variable and compares its check sum.

    Args:
        reader: of `open_tensors`.
        name: of the variable.
        source: the data file, for errors.

    Returns:
        The value.

    Raises:
        UserError: the data is damaged.
    """
    try:
        return reader.get_tensor(name)
    except _UNREADABLE as error:
        raise UserError(f"{source}: cut off or damaged at `{name}`; {_COPY_AGAIN}") from error


def _size(reader: Any, name: str, dtype: tf.DType, shape: list[int], source: pathlib.Path) -> int:
    """Bytes that a variable takes on the disk."""
    if dtype != tf.string:
        return tf.TensorShape(shape).num_elements() * dtype.size
    value = read_tensor(reader, name, source)
    strings = [value] if isinstance(value, bytes) else list(value.flat)
    # Each length is a number of seven bits a byte.
    lengths = sum(max(1, -(-len(string).bit_length() // 7)) for string in strings)
    return lengths + _CHECK_SUM + sum(map(len, strings))
