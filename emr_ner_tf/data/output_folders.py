"""Checks that a folder can be written to, before the work whose results will be written there."""

import os
import pathlib

from emr_ner_tf.errors import UserError


def check_output_folder(path: str | os.PathLike[str], flag: str) -> None:
    """Checks that a folder can be written to or created; nothing is written.

    Args:
        path: path of the folder.
        flag: the flag that names it, for the message.

    Raises:
        UserError: there is a file with that name, or permission is missing.
    """
    place = pathlib.Path(os.path.realpath(path))
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if not nearest.is_dir():
        raise UserError(f"{flag} must be a directory, got {os.fspath(path)}, and {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{flag}={os.fspath(path)}: {nearest} cannot be written to; check its permissions")
