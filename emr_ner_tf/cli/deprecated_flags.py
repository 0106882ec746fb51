"""Old names of flags, which still work in this version: each use prints a warning on standard error."""

import sys

from absl import flags

# A flag belongs to the command that defines it.
flags.disclaim_key_flags()

_RENAMED: dict[str, str] = {}


def define_deprecated_alias(old: str, new: str) -> None:
    """Defines the old name of a flag that was renamed.

    Args:
        old: the old name.
        new: the flag that it sets, which must already be defined.
    """
    flags.DEFINE_alias(old, new)
    _RENAMED[old] = new


def is_deprecated(name: str) -> bool:
    """Returns whether a flag is the old name of another flag; help does not list it."""
    return name in _RENAMED


def warn_of_deprecated_flags() -> None:
    """Prints a warning for each old name on the parsed command line or in its flag file."""
    for old, new in _RENAMED.items():
        if old in flags.FLAGS and flags.FLAGS[old].present:
            print(
                f"warning: --{old} is deprecated and will be removed in the next version; use --{new}",
                file=sys.stderr,
            )
