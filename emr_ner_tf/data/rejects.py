"""The file that keeps the records that something is wrong with."""

import base64
import contextlib
import os
import pathlib
import stat
from collections.abc import Iterable
from typing import IO, Any, Protocol

from emr_ner_tf.data.atomic_io import errors_named, is_stream, mode_of_new_files
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.errors import UsageError


class Rejects(Protocol):
    """Takes the records that a reader passes over."""

    def add(self, error: RecordError, raw: bytes) -> None:
        """Takes one record: what is wrong, and the bytes of its line or lines."""


class NullRejects:
    """Takes bad records and keeps none of them: another pass, or another process, does."""

    def add(self, error: RecordError, raw: bytes) -> None:
        """Does nothing."""


class RejectsWriter:
    """Writes bad records to a file of JSON lines, which begins to exist with the first of them.

    A line holds `file`, `line`, `entity`, `rule`, `value`, `message`, and the record itself: `record`, its
    line as it stood (in BIO columns its lines, joined by line feeds), `record_base64` if not UTF-8.

    Attributes:
        path: the file.
        count: records written.
    """

    def __init__(self, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Names the file; it is opened with the first record.

        Args:
            path: the file.
            inputs: what is read meanwhile, and must not be written.

        Raises:
            UsageError: `path` is one of the inputs.
        """
        self.path = pathlib.Path(path)
        self.count = 0
        if os.path.realpath(path) in map(os.path.realpath, inputs):
            raise UsageError(
                f"{os.fspath(path)}: is read, and rejected records would be written to it; name another --output, or "
                "rename that file"
            )
        self._file: IO[str] | None = None

    @classmethod
    def beside(
        cls, output: str | os.PathLike[str] | None, inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> "RejectsWriter":
        """Returns the writer of `OUTPUT.rejects.jsonl`, which gets the mode of OUTPUT where that exists.

        Raises:
            UsageError: there is no output, or it is no file that another one can stand beside.
        """
        if output is None or (is_stream(output) and not os.path.isdir(output)):
            got = "none" if output is None else f"{os.fspath(output)!r}"
            raise UsageError(
                "--on_error=skip needs --output to name a file, since the rejected records are written beside it, "
                f"got {got}"
            )
        return cls(f"{pathlib.Path(output)}.rejects.jsonl", inputs)

    def add(self, error: RecordError, raw: bytes) -> None:
        """Writes one record, at once, so that a job that dies leaves those it met."""
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
            # It is as private as the output beside it.
            beside = stat.S_IMODE(os.stat(str(self.path).removesuffix(".rejects.jsonl")).st_mode)
            mode &= beside
        descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
        return open(descriptor, "w", encoding="utf-8", newline="\n")

    def close(self) -> None:
        """Closes the file; with nothing rejected, takes away what an earlier run left under its name."""
        if self._file is not None:
            self._file.close()
        elif not is_stream(self.path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                # A link stays a link; the rejects of an earlier run are gone from where it leads.
                pathlib.Path(os.path.realpath(self.path)).unlink()

    def __enter__(self) -> "RejectsWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # A run that failed before it met a bad record says nothing about the rejects of an earlier one.
        if kind is None or self._file is not None:
            self.close()


def reject_fields(error: RecordError, raw: bytes) -> dict[str, Any]:
    """What a rejects file says of one record: see `RejectsWriter`."""
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
