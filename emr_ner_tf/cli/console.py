"""Where results go: standard output, as tables; and the command that comes next, as it is typed here."""

import pathlib
import shlex
import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 120


def results() -> Console:
    """A console on standard output; a pipe or a file has no width of its own and gets one that tables fit."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def command(word: str, *arguments: str) -> str:
    """The command line that runs the main `word`, with the Python of an environment below the working directory."""
    python, here = pathlib.Path(sys.executable), pathlib.Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else "python"
    return shlex.join([str(shown), "-m", f"emr_ner_tf.cli.{word}", *arguments])
