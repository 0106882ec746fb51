"""Flags with a number as value; unlike absl's own flags, they refuse NaN and infinity."""

import math
from typing import Any

from absl import flags

# More than eleven days. Sockets count milliseconds in 32 bits.
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
    """Defines a flag whose value is a finite number.

    Args:
        name: name of the flag.
        default: value if the flag is not given.
        help: one sentence.
        least: smallest allowed value.
        most: largest allowed value.

    Returns:
        The holder of the flag.
    """
    parser = _FiniteParser(least, most)
    return flags.DEFINE(parser, name, default, help, serializer=flags.ArgumentSerializer())


def define_seconds(name: str, default: float, help: str, least: float = 0.0) -> flags.FlagHolder[Any]:
    """Defines a flag whose value is a number of seconds, at most `MAX_SECONDS`; see `define_float`."""
    return define_float(name, default, help, least, MAX_SECONDS)
