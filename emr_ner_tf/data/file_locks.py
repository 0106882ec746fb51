"""Locks on open files and folders; a lock ends with its process."""

import enum
import fcntl


class Lock(enum.Enum):
    """The outcome of `try_lock`."""

    TAKEN = enum.auto()
    HELD = enum.auto()
    UNSUPPORTED = enum.auto()


def try_lock(descriptor: int) -> Lock:
    """Tries to lock the file or folder of a descriptor; closing the descriptor releases the lock.

    Returns:
        Whether this process now has the lock, another process has it, or the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.HELD
    except OSError:
        return Lock.UNSUPPORTED
    return Lock.TAKEN
