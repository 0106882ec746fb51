"""The versions of a bundle: folders named by an integer. Without TensorFlow, for every part that looks for them."""

import os
import pathlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from emr_ner_tf.errors import UserError

# The file of a SavedModel that a version must have.
GRAPH = "saved_model.pb"
# TensorFlow Serving's numbers have 64 bits.
LARGEST = (1 << 63) - 1
_Path = TypeVar("_Path", str, pathlib.Path)


def version_number(name: str) -> int | None:
    """Returns the version that a folder of this name holds; None where the name is no version's."""
    # Leading zeros are allowed, and Python refuses to parse a very long number.
    digits = name.lstrip("0")
    if not (name.isascii() and name.isdigit()) or len(digits) > len(str(LARGEST)):
        return None
    number = int(digits or "0")
    return number if number <= LARGEST else None


def group_by_version(paths: Iterable[_Path]) -> dict[int, list[_Path]]:
    """Groups paths by the version that their last part names; a path that names no version is left out.

    TensorFlow Serving reads the names alone, so `007` has the number of `7`.
    """
    entries: dict[int, list[_Path]] = {}
    for path in sorted(paths):
        number = version_number(os.path.basename(path))
        if number is not None:
            entries.setdefault(number, []).append(path)
    return entries


def numbered_entries(directory: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """Returns every entry of a directory that is named by a version: folders, files and broken links, by number."""
    return group_by_version(directory.iterdir() if directory.is_dir() else ())


def find_versions(
    directory: pathlib.Path, is_version: Callable[[pathlib.Path], bool] = pathlib.Path.is_dir
) -> dict[int, pathlib.Path]:
    """Finds the versions in a directory.

    Args:
        directory: may be absent.
        is_version: selects the entries that count; the default takes folders and links to folders.

    Returns:
        A path by number; of several paths with one number, the last by name.
    """
    found = {
        number: list(filter(is_version, entries)) for number, entries in numbered_entries(directory).items()
    }
    return {number: entries[-1] for number, entries in found.items() if entries}


def no_bundle(path: str | os.PathLike[str], needed: str = GRAPH) -> UserError:
    """Returns the error for a path that is neither a version nor a directory of versions."""
    return UserError(
        f"{os.fspath(path)}: no bundle: looked for {needed} in it and in its folders named by an integer; "
        "`emr-ner export` writes one"
    )
