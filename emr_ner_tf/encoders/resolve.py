"""Files of an encoder: in a directory, or in the Hugging Face hub under a name."""

import json
import os
import pathlib
import socket
import urllib.parse
import urllib.request
from typing import Any

from emr_ner_tf.errors import UserError

CONFIG, VOCABULARY = "config.json", "vocab.txt"
# In the order in which they are looked for. An index lists the parts of weights in several files.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "tf_model.h5",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SECONDS = 5.0


def find_file(name_or_dir: str, *names: str) -> pathlib.Path:
    """Finds the first of the named files that an encoder has.

    Args:
        name_or_dir: a directory, or a hub name such as `bert-base-chinese`.
        names: file names, the preferred one first.

    Returns:
        A local path. What transformers' cache holds is taken from there, the rest fetched into it.

    Raises:
        UserError: none is there; the message names what was looked for and where.
    """
    wanted = " or ".join(names)
    if os.path.isdir(name_or_dir):
        for name in names:
            path = pathlib.Path(name_or_dir, name)
            if path.is_file():
                return path
        raise UserError(f"encoder {name_or_dir!r}: the directory must hold {wanted}, and it does not")
    if not name_or_dir or name_or_dir[0] in "./~" or name_or_dir.count("/") > 1 or "\\" in name_or_dir:
        raise UserError(f"encoder {name_or_dir!r}: there is no such directory; looked for {wanted} in it")
    for name in names:
        path = _from_hub(name_or_dir, name, wanted)
        if path is not None:
            return path
    raise UserError(
        f"encoder {name_or_dir!r}: there is no such directory, and the hub's model of that name must hold {wanted}, "
        f"and it does not ({_endpoint()}/{name_or_dir})"
    )


def find_weights(name_or_dir: str) -> list[pathlib.Path]:
    """Finds the weights of an encoder: one file, or the parts that an index lists.

    Raises:
        UserError: as `find_file`; or an index is malformed, or lists a part that is not there.
    """
    path = find_file(name_or_dir, *WEIGHTS)
    if path.suffix != ".json":
        return [path]
    parts = _read_object(path).get("weight_map")
    if not isinstance(parts, dict) or not parts or not all(isinstance(part, str) for part in parts.values()):
        raise UserError(f"{path}: must hold `weight_map`, an object from names to files")
    return [find_file(name_or_dir, os.path.basename(part)) for part in sorted(set(parts.values()))]


def read_config(name_or_dir: str) -> dict[str, Any]:
    """Reads an encoder's `config.json`.

    Raises:
        UserError: it is missing, is no JSON object, or has no `model_type` or `vocab_size`.
    """
    path = find_file(name_or_dir, CONFIG)
    config = _read_object(path)
    for key, kind in (("model_type", str), ("vocab_size", int)):
        if not isinstance(config.get(key), kind):
            raise UserError(f"{path}: must hold `{key}` ({kind.__name__}), got {config.get(key)!r}")
    return config


def _read_object(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no JSON can be read here: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a JSON object, got {type(value).__name__}")
    return value


def _from_hub(name: str, file: str, wanted: str) -> pathlib.Path | None:
    from transformers.utils.hub import cached_file, is_offline_mode

    def find(**options: bool) -> str | None:
        try:
            return cached_file(name, file, _raise_exceptions_for_missing_entries=False, **options)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"encoder {name!r}: there is no such directory, and looking for {wanted} in the hub: {reason}"
            ) from error

    path = find(local_files_only=True)
    if path is None and not is_offline_mode():
        _check_hub(name, wanted)
        path = find()
    return None if path is None else pathlib.Path(path)


def _check_hub(name: str, wanted: str) -> None:
    """Raises where the hub cannot be reached; its own client would try for a minute or more, and say so each time."""
    if urllib.request.getproxies():
        return
    place = urllib.parse.urlsplit(_endpoint())
    port = place.port or (80 if place.scheme == "http" else 443)
    try:
        socket.create_connection((place.hostname or "", port), timeout=_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"encoder {name!r}: there is no such directory, transformers' cache does not have it, and the hub at "
            f"{_endpoint()} cannot be reached ({error}); looked for {wanted}. "
            "Name a directory that holds config.json, vocab.txt and the weights"
        ) from error


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT
