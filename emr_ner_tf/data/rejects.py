"""Receivers of rejected records, such as the writer of the rejects file."""

import base64
import contextlib
import os
import pathlib
import stat
from collections.abc import Iterable
from typing import IO, Any, Protocol

from emr_ner_tf.data.atomic_io import MAX_NAME_BYTES, errors_named, is_stream, mode_of_new_files
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.errors import UsageError

_MAX_ERRORS = 20
_SUFFIX = ".rejects.jsonl"


class Rejects(Protocol):
    """Receives the records that a reader rejects."""

    def add(self, error: RecordError, raw: bytes) -> None:
        """Receives the error of a record and the bytes of its line or lines."""


class NullRejects:
    """Discards bad records, because another pass or another process reports them."""

    def add(self, error: RecordError, raw: bytes) -> None:
        """Does nothing."""


class CountedRejects:
    """Counts bad records, keeps the first errors, and passes the records on.

    Attributes:
        count: number of bad records.
        errors: the first `_MAX_ERRORS` errors.
    """

    def __init__(self, following: Rejects | None = None) -> None:
        """Starts with none; `following` receives the records, too."""
        self.count = 0
        self.errors: list[RecordError] = []
        self._following = following or NullRejects()

    def add(self, error: RecordError, raw: bytes) -> None:
        """Receives the error of a record and the bytes of its line or lines."""
        self.count += 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)
        self._following.add(error, raw)


class RejectsWriter:
    """Writes bad records to a file of JSON lines, which is created with the first of them.

    A line holds `file`, `line`, `entity`, `rule`, `value`, `message`, and the record itself: `record`, its
    unchanged line (in BIO columns its lines, joined by line feeds), or `record_base64` if it is not UTF-8.

    Attributes:
        path: the file.
        count: number of records written.
    """

    def __init__(self, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Names the file; it is opened with the first record.

        Args:
            path: the file.
            inputs: files that are being read and must not be overwritten.

        Raises:
            UsageError: `path` is one of the inputs.
        """
        self.path = pathlib.Path(path)
        self.count = 0
        if os.path.realpath(path) in map(os.path.realpath, inputs):
            raise UsageError(
                f"{os.fspath(path)}: is an input, and rejected records would be written to it; name another "
                "--output, or rename that file"
            )
        self._file: IO[str] | None = None

    @classmethod
    def beside(
        cls, output: str | os.PathLike[str] | None, inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> "RejectsWriter":
        """Returns the writer of `OUTPUT.rejects.jsonl`, which gets the mode of OUTPUT if that file exists.

        Raises:
            UsageError: there is no output, it is not a file, or its name is too long.
        """
        if output is None or (is_stream(output) and not os.path.isdir(output)):
            got = "none" if output is None else f"{os.fspath(output)!r}"
            raise UsageError(
                "--on_error=skip needs --output to name a file, since the rejected records are written beside it, "
                f"got {got}"
            )
        path = pathlib.Path(f"{pathlib.Path(output)}{_SUFFIX}")
        if (size := len(os.fsencode(path.name))) > MAX_NAME_BYTES:
            # Checked before the work, which would otherwise fail at the first bad record.
            raise UsageError(
                f"--on_error=skip writes rejected records to {path}, and the name of a file must have at most "
                f"{MAX_NAME_BYTES} bytes, got {size}; name a shorter --output"
            )
        return cls(path, inputs)

    def add(self, error: RecordError, raw: bytes) -> None:
        """Writes one record and flushes it, so that rejected records remain if the job dies."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
        with errors_named(self.path):
            self._file.write(f"{json_line(reject_fields(error, raw))}\n")
            self._file.flush()
        self.count += 1

    def _open(self) -> IO[str]:
        mode = mode_of_new_files()
        with contextlib.suppress(OSError):
            # The file has the same permissions as the output beside it.
            beside = stat.S_IMODE(os.stat(str(self.path).removesuffix(_SUFFIX)).st_mode)
            mode &= beside
        descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
        return open(descriptor, "w", encoding="utf-8", newline="\n")

    def close(self) -> None:
        """Closes the file; if nothing was rejected, removes the file of an earlier run."""
        if self._file is not None:
            self._file.close()
        elif not is_stream(self.path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                # A link is kept; its target, the file of an earlier run, is removed.
                pathlib.Path(os.path.realpath(self.path)).unlink()

    def __enter__(self) -> "RejectsWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # A run that failed before the first bad record leaves the file of an earlier run.
        if kind is None or self._file is not None:
            self.close()


def reject_fields(error: RecordError, raw: bytes) -> dict[str, Any]:
    """Returns the fields of a record in a file of rejects; see `RejectsWriter`."""
    fields = {
        "file": error.path,
        "line": error.line,
        "entity": error.entity,
        "rule": error.rule,
        "value": error.value,
        "message": str(error),
    }
    try:
        return fields | {"record": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return fields | {"record_base64": base64.b64encode(raw).decode("ascii")}
