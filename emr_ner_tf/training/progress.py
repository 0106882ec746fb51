"""The progress of a run, which is saved in each checkpoint."""

import json
from typing import Any

import tensorflow as tf

PARTS = 20
# Names in a checkpoint, as older versions wrote them.
_SAVED_AS = {"epochs_without_improvement": "stale", "best_score": "best_f1"}


class Progress(tf.train.experimental.PythonState):
    """The progress of a run, saved within the checkpoint so that it always agrees with the weights.

    Attributes:
        step: number of steps taken in the current epoch.
        loss_sum: sum of the loss over those steps.
        loss_parts: sum of the loss and number of steps in each of `PARTS` equal parts of the epoch so far.
        seconds: duration of those steps.
        wall_seconds: duration of the whole run, with everything around the steps, up to the last checkpoint.
        history: one entry for each finished epoch, as `history.json` shows it.
        best_score: best validation score so far, -1 before the first.
        best_epoch: the epoch whose weights are kept as the best, counted from 1; 0 before the first.
        best_step: updates at its end, which number its checkpoint; 0 where an older version did not record them.
        epochs_without_improvement: epochs without a better score, counted from the first score above 0.
        finished: whether the run has ended.
        data_digest: digest of the data; a run is never resumed with other data.
    """

    def __init__(self, data_digest: str) -> None:
        self.data_digest = data_digest
        self.step = 0
        self.loss_sum = 0.0
        self.loss_parts: list[tuple[float, int]] = []
        self.seconds = 0.0
        self.wall_seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.forget_best()
        self.finished = False

    @property
    def epoch(self) -> int:
        """The current epoch, counted from 0."""
        return len(self.history)

    def record_step(self, loss: float, epoch_steps: int, seconds: float) -> None:
        """Counts a step of an epoch of `epoch_steps`."""
        part, before = (step * PARTS // epoch_steps for step in (self.step, self.step - 1))
        sums, steps = (0.0, 0) if part != before or not self.loss_parts else self.loss_parts.pop()
        self.loss_parts.append((sums + loss, steps + 1))
        self.loss_sum += loss
        self.seconds += seconds
        self.step += 1

    def losses(self) -> dict[str, Any]:
        """Returns the mean loss of the epoch and of each of its parts, and its seconds; {} without a step."""
        if not self.step:
            return {}
        return {
            "loss": self.loss_sum / self.step,
            "losses": [sums / steps for sums, steps in self.loss_parts],
            "seconds": round(self.seconds, 1),
        }

    def end_epoch(self, entry: dict[str, Any]) -> None:
        """Adds an epoch to the history and begins the next one."""
        self.history.append(entry)
        self.step, self.loss_sum, self.loss_parts, self.seconds = 0, 0.0, [], 0.0

    def score_epoch(self, score: float | None, step: int) -> bool:
        """Compares the epoch that `end_epoch` has just added with the best one.

        If scores are equal, the later epoch is the best, because it has seen more data; without scores, the last epoch
        is. Epochs before the first score above 0 do not count as epochs without improvement.

        Args:
            score: score on the validation records; None without any.
            step: number of updates of the run so far.

        Returns:
            Whether the weights of this epoch are the best so far.
        """
        if score is not None:
            self.epochs_without_improvement = (
                0 if score > self.best_score or self.best_score <= 0 else self.epochs_without_improvement + 1
            )
        if score is not None and score < self.best_score:
            return False
        self.best_score = self.best_score if score is None else score
        self.best_epoch, self.best_step = self.epoch, step
        return True

    def forget_best(self) -> None:
        """Lets the next epoch count as the best."""
        self.best_score, self.best_epoch, self.best_step, self.epochs_without_improvement = -1.0, 0, 0, 0

    def serialize(self) -> str:
        """Returns the state as JSON; floats come back bit for bit."""
        # TensorFlow's own attributes of the object begin with an underscore.
        state = {_SAVED_AS.get(name, name): value for name, value in vars(self).items() if name[0] != "_"}
        return json.dumps(state | {"epoch": self.epoch})

    def deserialize(self, string_value: str) -> None:
        """Restores the state of `serialize`."""
        values = json.loads(string_value)
        history = values["history"]
        if "best_epoch" not in values and history:
            # Older versions kept the first epoch of equal scores, and the last epoch without scores.
            scores = [entry.get("f1", -1.0) for entry in history]
            self.best_epoch = 1 + scores.index(max(scores)) if max(scores) >= 0 else len(scores)
        # Older versions did not save this value.
        self.wall_seconds = sum(entry.get("seconds", 0.0) for entry in history)
        # The value is computed from the history.
        del values["epoch"]
        names = {saved: name for name, saved in _SAVED_AS.items()}
        for name, value in values.items():
            setattr(self, names.get(name, name), value)
