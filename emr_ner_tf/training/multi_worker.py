"""Exchange of values between the workers of a run, in addition to gradients, and errors if a worker is lost."""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from emr_ner_tf.errors import UserError

# Errors of collectives and of the coordination service when a peer dies, hangs or leaves the network.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
)
_TASK = re.compile(r"/job:(\w+)/replica:0/task:(\d+) while calling|Error reported from /job:(\w+)/task:(\d+)")


def broadcast_from_chief(strategy: tf.distribute.Strategy, values: list[float]) -> list[float]:
    """Returns the chief's values on every worker. All workers must call it; each waits for the others.

    Args:
        strategy: any strategy; with those of one process, `values` are returned.
        values: at least one value, the same number on each worker.
    """
    return _gather(strategy, np.array(values, np.float64))[0].tolist()


def assert_workers_agree(strategy: tf.distribute.Strategy, parts: Iterable[str | bytes], rule: str) -> None:
    """Checks that all workers have the same values. All workers must call it; each waits for the others.

    Args:
        strategy: any strategy; with those of one process, nothing is checked.
        parts: values to compare, by their SHA-256.
        rule: the error message if they differ.

    Raises:
        UserError: the values of a worker differ; the error is raised on every worker.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace"))
    found = _gather(strategy, np.frombuffer(digest.digest(), np.int32))
    if (found != found[0]).any():
        raise UserError(rule)


@contextlib.contextmanager
def report_lost_workers() -> Iterator[None]:
    """Converts TensorFlow's errors after the loss of a worker to an error with a remedy.

    Raises:
        UserError: another worker was lost.
    """
    try:
        yield
    except _LOST as error:
        task = _TASK.search(error.message)
        name = " ".join(part for part in task.groups() if part) if task else "another worker"
        raise UserError(
            f"lost {name}; its log has the cause. Start all workers again with the same commands: the run resumes from "
            "its last checkpoint"
        ) from error


def _gather(strategy: tf.distribute.Strategy, vector: np.ndarray) -> np.ndarray:
    """Returns the vector of each replica's process, the chief's first: [R, n]."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return vector[None]
    return strategy.gather(strategy.run(lambda: tf.constant(vector)[None]), axis=0).numpy()
