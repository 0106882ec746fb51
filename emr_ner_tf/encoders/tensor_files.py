"""Variables as TensorFlow stores them, an index and its data files, opened only where they are whole."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.whole_files import COPY_AGAIN, damaged
from emr_ner_tf.encoders.tensor_paths import pattern_problem, tensor_paths
from emr_ner_tf.errors import UserError

# Raised for an index that is not one: by its table, its header, or an entry.
_UNREADABLE = (tf.errors.OpError, IndexError, KeyError, RuntimeError, UnicodeDecodeError, ValueError)
# A string tensor has a check sum between its lengths and its bytes.
_CHECK_SUM = 4


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
        raise damaged(source, f"cut off or damaged at `{name}`") from error


def _size(reader: Any, name: str, dtype: tf.DType, shape: list[int], source: pathlib.Path) -> int:
    """Bytes that a variable takes on the disk."""
    if dtype != tf.string:
        return tf.TensorShape(shape).num_elements() * dtype.size
    value = read_tensor(reader, name, source)
    strings = [value] if isinstance(value, bytes) else list(value.flat)
    # Each length is a number of seven bits a byte.
    lengths = sum(max(1, -(-len(string).bit_length() // 7)) for string in strings)
    return lengths + _CHECK_SUM + sum(map(len, strings))
