"""Where results go: standard output, as tables."""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 120


def results() -> Console:
    """A console on standard output; a pipe or a file has no width of its own and gets one that tables fit."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
