"""Prints results and tables to standard output, shows commands as users type them, and runs commands as steps.

Every console of this project is created here, so that labels, paths and names are printed without interpretation.
"""

import pathlib
import shlex
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from emr_ner_tf.child_process import run_to_end
from emr_ner_tf.errors import UserError

_WIDTH_OF_A_FILE = 120


def results(stream: TextIO | None = None, *, force_terminal: bool | None = None) -> Console:
    """Returns a console that prints every string as it is: square brackets are no markup, `:name:` is no emoji.

    Args:
        stream: the stream to write to; None is standard output. A pipe or a file has no width of its own and gets one
            that tables fit.
        force_terminal: whether to colour text; None colours it only on a terminal.
    """
    stream = stream or sys.stdout
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=force_terminal,
        width=None if stream.isatty() else _WIDTH_OF_A_FILE,
    )


def print_table(console: Console, title: str, table: Table) -> None:
    """Prints a table below its title, which is neither cut nor wrapped to the table's width."""
    console.print(title, style="italic", soft_wrap=True)
    console.print(table)


def print_pretraining(output: str, metrics: Mapping[str, Any], format: str, following: str) -> None:
    """Prints the figures of a pre-training run before and after, and the command that uses its result.

    Args:
        output: directory of the result, the title.
        metrics: content of `metrics.json`.
        format: format of a figure, such as ".4f".
        following: command to run next.
    """
    table = Table("held-out passages", "before", "after")
    for name, before in metrics["before"].items():
        table.add_row(name, f"{before:{format}}", f"{metrics['after'][name]:{format}}")
    console = results()
    print_table(console, output, table)
    tokens = f"{metrics['vocabulary']} tokens; " if "vocabulary" in metrics else ""
    console.print(
        f"{metrics['passages']} passages, {metrics['held_out']} of them held out, {metrics['left_out']} left out; "
        f"{tokens}{metrics['updates']} updates in {metrics['training_seconds'] / 60:.1f} min",
        soft_wrap=True,
    )
    console.print(f"next: {following}", soft_wrap=True)


def command_line(command: str, *arguments: str) -> str:
    """Returns the command line that runs `command` from the working directory.

    It is `emr-ner COMMAND` if a shell finds the console script of the running Python under that name, and
    `python -m emr_ner_tf.cli.COMMAND` otherwise.
    """
    python, here = pathlib.Path(sys.executable), pathlib.Path.cwd()
    script = shutil.which("emr-ner")
    if script is not None and pathlib.Path(script).absolute() == python.with_name("emr-ner"):
        return shlex.join(["emr-ner", command, *arguments])
    shown = python.relative_to(here) if python.is_relative_to(here) else "python"
    return shlex.join([str(shown), "-m", f"emr_ner_tf.cli.{command}", *arguments])


def step(console: Console, title: str, command: str, *arguments: str) -> None:
    """Shows a command and runs it to its end.

    Raises:
        UserError: the command failed; its message was printed.
    """
    announce(console, title, command, *arguments)
    status = run_to_end(command_argv(command, *arguments))
    if status:
        raise UserError(f"step {title!r} failed with status {status}; its message is printed above")


def announce(console: Console, title: str, command: str, *arguments: str) -> None:
    """Shows a command under a title."""
    console.print(f"\n{title}", style="bold")
    console.print(f"$ {command_line(command, *arguments)}", soft_wrap=True)


def command_argv(command: str, *arguments: str) -> list[str]:
    """Returns the arguments that run `command` in a process of its own."""
    return [sys.executable, "-m", f"emr_ner_tf.cli.{command}", *arguments]
