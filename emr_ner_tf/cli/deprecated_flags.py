"""Old names of flags, which work for one more version: each use prints a warning on standard error."""

import sys

from absl import flags

# A flag belongs to the command that defines it.
flags.disclaim_key_flags()

_RENAMED: dict[str, str] = {}


def define_deprecated_alias(old: str, new: str) -> None:
    """Keeps the old name of a flag that has been renamed.

    Args:
        old: the name that users have typed.
        new: the flag that it sets, which must be defined already.
    """
    flags.DEFINE_alias(old, new)
    _RENAMED[old] = new


def is_deprecated(name: str) -> bool:
    """Whether a flag is the old name of another, which help leaves out."""
    return name in _RENAMED


def warn_of_deprecated_flags() -> None:
    """Prints a warning for each old name that the parsed command line, or its flag file, holds."""
    for old, new in _RENAMED.items():
        if old in flags.FLAGS and flags.FLAGS[old].present:
            print(
                f"warning: --{old} is deprecated and will be removed in the next version; use --{new}",
                file=sys.stderr,
            )
