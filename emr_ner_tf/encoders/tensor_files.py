"""Opens variables in TensorFlow's format (an index and its data files), if the files are complete."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.whole_files import COPY_AGAIN, damaged
from emr_ner_tf.encoders.tensor_paths import pattern_problem, tensor_paths
from emr_ner_tf.errors import UserError

# Exceptions for a damaged index: by its table, its header or an entry.
_UNREADABLE = (tf.errors.OpError, IndexError, KeyError, RuntimeError, UnicodeDecodeError, ValueError)
# A string tensor has a checksum between its lengths and its bytes.
_CHECK_SUM = 4


def open_tensors(prefix: pathlib.Path) -> Any:
    """Opens variables and compares the size of their data with the index, so that an incomplete copy is detected.

    Args:
        prefix: see `tensor_paths`.

    Raises:
        UserError: a file is missing, empty or cut off (the message names it), or TensorFlow cannot open the path.
    """
    index, *data = tensor_paths(prefix)
    for path in (index, *data):
        if not path.stat().st_size:
            raise damaged(path, "the file is empty")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    except _UNREADABLE as error:
        problem = pattern_problem(prefix)
        if problem and isinstance(error, tf.errors.NotFoundError):
            raise UserError(f"{prefix}: {problem}") from error
        raise damaged(index, "cut off or damaged") from error
    wanted = sum(_size(reader, name, types[name], shape, data[0]) for name, shape in shapes.items())
    found = sum(path.stat().st_size for path in data)
    if found < wanted:
        raise UserError(
            f"{data[0] if len(data) == 1 else f'{prefix}.data-*'}: cut off: must hold the {wanted} bytes that "
            f"{index.name} lists, got {found}; {COPY_AGAIN}"
        )
    return reader


def read_tensor(reader: Any, name: str, source: pathlib.Path) -> np.ndarray:
    """Reads a variable and compares its checksum.

    Args:
        reader: reader from `open_tensors`.
        name: name of the variable.
        source: the data file, for errors.

    Returns:
        The value.

    Raises:
        UserError: the data is damaged.
    """
    try:
        return reader.get_tensor(name)
    except _UNREADABLE as error:
        raise damaged(source, f"cut off or damaged at `{name}`") from error


def _size(reader: Any, name: str, dtype: tf.DType, shape: list[int], source: pathlib.Path) -> int:
    """Returns the size of a variable in its file, in bytes."""
    if dtype != tf.string:
        return tf.TensorShape(shape).num_elements() * dtype.size
    value = read_tensor(reader, name, source)
    strings = [value] if isinstance(value, bytes) else list(value.flat)
    # Each length is stored with seven bits per byte.
    lengths = sum(max(1, -(-len(string).bit_length() // 7)) for string in strings)
    return lengths + _CHECK_SUM + sum(map(len, strings))
