"""Old names of flags, which still work in this version: each use prints a warning on standard error."""

import re
import sys
from collections.abc import Sequence

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
            _warn(old, new)


def rename_config_keys(argv: Sequence[str]) -> list[str]:
    """Returns the arguments, those of flag files included, with the new names of configuration keys.

    Prints a warning for each old name.
    """
    from emr_ner_tf.config import RENAMED_KEYS

    renamed = []
    for argument in flags.FLAGS.read_flags_from_files(list(argv), force_gnu=False):
        name = re.match(r"--?config\.([\w.]+)", argument)
        if name is not None and name[1] in RENAMED_KEYS:
            new = f"config.{RENAMED_KEYS[name[1]]}"
            _warn(f"config.{name[1]}", new)
            argument = f"--{new}{argument[name.end() :]}"
        renamed.append(argument)
    return renamed


def _warn(old: str, new: str) -> None:
    print(
        f"warning: --{old} is deprecated and will be removed in the next version; use --{new}",
        file=sys.stderr,
    )
