"""A progress bar on a terminal, with rate and time left; elsewhere, long jobs log lines (`log_interval`)."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO, TypeVar

from absl import logging

if TYPE_CHECKING:
    from rich.progress import Progress

_T = TypeVar("_T")
_BAR_WIDTH = 20
_WITHOUT_CURSOR = ("dumb", "unknown")
# Where the next bar is shown; None without a terminal, and while a bar is shown.
_stream: TextIO | None = None


def enable_bars(stream: TextIO) -> None:
    """Shows the bars of this process on a stream, if it is a terminal; without this call, no bar is shown.

    Args:
        stream: the stream of logs. Lines that are logged while a bar is shown appear above it.
    """
    global _stream
    _stream = stream if stream.isatty() and os.environ.get("TERM") not in _WITHOUT_CURSOR else None


def bars_enabled() -> bool:
    """Returns whether the next bar will be shown."""
    return _stream is not None


class ProgressBar(contextlib.AbstractContextManager):
    """The bar of one job. While it is shown, a bar of a part of the job is not.

    Attributes:
        is_shown: whether there is a terminal to show it on; otherwise, its methods do nothing.

    Args:
        title: description of the job.
        total: number of steps; None if it is not known, and then the time left is not, either.
        unit: name of the steps, in the plural.
        done: number of steps that were taken before.
    """

    def __init__(self, title: str, total: int | None, *, unit: str = "records", done: int = 0) -> None:
        self.is_shown = False
        self._title, self._total, self._unit, self._done = title, total, unit, done
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ProgressBar":
        global _stream
        if _stream is None:
            return self
        stream, _stream = _stream, None
        self._stack.callback(enable_bars, stream)
        self._progress = self._stack.enter_context(_progress(stream, self._unit, self._total))
        self._task = self._progress.add_task(self._title, total=self._total, completed=self._done)
        # The handler keeps the stream that it started with, and rich has put one in its place that knows of the bar.
        handler = logging.get_absl_handler().python_handler
        if handler.stream is stream:
            self._stack.callback(handler.setStream, stream)
            handler.setStream(sys.stderr)
        self.is_shown = True
        return self

    def __exit__(self, *details: object) -> None:
        self.is_shown = False
        self._stack.close()

    def advance(self, steps: int = 1, title: str | None = None) -> None:
        """Counts steps, and replaces the title if one is given."""
        if self.is_shown:
            self._progress.update(self._task, advance=steps, description=title)

    def track(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yields items and counts a step after each."""
        for item in items:
            yield item
            self.advance()


def _progress(stream: TextIO, unit: str, total: int | None) -> "Progress":
    """Returns a display of one bar: title, bar, count, rate, and the time left if the total is known."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.{0 if speed >= 100 else 1}f} {unit}/s")

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_WIDTH),
        MofNCompleteColumn(),
        Rate(),
    ]
    if total is not None:
        columns += [TimeRemainingColumn(), TextColumn("left")]
    # Standard output is left alone: it may be a pipe.
    console = Console(file=stream, markup=False, emoji=False, highlight=False)
    return Progress(*columns, console=console, redirect_stdout=False)
