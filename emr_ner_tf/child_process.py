"""Runs commands as steps of another command; they end with it."""

import contextlib
import subprocess
from collections.abc import Sequence
from typing import IO

_GRACE_S = 10.0


def run_to_end(arguments: Sequence[str], stdout: IO | None = None) -> int:
    """Runs a process and waits for it; if this process is asked to end, the child first cleans up and ends.

    Args:
        arguments: the program and its arguments.
        stdout: destination of its results; None is the standard output of this process.

    Returns:
        Its exit status, negative if a signal ended it.
    """
    with subprocess.Popen(arguments, stdout=stdout) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # A terminal also sends Ctrl-C to the child; a second signal would interrupt its clean-up.
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S / 2)
            _end(child)
            raise
        except BaseException:
            _end(child)
            raise


def _end(child: subprocess.Popen) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
