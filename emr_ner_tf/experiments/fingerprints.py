"""Identifies the files of a run by name and digest, wherever they are."""

import functools
import hashlib
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from emr_ner_tf.config import RANDOM_ENCODER
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.encoders.hub import encoder_files, local_folder
from emr_ner_tf.errors import UserError

_SHOWN = 16


class Fingerprint(NamedTuple):
    """Identifies files independently of their directory.

    Attributes:
        name: name of the file or directory without its path; names of several files are joined by commas. What is not
            UTF-8 is escaped.
        digest: digest of the content.
    """

    name: str
    digest: str


@functools.cache
def fingerprint_files(paths: str) -> Fingerprint:
    """Returns the fingerprint of files or folders of files, whose paths are joined by commas.

    The files of a folder, and of those in it, count with their names; those whose names begin with a dot do not.

    Raises:
        UserError: a file cannot be read.
    """
    files = [pathlib.Path(path) for path in split_paths(paths, "a list of files")]
    return Fingerprint(escape_surrogates(",".join(file.name for file in files)), _digest(files))


@functools.cache
def fingerprint_encoder(name_or_dir: str) -> Fingerprint:
    """Returns the fingerprint of an encoder: its configuration, vocabulary and weights.

    Raises:
        UserError: one of these files is missing.
    """
    if name_or_dir == RANDOM_ENCODER:
        return Fingerprint(RANDOM_ENCODER, RANDOM_ENCODER)
    files = encoder_files(name_or_dir)
    name = pathlib.Path(name_or_dir).resolve().name if local_folder(name_or_dir) else name_or_dir
    return Fingerprint(escape_surrogates(name), _digest(files))


def _digest(files: Iterable[pathlib.Path]) -> str:
    joint = hashlib.sha256()
    for path in files:
        if path.is_dir():
            joint.update(_folder_digest(path))
            continue
        try:
            with open(path, "rb") as file:
                joint.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return joint.hexdigest()[:_SHOWN]


def _folder_digest(folder: pathlib.Path) -> bytes:
    found = sorted(
        pathlib.Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    )
    joint = hashlib.sha256()
    for path in found:
        joint.update(os.fsencode(path.relative_to(folder)) + b"\0" + _digest([path]).encode())
    return joint.digest()
