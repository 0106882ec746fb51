"""Output files that are either whole or absent."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO]:
    """Opens a file beside `path` and renames it onto `path` once the block has ended well.

    Args:
        path: where the file shall stand; its folder is made.
        mode: "w" (UTF-8, LF) or "wb".

    Yields:
        The open file. When the block raises, `path` is untouched and the file beside it is removed.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(beside, mode, **text) as file:
            yield file
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
