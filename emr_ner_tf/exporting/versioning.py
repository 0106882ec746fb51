"""Finds the versions of a bundle, which are folders named by an integer; this module does not import TensorFlow."""

import os
import pathlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from emr_ner_tf.errors import UserError

# The file of a SavedModel that every version has.
GRAPH = "saved_model.pb"
# In the folder `assets` of a version: the metrics of the training run, and what was exported.
METRICS = "metrics.json"
# TensorFlow Serving's numbers have 64 bits.
LARGEST = (1 << 63) - 1
_Path = TypeVar("_Path", str, pathlib.Path)


def version_number(name: str) -> int | None:
    """Returns the version in a folder of this name; None if the name is not that of a version."""
    # Leading zeros are allowed. Very long numbers are excluded first, because Python refuses to parse them.
    digits = name.lstrip("0")
    if not (name.isascii() and name.isdigit()) or len(digits) > len(str(LARGEST)):
        return None
    number = int(digits or "0")
    return number if number <= LARGEST else None


def group_by_version(paths: Iterable[_Path]) -> dict[int, list[_Path]]:
    """Groups paths by the version that their last part names; paths without a version are left out.

    TensorFlow Serving only reads the names, so `007` and `7` are the same version.
    """
    entries: dict[int, list[_Path]] = {}
    for path in sorted(paths):
        number = version_number(os.path.basename(path))
        if number is not None:
            entries.setdefault(number, []).append(path)
    return entries


def numbered_entries(directory: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """Returns all entries of a directory whose name is a version, by number: folders, files and broken links."""
    return group_by_version(directory.iterdir() if directory.is_dir() else ())


def find_versions(
    directory: pathlib.Path, is_version: Callable[[pathlib.Path], bool] = pathlib.Path.is_dir
) -> dict[int, pathlib.Path]:
    """Finds the versions in a directory.

    Args:
        directory: directory of the versions; it need not exist.
        is_version: selects the entries that are versions; by default, folders and links to folders.

    Returns:
        A path by number; of several paths with one number, the last by name.
    """
    found = {
        number: list(filter(is_version, entries)) for number, entries in numbered_entries(directory).items()
    }
    return {number: entries[-1] for number, entries in found.items() if entries}


def newest_version(path: pathlib.Path) -> pathlib.Path:
    """Returns the newest version in a directory; `path` itself if it is a version or has none."""
    versions = find_versions(path)
    return path if not versions or (path / GRAPH).exists() else versions[max(versions)]


def no_bundle(path: str | os.PathLike[str], needed: str = GRAPH) -> UserError:
    """Returns the error for a path that is neither a version nor a directory of versions."""
    return UserError(
        f"{os.fspath(path)}: no bundle: looked for {needed} in it and in its folders named by an integer; "
        "`emr-ner export` writes one"
    )
