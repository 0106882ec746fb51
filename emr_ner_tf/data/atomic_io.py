"""Writes output files atomically: a file is either complete or absent. Streams are written directly.

Links are followed, and the mode of an existing file is kept. A device or a pipe is written as a stream, and so is `-`,
which is standard output.
"""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import IO

from emr_ner_tf.data.file_locks import Lock, try_lock
from emr_ner_tf.errors import UserError

STANDARD = "-"
# Errors of these kinds always concern the output, whatever the block was doing.
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Names of open descriptors; even if one is a regular file, writing continues at its current position.
_DESCRIPTOR = re.compile(r"/(?:dev/(stdout|stderr)|(?:dev|proc/self)/fd/([0-9]+))")
# A file name has at most 255 bytes; in that of a temporary file, the name of the output has at most this many.
MAX_NAME_BYTES, _NAME_BYTES = 255, 200


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Returns whether `path` is a standard stream, names a descriptor, or exists and is not a regular file."""
    if os.fspath(path) == STANDARD or _descriptor(path) is not None:
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def check_not_an_input(output: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuses an output that would replace an input; a stream replaces nothing.

    Args:
        output: the output.
        inputs: the inputs; "" stands for one that is not given.

    Raises:
        UserError: `output` is one of the inputs.
    """
    is_file = os.path.isdir(output) or not is_stream(output)
    if is_file and os.path.realpath(output) in map(os.path.realpath, filter(None, inputs)):
        raise UserError(
            f"{os.fspath(output)}: is an input, and the output would replace it; name another --output"
        )


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO]:
    """Opens a private file beside `path` and renames it to `path` after the block has succeeded.

    A symbolic link is followed: its target is replaced. An existing file keeps its mode, and its owner if this process
    may set it. A device, a pipe and `-` (standard output) are written directly, since they cannot be replaced. The
    temporary file of a killed process is removed by the next process that writes the same file.

    Args:
        path: the output file; its folder is created.
        mode: "w" (UTF-8, LF) or "wb".

    Yields:
        The open file. If the block raises, `path` is unchanged and the temporary file is removed.

    Raises:
        UserError: `path` is a directory.
        OSError: the file cannot be written; `filename` is `path`.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    if is_stream(path):
        with _stream(path, mode, text) as file:
            yield file
        return
    target = pathlib.Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, beside = _private_file(target)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    try:
        with errors_named(path), open(descriptor, mode, **text) as file:
            yield file
            file.flush()
            _copy_mode(target, descriptor)
            # A full disk or an exceeded quota may only be reported here; after the rename, it would be too late.
            os.fsync(descriptor)
            os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _stream(path: str | os.PathLike[str], mode: str, text: dict[str, str]) -> Iterator[IO]:
    if os.fspath(path) == STANDARD:
        yield sys.stdout.buffer if "b" in mode else sys.stdout
        sys.stdout.flush()
        return
    if os.path.isdir(path):
        raise UserError(f"{os.fspath(path)}: must be a file, got a directory")
    number = _descriptor(path)
    with errors_named(path), open(path if number is None else os.dup(number), mode, **text) as file:
        yield file


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """Returns the number of the descriptor that a path names."""
    found = _DESCRIPTOR.fullmatch(os.fspath(path))
    if found is None:
        return None
    return {"stdout": 1, "stderr": 2}[found[1]] if found[1] else int(found[2])


@contextlib.contextmanager
def errors_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the name of the output to errors of writing, which the operating system reports without a name.

    Args:
        path: the output file.

    Yields:
        Nothing.

    Raises:
        OSError: the error of the block, with `filename` set.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in OUTPUT_ERRORS:
            error.filename = os.fspath(path)
        raise


def _private_file(target: pathlib.Path) -> tuple[int, pathlib.Path]:
    """Creates a locked file beside `target`; only this user can read it, because it may contain records."""
    _remove_orphans(target.parent, _temporary_start(target))
    while True:
        beside = temporary_path(target)
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        # Without locks on this file system, no file is considered an orphan, either.
        try_lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor, beside
        # Another process considered the file an orphan just before it was locked.
        os.close(descriptor)


def temporary_path(target: pathlib.Path) -> pathlib.Path:
    """Returns a new hidden path beside `target`, with a name of valid length."""
    return target.with_name(f"{_temporary_start(target)}{secrets.token_hex(4)}.tmp")


def _temporary_start(target: pathlib.Path) -> str:
    return f".{os.fsdecode(os.fsencode(target.name)[:_NAME_BYTES])}."


def _remove_orphans(folder: pathlib.Path, start: str) -> None:
    """Removes temporary files that are not locked, because their processes have exited."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if not (name.startswith(start) and name.endswith(".tmp")):
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if try_lock(descriptor) is Lock.TAKEN:
                        os.unlink(folder / name)
                finally:
                    os.close(descriptor)


def mode_of_new_files() -> int:
    """Returns the mode that this process gives to the files that it creates."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


def _copy_mode(target: pathlib.Path, descriptor: int) -> None:
    try:
        present = os.stat(target)
    except FileNotFoundError:
        os.fchmod(descriptor, mode_of_new_files())
        return
    with contextlib.suppress(OSError):
        os.fchown(descriptor, present.st_uid, present.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(present.st_mode))
