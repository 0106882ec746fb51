"""The folders of a bundle's versions: those named by an integer. Without TensorFlow, for all who look for versions."""

import pathlib

# TensorFlow Serving's numbers have 64 bits.
LARGEST = (1 << 63) - 1


def version_number(name: str) -> int | None:
    """The version that a folder of this name holds; None where the name is no version's."""
    # Longer ones than this Python refuses to read; zeros may stand in front.
    digits = name.lstrip("0")
    if not (name.isascii() and name.isdigit()) or len(digits) > len(str(LARGEST)):
        return None
    number = int(digits or "0")
    return number if number <= LARGEST else None


def numbered_entries(directory: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """All that bears a version's number, by number: folders, and files and broken links, too.

    TensorFlow Serving goes by the names alone, and `007` has the number of `7`.
    """
    entries: dict[int, list[pathlib.Path]] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        number = version_number(path.name)
        if number is not None:
            entries.setdefault(number, []).append(path)
    return entries


def find_versions(directory: pathlib.Path) -> dict[int, pathlib.Path]:
    """Folders of versions by number, links to folders included; none where the directory itself is not there."""
    folders = {
        number: [path for path in entries if path.is_dir()]
        for number, entries in numbered_entries(directory).items()
    }
    return {number: paths[-1] for number, paths in folders.items() if paths}
