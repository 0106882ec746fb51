"""Finds the files of an encoder, in the layout of Hugging Face or Google: in a directory or on the Hugging Face hub."""

import os
import pathlib
import socket
import urllib.parse
import urllib.request
from typing import Any

from emr_ner_tf.data.whole_files import read_object
from emr_ner_tf.encoders.tensor_paths import INDEX, tensor_paths
from emr_ner_tf.errors import UserError

CONFIG, VOCABULARY, ADDED_TOKENS = "config.json", "vocab.txt", "added_tokens.json"
# File names of Google's layout.
BERT_CONFIG, BERT_CHECKPOINT = "bert_config.json", "bert_model.ckpt"
# File names of weights in the order of preference. An index lists the files of weights in several parts.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "tf_model.h5",
    f"{BERT_CHECKPOINT}{INDEX}",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SECONDS = 5.0


def check_named(encoder: str) -> None:
    """Raises a UserError if `config.encoder` is empty."""
    if not encoder:
        raise UserError(
            "config.encoder must name a directory or a hub name in the Hugging Face layout "
            "(for example --config.encoder=hfl/chinese-roberta-wwm-ext), got ''"
        )


def find_file(name_or_dir: str, *names: str) -> pathlib.Path:
    """Finds the first of the named files that an encoder has.

    Args:
        name_or_dir: a directory, the prefix of a TensorFlow checkpoint in it, or a hub name such as
            `bert-base-chinese`.
        names: file names, the preferred one first.

    Returns:
        A local path. A file of the hub comes from the hub's cache, into which it is downloaded if necessary.

    Raises:
        UserError: there is no such file; the message has the names and the place.
    """
    wanted = " or ".join(names)
    folder = local_folder(name_or_dir)
    if folder is not None:
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise UserError(f"encoder {str(folder)!r}: the directory must contain {wanted}")
    if not name_or_dir or name_or_dir[0] in "./~" or name_or_dir.count("/") > 1 or "\\" in name_or_dir:
        raise UserError(f"encoder {name_or_dir!r}: there is no such directory; looked for {wanted} in it")
    # The file may have been added to the model after the cache recorded its absence.
    for trust_cache in (True, False):
        for name in names:
            path = _from_hub(name_or_dir, name, wanted, trust_cache=trust_cache)
            if path is not None:
                return path
    raise UserError(
        f"encoder {name_or_dir!r}: there is no such directory, and the hub's model of that name must hold {wanted}, "
        f"and it does not ({_endpoint()}/{name_or_dir})"
    )


def find_optional_file(name_or_dir: str, name: str) -> pathlib.Path | None:
    """Finds an optional file of an encoder; None if there is none or if the hub cannot be reached."""
    folder = local_folder(name_or_dir)
    if folder is not None:
        return folder / name if (folder / name).is_file() else None
    try:
        return _from_hub(name_or_dir, name, name, trust_cache=True)
    except UserError:
        return None


def local_folder(name_or_dir: str) -> pathlib.Path | None:
    """Returns the local folder of an encoder; None for a hub name or a path that does not exist.

    Raises:
        UserError: the path is a file.
    """
    if os.path.isdir(name_or_dir):
        return pathlib.Path(name_or_dir)
    if name_or_dir and os.path.isfile(f"{name_or_dir}{INDEX}"):
        return pathlib.Path(name_or_dir).parent
    if os.path.exists(name_or_dir):
        raise UserError(
            f"encoder {name_or_dir!r}: must be a directory, or the prefix of a TensorFlow checkpoint such as "
            f"DIR/{BERT_CHECKPOINT}, got a file; name the directory that contains it"
        )
    return None


def find_weights(name_or_dir: str) -> list[pathlib.Path]:
    """Finds the weights of an encoder: one file, the parts that an index lists, or a TensorFlow checkpoint's files.

    Raises:
        UserError: there are no weights, an index is malformed or lists a missing part, or the directory has several
            checkpoints.
    """
    prefix = _checkpoint_prefix(name_or_dir)
    if prefix is not None:
        return tensor_paths(prefix)
    path = find_file(name_or_dir, *WEIGHTS)
    if path.suffix == INDEX:
        # On the hub, the data file must be requested, too.
        return [path, find_file(name_or_dir, f"{BERT_CHECKPOINT}.data-00000-of-00001")]
    if path.suffix != ".json":
        return [path]
    parts = read_object(path).get("weight_map")
    if not isinstance(parts, dict) or not parts or not all(isinstance(part, str) for part in parts.values()):
        raise UserError(f"{path}: must hold `weight_map`, an object from names to files")
    return [find_file(name_or_dir, os.path.basename(part)) for part in sorted(set(parts.values()))]


