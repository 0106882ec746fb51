"""Names of the files in which TensorFlow stores variables; this module does not import TensorFlow."""

import os
import pathlib
import re

from emr_ner_tf.data.whole_files import COPY_AGAIN
from emr_ner_tf.errors import UserError

INDEX = ".index"
DATA = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
_PATTERN = re.compile(r"[\[\\]")


def tensor_paths(prefix: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that hold the variables: the index first, then the data.

    Args:
        prefix: their common path, such as `bert_model.ckpt`.

    Raises:
        UserError: a file is missing.
    """
    index = prefix.with_name(f"{prefix.name}{INDEX}")
    parts = {
        match.groups()
        for path in (prefix.parent.iterdir() if prefix.parent.is_dir() else ())
        if path.name.startswith(prefix.name) and (match := DATA.match(path.name.removeprefix(prefix.name)))
    }
    count = max((total for _, total in parts), default="00001")
    data = [prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{count}") for i in range(int(count))]
    for path in (index, *data):
        if not path.exists():
            raise UserError(f"{path}: no such file, and the variables need it; {COPY_AGAIN}")
    return [index, *data]


def pattern_problem(path: str | os.PathLike[str]) -> str | None:
    """Returns the reason why TensorFlow cannot open variables under this path, or None if it can."""
    found = _PATTERN.search(os.fspath(path))
    if not found:
        return None
    return f"TensorFlow reads {found[0]} in a path as part of a pattern and finds no variables there; use another name"
