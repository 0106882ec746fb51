"""Where results go: standard output, as tables; the command that comes next, as it is typed here; mains as steps."""

import pathlib
import shlex
import sys

from rich.console import Console

from emr_ner_tf.child_process import run_to_end
from emr_ner_tf.errors import UserError

_WIDTH_OF_A_FILE = 120


def results() -> Console:
    """A console on standard output; a pipe or a file has no width of its own and gets one that tables fit."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def command(word: str, *arguments: str) -> str:
    """The command line that runs the main `word`, with the Python of an environment below the working directory."""
    python, here = pathlib.Path(sys.executable), pathlib.Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else "python"
    return shlex.join([str(shown), "-m", f"emr_ner_tf.cli.{word}", *arguments])


def step(console: Console, title: str, word: str, *arguments: str) -> None:
    """Shows a main's command and runs it to its end.

    Raises:
        UserError: it failed; what it said stands above.
    """
    announce(console, title, word, *arguments)
    status = run_to_end(main_command(word, *arguments))
    if status:
        raise UserError(f"step {title!r} ended with status {status}; its message stands above")


def announce(console: Console, title: str, word: str, *arguments: str) -> None:
    """Shows a main's command under a title."""
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"$ {command(word, *arguments)}", markup=False, soft_wrap=True)


def main_command(word: str, *arguments: str) -> list[str]:
    """The arguments that run the main `word` in a process of its own."""
    return [sys.executable, "-m", f"emr_ner_tf.cli.{word}", *arguments]