def encoder_files(name_or_dir: str) -> list[pathlib.Path]:
    """Returns all files of an encoder: configuration, vocabulary and weights.

    Raises:
        UserError: a file is missing; see `find_weights`.
    """
    files = [find_file(name_or_dir, CONFIG, BERT_CONFIG), find_file(name_or_dir, VOCABULARY)]
    added = find_optional_file(name_or_dir, ADDED_TOKENS)
    return [*files, *([added] if added else []), *find_weights(name_or_dir)]


def read_config(name_or_dir: str) -> dict[str, Any]:
    """Reads an encoder's `config.json`, or Google's `bert_config.json`, whose `model_type` is `bert`.

    Raises:
        UserError: the file is missing, is not a JSON object, or has no `model_type` or `vocab_size`.
    """
    path = find_file(name_or_dir, CONFIG, BERT_CONFIG)
    config = read_object(path)
    if path.name == BERT_CONFIG:
        config = {"model_type": "bert"} | config
    for key, kind in (("model_type", str), ("vocab_size", int)):
        if not isinstance(config.get(key), kind):
            google = (
                f"; where this is Google's file, its name is {BERT_CONFIG}" if key == "model_type" else ""
            )
            raise UserError(f"{path}: must hold `{key}` ({kind.__name__}), got {config.get(key)!r}{google}")
    return config


def _checkpoint_prefix(name_or_dir: str) -> pathlib.Path | None:
    """Returns the prefix of the TensorFlow checkpoint with the weights; None if they are in another format."""
    folder = local_folder(name_or_dir)
    if folder is None:
        return None
    if not os.path.isdir(name_or_dir):
        return pathlib.Path(name_or_dir)
    before = WEIGHTS[: WEIGHTS.index(f"{BERT_CHECKPOINT}{INDEX}")]
    if any((folder / name).is_file() for name in before):
        return None
    if (folder / f"{BERT_CHECKPOINT}{INDEX}").is_file():
        return folder / BERT_CHECKPOINT
    # Other names in use, such as roberta_zh_large_model.ckpt or model.ckpt-100000.
    found = sorted(path.name.removesuffix(INDEX) for path in folder.glob(f"*.ckpt*{INDEX}"))
    if not found or any((folder / name).is_file() for name in WEIGHTS):
        return None
    if len(found) > 1:
        shown = ", ".join(found[:3])
        raise UserError(
            f"encoder {name_or_dir!r}: the directory holds {len(found)} TensorFlow checkpoints ({shown}); name one: "
            f"{folder / found[-1]}"
        )
    return folder / found[0]


def _from_hub(name: str, file: str, wanted: str, *, trust_cache: bool) -> pathlib.Path | None:
    """Returns a file of a model on the hub, from the cache or after a download; None if the model has no such file.

    Args:
        name: name of the model.
        file: name of the file.
        wanted: names of the searched files, for messages.
        trust_cache: whether to rely on the cache if it has recorded that the file does not exist.

    Raises:
        UserError: the hub cannot be reached, or does not give access to the model.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    try:
        cached = huggingface_hub.try_to_load_from_cache(name, file)
        if isinstance(cached, str):
            return pathlib.Path(cached)
        if cached is not None and trust_cache:
            return None
        if not constants.HF_HUB_OFFLINE:
            _check_hub(name, wanted)
        return pathlib.Path(huggingface_hub.hf_hub_download(name, file))
    except (OSError, ValueError) as error:
        if isinstance(error, errors.EntryNotFoundError) and not isinstance(
            error, errors.LocalEntryNotFoundError
        ):
            return None
        reason = str(error).splitlines()[0]
        if isinstance(error, errors.RepositoryNotFoundError):
            reason = "it has no model of that name that this user may read"
        raise UserError(
            f"encoder {name!r}: there is no such directory, and looking for {wanted} in the hub: {reason}"
        ) from error


def _check_hub(name: str, wanted: str) -> None:
    """Raises if the hub cannot be reached; its own client would retry for half a minute and log each retry."""
    if urllib.request.getproxies():
        return
    place = urllib.parse.urlsplit(_endpoint())
    port = place.port or (80 if place.scheme == "http" else 443)
    try:
        socket.create_connection((place.hostname or "", port), timeout=_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"encoder {name!r}: there is no such directory, the hub's cache does not have it, and the hub at "
            f"{_endpoint()} cannot be reached ({error}); looked for {wanted}. "
            "Name a directory that holds config.json, vocab.txt and the weights"
        ) from error


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT
