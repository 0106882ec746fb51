"""Flags that name files and folders: `~/` is the home directory, a remote address is refused, `-` is a stream."""

import os
import re
from typing import Any

from absl import flags

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.atomic_io import STANDARD
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.errors import UsageError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL_ONLY = (
    "is a remote address, and this command reads and writes local files only; copy it to this machine first, "
    "or use annotate_archive, which supports the file systems of Apache Beam"
)


# A flag belongs to the command that defines it, so that its help lists it.
flags.disclaim_key_flags()


class _PathParser(flags.ArgumentParser):
    """Reads one path, or several that are separated by commas."""

    def __init__(self, *, stream: bool, remote: bool, empty: bool = False, several: bool = False) -> None:
        super().__init__()
        self._stream = stream
        self._remote = remote
        self._empty = empty
        self._several = several

    def parse(self, argument: str) -> str:
        if not argument and self._empty:
            return argument
        if self._several:
            try:
                paths = split_paths(argument, "it")
            except UsageError as error:
                raise ValueError(str(error)) from None
            return ",".join(map(self._path, paths or [""]))
        return self._path(argument)

    def _path(self, path: str) -> str:
        if not path:
            raise ValueError("it must name a file or a folder, got an empty name")
        if path == STANDARD and not self._stream:
            raise ValueError("it cannot be a stream; write ./- for a file of that name")
        problem = None if self._remote else remote_problem(path)
        if problem:
            raise ValueError(problem)
        return os.path.expanduser(path)

    def flag_type(self) -> str:
        return "path"


def remote_problem(path: str) -> str | None:
    """Returns the reason why a path is refused if it is a remote address, and None if it is local."""
    return f"it {_LOCAL_ONLY}" if _ADDRESS.match(path) else None


def define_path(
    name: str,
    default: str | None,
    help: str,
    *,
    required: bool = False,
    stream: str = "",
    remote: bool = False,
    several: bool = False,
) -> flags.FlagHolder[Any]:
    """Defines a flag whose value is a path.

    Args:
        name: name of the flag.
        default: value if the flag is not given; if it is "", an empty value is allowed.
        help: one sentence.
        required: whether the flag must be given.
        stream: "input" or "output" if `-` means that standard stream.
        remote: whether a remote address is allowed.
        several: whether the value is a list of paths separated by commas.

    Returns:
        The holder of the flag; its value is a string with `~/` expanded.
    """
    return flags.DEFINE(
        _PathParser(stream=bool(stream), remote=remote, empty=default == "", several=several),
        name,
        default,
        _with_stream(help, stream),
        serializer=flags.ArgumentSerializer(),
        required=required,
    )


def define_paths(
    name: str, help: str, *, required: bool = False, stream: str = "", remote: bool = False
) -> flags.FlagHolder[Any]:
    """Defines a flag that can be given several times, each time with a path; its value is their list, or None."""
    return flags.DEFINE_multi(
        _PathParser(stream=bool(stream), remote=remote),
        flags.ArgumentSerializer(),
        name,
        None,
        _with_stream(help, stream),
        required=required,
    )


def _with_stream(help: str, stream: str) -> str:
    return f"{help} Use - for standard {stream}." if stream else help


def local_paths(config: ConfigDict, prefix: str = "config") -> ConfigDict:
    """Expands `~/` in every string of a configuration, comma-separated lists included.

    Args:
        config: configuration, changed in place.
        prefix: name of the flag, for messages.

    Returns:
        `config`.

    Raises:
        UsageError: a string is a remote address.
    """
    for key, value in config.items():
        name = f"{prefix}.{key}"
        if isinstance(value, ConfigDict):
            local_paths(value, name)
        elif isinstance(value, str):
            parts = value.split(",")
            for part in parts:
                problem = remote_problem(part)
                if problem:
                    raise UsageError(f"--{name}={part}: {problem}")
            config[key] = ",".join(map(os.path.expanduser, parts))
    return config
