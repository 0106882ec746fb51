"""Failures to write a run's files, such as a full disk, as one line that says how to resume."""

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

from emr_ner_tf.errors import UserError

_NO_SPACE = "free some space there"
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "make the file system writable",
    errno.EACCES: "check the permissions of the file and of its folder",
    errno.EPERM: "check the permissions of the file and of its folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


@contextlib.contextmanager
def failed_writes_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors of the system, raised by Python or by TensorFlow, into one that says how to go on.

    Args:
        path: the file or folder that is written; an error that names another file is reported with that name.

    Raises:
        UserError: the block cannot write.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # TensorFlow puts the system's own words at the end of a line, after the name of a temporary file.
        lines = (error.message or str(error)).split("\n")
        number = next(
            (code for code in errno.errorcode for line in lines if f"; {os.strerror(code)}" in line), None
        )
        cause = lines[0] if number is None else os.strerror(number)
        raise _failure(path, cause, number) from error
    except OSError as error:
        raise _failure(error.filename or path, error.strerror or str(error), error.errno) from error


def _failure(path: str | os.PathLike[str], cause: str, number: int | None) -> UserError:
    remedy = _REMEDIES.get(number, "see to it that this can be written")
    return UserError(
        f"{os.fspath(path)}: cannot be written: {cause}; {remedy}, and run the same command again: it resumes from "
        "the last whole checkpoint"
    )
