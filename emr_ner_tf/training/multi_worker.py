"""Agreement between the workers of a run beside gradients, and errors if a worker is lost."""

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
    """Returns the chief's values on every worker; all must call it, and each waits for the others.

    Args:
        strategy: any; those of one process return what they are given.
        values: at least one, as many on each worker.
    """
    return _gather(strategy, np.array(values, np.float64))[0].tolist()


def assert_workers_agree(strategy: tf.distribute.Strategy, parts: Iterable[str | bytes], rule: str) -> None:
    """Checks that every worker has the same; all must call, and each waits for the others.

    Args:
        strategy: any; those of one process have nothing to check.
        parts: values to compare, by their SHA-256.
        rule: the message, where they differ.

    Raises:
        UserError: a worker differs; it is raised on every worker.
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
    """Turns TensorFlow's errors after the loss of a worker into one with a remedy.

    Raises:
        UserError: another worker is gone.
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
