"""A disk that is full: the system refuses a file beyond a size with an error of its own."""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from unittest import mock


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Lets this process and its children write no file of more than `size` bytes.

    They write no bytecode either: Python would keep what fits, and every later import of that module would fail.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        mock.patch.object(sys, "dont_write_bytecode", True),
        mock.patch.dict(os.environ, {"PYTHONDONTWRITEBYTECODE": "1"}),
    ):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
