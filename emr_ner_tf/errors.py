"""Errors that a user can cause and fix: shown as one message, never as a stack trace."""

import errno

_REMEDIES = {
    errno.ENOSPC: "free some space there, or name another place",
    errno.EDQUOT: "free some space there, or name another place",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or name another place",
    errno.EROFS: "name a place that can be written to",
    errno.EACCES: "check the permissions of the file and of its folder",
    errno.EEXIST: "a folder is needed there, and a file has that name; name another place",
    errno.ENOTDIR: "a folder is needed there, and a file has that name; name another place",
    errno.ENAMETOOLONG: "a file name has at most 255 bytes, and a Chinese character has 3; choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class UserError(Exception):
    """The user's input cannot be used; the message has its name, the rule and the value received."""


class UsageError(UserError):
    """A command was called wrongly (exit status 2, where other user errors are 1)."""


class Terminated(BaseException):
    """The process was asked to end by a signal; it unwinds as after Ctrl-C, so that nothing is left half done.

    Attributes:
        signal_number: number of the signal, such as 15 for SIGTERM.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def describe_os_error(error: OSError) -> str:
    """Returns one line with the file, the cause and, if there is one, the remedy."""
    if error.errno is None or error.strerror is None:
        return str(error)
    remedy = _REMEDIES.get(error.errno)
    line = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{line}; {remedy}" if remedy else line
