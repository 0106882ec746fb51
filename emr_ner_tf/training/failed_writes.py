"""Failures to write a run's files, such as a full disk, as one line that says how to resume."""

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

from emr_ner_tf.errors import UserError, describe_os_error


@contextlib.contextmanager
def failed_writes_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors of the system, raised by Python or by TensorFlow, into one line that says how to resume.

    Args:
        path: the file or folder that is written; an error that names another file is reported with that name.

    Raises:
        UserError: the block cannot write.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        cause = as_os_error(error)
        place, cause.filename = cause.filename or path, None
        raise UserError(
            f"{os.fspath(place)}: cannot be written: {describe_os_error(cause)}; then run the same command again: it "
            "resumes from the last whole checkpoint"
        ) from error


def as_os_error(error: OSError | tf.errors.OpError) -> OSError:
    """Returns the system's error behind one that TensorFlow raises; an error of the system as it is."""
    if isinstance(error, OSError):
        return error
    # TensorFlow puts the system's own words at the end of a line, after the name of a temporary file.
    message = error.message or type(error).__name__
    for code in errno.errorcode:
        if f"; {os.strerror(code)}" in message:
            return OSError(code, os.strerror(code))
    return OSError(message.partition("\n")[0])
