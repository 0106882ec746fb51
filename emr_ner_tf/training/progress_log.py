"""Shows the progress of a run: a bar on a terminal; elsewhere, log lines with loss, speed and time left."""

import contextlib

from absl import logging

from emr_ner_tf.log_interval import LogInterval
from emr_ner_tf.progress_bar import ProgressBar


class ProgressLog(contextlib.AbstractContextManager):
    """Shows a bar within its `with` statement, or logs at most every `seconds` if there is no terminal.

    Attributes:
        total_steps: number of steps of the whole run.
    """

    def __init__(self, seconds: float, total_steps: int, first_step: int) -> None:
        self.total_steps = total_steps
        self._interval = LogInterval(seconds)
        self._bar = ProgressBar("training", total_steps, unit="steps", done=first_step)
        self._step = self._first_step = self._last_step = first_step
        self._tokens = 0
        self._loss = 0.0
        self._traced = False

    def __enter__(self) -> "ProgressLog":
        self._bar.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.__exit__(*details)

    def step(self, loss: float, tokens: int, where: str) -> None:
        """Counts one step.

        Args:
            loss: loss of this step.
            tokens: number of real characters in the step.
            where: the epoch and step as text.
        """
        self._step += 1
        self._bar.advance(title=f"loss {loss:.3f}")
        if not self._traced:
            # The first step traces the graph; with it, the estimate of the time left would be far too long.
            self._traced = True
            self._interval.restart()
            self._first_step = self._last_step = self._step
            return
        self._tokens += tokens
        self._loss += loss
        seconds = self._interval.due()
        if seconds is None or self._bar.is_shown:
            return
        steps = self._step - self._last_step
        pace = self._interval.elapsed() / (self._step - self._first_step)
        logging.info(
            "%s: loss %.3f, %.0f characters/s, %s left",
            where,
            self._loss / steps,
            self._tokens / seconds,
            clock(pace * (self.total_steps - self._step)),
        )
        self._last_step, self._tokens, self._loss = self._step, 0, 0.0


def clock(seconds: float) -> str:
    """Returns seconds as `h:mm:ss`."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
