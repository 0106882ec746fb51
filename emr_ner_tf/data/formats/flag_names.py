"""Replaces the names of flags in errors of readers by the flags or keys of the caller."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator

from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.errors import UserError

_OPTION = f"--({'|'.join(field.name for field in dataclasses.fields(FormatOptions))})"
_OPTIONS = re.compile(rf"{_OPTION}\b(?:=\S+(?: {_OPTION}=\S+)*)?")


@contextlib.contextmanager
def flags_named(format_flag: str, options_flag: str) -> Iterator[None]:
    """Replaces `--format` and the flags of `FormatOptions` in errors of the block.

    Args:
        format_flag: replacement of `--format`, such as `--config.data.format`.
        options_flag: flag that takes all options as `NAME=VALUE,...`, such as `--config.data.options`.

    Yields:
        Nothing.

    Raises:
        UserError: the error of the block, with the same type.
    """
    renamed = _renaming(format_flag, options_flag)
    try:
        yield
    except RecordError as error:
        error.reword(renamed)
        raise
    except UserError as error:
        raise type(error)(renamed(str(error))) from None


class RejectsWithFlags:
    """Replaces the same flags in the errors of rejected records, and passes them on.

    Args:
        following: receives the records.
        format_flag: as in `flags_named`.
        options_flag: as in `flags_named`.
    """

    def __init__(self, following: Rejects, format_flag: str, options_flag: str) -> None:
        self._following = following
        self._renamed = _renaming(format_flag, options_flag)

    def add(self, error: RecordError, raw: bytes) -> None:
        """Receives the error of a record and the bytes of its line or lines."""
        error.reword(self._renamed)
        self._following.add(error, raw)


def _renaming(format_flag: str, options_flag: str) -> Callable[[str], str]:
    def options(found: re.Match[str]) -> str:
        named = found[0].replace(" --", ",").removeprefix("--")
        return f"{options_flag}={named}" + ("" if "=" in named else "=...")

    return lambda message: _OPTIONS.sub(options, message.replace("--format=", f"{format_flag}="))
