"""Files of an encoder, from a directory or from the hub."""

import json
import os
import pathlib
from typing import Any

from emr_ner_tf.errors import UserError

CONFIG, VOCABULARY = "config.json", "vocab.txt"
# In the order in which they are looked for.
WEIGHTS = ("model.safetensors", "tf_model.h5", "pytorch_model.bin")


def find_file(name_or_dir: str, *names: str) -> pathlib.Path:
    """Finds the first of the named files that an encoder has.

    Args:
        name_or_dir: a directory, or a hub name such as `bert-base-chinese`.
        names: file names, the preferred one first.

    Returns:
        A local path; from the hub it is fetched into transformers' cache.

    Raises:
        UserError: none is there; the message names what was looked for and where.
    """
    folder = pathlib.Path(name_or_dir)
    wanted = " or ".join(names)
    if folder.is_dir():
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise UserError(f"encoder {name_or_dir}: the directory has no {wanted}")
    if os.path.isabs(name_or_dir) or name_or_dir.startswith(".") or name_or_dir.count("/") > 1:
        raise UserError(f"encoder {name_or_dir}: no such directory")
    for name in names:
        path = _from_hub(name_or_dir, name)
        if path is not None:
            return path
    raise UserError(
        f"encoder {name_or_dir}: no directory of that name here, and {wanted} could not be had from the hub under it; "
        "check the name and the network, or name a directory that holds config.json, vocab.txt and the weights"
    )


def read_config(name_or_dir: str) -> dict[str, Any]:
    """Reads an encoder's `config.json`.

    Raises:
        UserError: it is missing or no JSON object.
    """
    path = find_file(name_or_dir, CONFIG)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise UserError(f"{path}: not an encoder's configuration: it has no `model_type`")
    return config


def _from_hub(name: str, file: str) -> pathlib.Path | None:
    from huggingface_hub.utils import logging
    from transformers.utils.hub import cached_file

    # Its retries are logged request by request; what a user needs is the error at the end.
    logging.set_verbosity_error()
    try:
        path = cached_file(
            name,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):
        return None
    return None if path is None else pathlib.Path(path)
