"""The folders of a bundle's versions: those named by an integer. Without TensorFlow, for all who look for versions."""

import pathlib

# TensorFlow Serving's numbers are of 64 bits.
_END = 1 << 63


def version_number(name: str) -> int | None:
    """The version that a folder of this name holds; None where the name is no version's."""
    number = int(name) if name.isascii() and name.isdigit() else _END
    return number if number < _END else None


def find_versions(directory: pathlib.Path) -> dict[int, pathlib.Path]:
    """Folders of versions by number; none where the directory itself is not there."""
    if not directory.is_dir():
        return {}
    numbered = ((version_number(entry.name), entry) for entry in directory.iterdir())
    return {number: entry for number, entry in numbered if number is not None and entry.is_dir()}
