"""Publishes versions under an output directory: a version is written to a hidden folder and then renamed.

The process that writes a version keeps the hidden folder locked. A folder of a killed process is not locked, and the
next export removes it.
"""

import contextlib
import ctypes
import errno
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterator

from absl import logging

from emr_ner_tf.data.file_locks import Lock, try_lock
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.versioning import GRAPH, LARGEST, find_versions, numbered_entries

_HIDDEN = re.compile(r"\.(unpublished|removed\.\d+)\.[0-9a-f]{32}")
# Errors that mean that the new name exists: as an empty folder, a folder with files, or a file.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextlib.contextmanager
def unpublished_version(output: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Creates a locked folder beside the versions, with a name that no other export uses on any machine.

    Args:
        output: directory of the versions, created if necessary.

    Yields:
        The folder, for `publish`. If it is not published when the block ends, it is removed, and so is `output` if it
        was created here.

    Raises:
        UserError: `output` is not a directory.
    """
    output = pathlib.Path(output)
    created = _create_folders(output)
    try:
        _remove_orphans(output)
        path, descriptor = _locked_folder(output)
        try:
            yield path
        finally:
            # A published version has been renamed.
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in created:
                folder.rmdir()
        raise


def publish(unpublished: pathlib.Path, output: str | os.PathLike[str]) -> pathlib.Path:
    """Renames an unpublished version to the next free integer, so that a server sees it whole or not at all.

    The number is above that of every entry, files and broken links included, because TensorFlow Serving considers the
    entry with the highest number as the newest version. If another export uses the number first, the next one is used.

    Returns:
        The version's directory.

    Raises:
        UserError: there is no higher number.
        OSError: the version cannot be written to the disk or renamed.
    """
    output = pathlib.Path(output)
    _write_through(unpublished)
    while True:
        highest = max(numbered_entries(output), default=0)
        if highest >= LARGEST:
            raise UserError(
                f"{output / str(highest)}: a new version needs a higher number, and TensorFlow Serving has none; "
                "remove it, or name another --output"
            )
        target = output / str(highest + 1)
        try:
            _rename_to_new(unpublished, target)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            continue
        return target


def keep_newest(output: str | os.PathLike[str], keep: int) -> list[pathlib.Path]:
    """Removes all but the newest `keep` versions; each is first renamed, so that no server sees it.

    A numbered folder without a SavedModel is not a version: it is neither counted nor removed. If a version is a
    symbolic link, the link is removed and its target stays.

    Returns:
        The versions that were removed.

    Raises:
        OSError: one cannot be removed.
    """
    output = pathlib.Path(output)
    kept = sorted(number for number, path in find_versions(output).items() if _is_model(path))[-keep:]
    removed = []
    for number, entries in sorted(numbered_entries(output).items()):
        for path in entries:
            if kept and number < kept[0] and _is_model(path):
                # Another export may remove the version at the same time.
                with contextlib.suppress(FileNotFoundError):
                    _remove_version(path, number)
                    removed.append(path)
    return removed


def _is_model(path: pathlib.Path) -> bool:
    return (path / GRAPH).is_file()


def _remove_version(path: pathlib.Path, number: int) -> None:
    if path.is_symlink():
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try_lock(descriptor)
        hidden = path.rename(path.with_name(f".removed.{number}.{uuid.uuid4().hex}"))
        shutil.rmtree(hidden)
    finally:
        os.close(descriptor)


def _create_folders(output: pathlib.Path) -> list[pathlib.Path]:
    """Creates a folder with its parents and returns the created ones, the innermost first."""
    missing = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{output}: must be a directory, but it is a file or is inside a file") from error
    return missing


def _locked_folder(output: pathlib.Path) -> tuple[pathlib.Path, int]:
    while True:
        path = output / f".unpublished.{uuid.uuid4().hex}"
        path.mkdir()
        # Until the folder is locked, another export may consider it an orphan, lock it and remove it.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            if try_lock(descriptor) is not Lock.HELD and _is_open_at(path, descriptor):
                return path, descriptor
            os.close(descriptor)


def _is_open_at(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_orphans(output: pathlib.Path) -> None:
    """Removes hidden folders that no process has locked; on a file system without locks they stay."""
    for path in output.iterdir():
        if not _HIDDEN.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if try_lock(descriptor) is Lock.TAKEN and _is_open_at(path, descriptor):
                    shutil.rmtree(path)
                    logging.info("%s: removed; the export that wrote it was killed", path)
            finally:
                os.close(descriptor)


def _write_through(folder: pathlib.Path) -> None:
    """Flushes the files of a folder to the disk, since some file systems only report then that they are full."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some file systems cannot flush a folder.
            if not path.is_dir() or error.errno not in _NO_SUCH_CALL:
                error.filename = os.fspath(path)
                raise
        finally:
            os.close(descriptor)


def _rename_to_new(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames without replacing anything; a plain rename would replace an empty folder."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        names = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target))
        if call(*names, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_SUCH_CALL:
            raise OSError(code, os.strerror(code), os.fspath(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    source.rename(target)
