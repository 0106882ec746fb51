"""Lines that say how far a run is: loss, speed, padding, time left."""

from absl import logging

from emr_ner_tf.log_interval import LogInterval


class ProgressLog:
    """Logs at most every `seconds`.

    Attributes:
        total_steps: of the whole run.
    """

    def __init__(self, seconds: float, total_steps: int, first_step: int) -> None:
        self.total_steps = total_steps
        self._interval = LogInterval(seconds)
        self._step = self._first_step = self._last_step = first_step
        self._tokens = 0
        self._loss = 0.0
        self._traced = False

    def step(self, loss: float, tokens: int, where: str) -> None:
        """Counts one step.

        Args:
            loss: of this step.
            tokens: real characters in it.
            where: the epoch and step as text.
        """
        self._step += 1
        if not self._traced:
            # The first step traces the graph; counting it would promise a far too late end.
            self._traced = True
            self._interval.restart()
            self._first_step = self._last_step = self._step
            return
        self._tokens += tokens
        self._loss += loss
        seconds = self._interval.due()
        if seconds is None:
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
    """Seconds as `h:mm:ss`."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
