"""Flags that take a number: one that is not finite is refused, which absl's bounds let through."""

import math
from typing import Any

from absl import flags

# More than eleven days; sockets count milliseconds in 32 bits.
MAX_SECONDS = 1_000_000.0

# A flag belongs to the command that defines it, so that its help lists it.
flags.disclaim_key_flags()


class _FiniteParser(flags.FloatParser):
    """Reads a finite number within bounds."""

    def convert(self, argument: Any) -> float:
        value = super().convert(argument)
        if not math.isfinite(value):
            raise ValueError("it must be a finite number")
        return value


def define_float(
    name: str, default: float | None, help: str, least: float | None = None, most: float | None = None
) -> flags.FlagHolder[Any]:
    """Defines a flag that takes a finite number.

    Args:
        name: of the flag.
        default: its value where it is not given.
        help: one sentence.
        least: the smallest value that it takes.
        most: the largest value that it takes.

    Returns:
        The flag's holder.
    """
    parser = _FiniteParser(least, most)
    return flags.DEFINE(parser, name, default, help, serializer=flags.ArgumentSerializer())


def define_seconds(name: str, default: float, help: str, least: float = 0.0) -> flags.FlagHolder[Any]:
    """Defines a flag that takes seconds, `MAX_SECONDS` at most; see `define_float`."""
    return define_float(name, default, help, least, MAX_SECONDS)
