"""Locks on open files and folders, which end with their process."""

import enum
import fcntl


class Lock(enum.Enum):
    """The outcome of `try_lock`."""

    TAKEN = enum.auto()
    HELD = enum.auto()
    UNSUPPORTED = enum.auto()


def try_lock(descriptor: int) -> Lock:
    """Tries to lock what a descriptor has open; closing the descriptor releases it.

    Returns:
        Whether this process has the lock now, another one holds it, or the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.HELD
    except OSError:
        return Lock.UNSUPPORTED
    return Lock.TAKEN
