"""Whether a bundle's version has all its files, each to its end: half a copy is found before anything is loaded."""

import json
import pathlib
from typing import Any

from google.protobuf.message import DecodeError, Message
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.encoders.tensor_files import open_tensors
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.model_definition import CONFIG, ENCODER, LABELS, LEXICON, VOCABULARY
from emr_ner_tf.text.vocabulary import Vocabulary

GRAPH, FINGERPRINT, VARIABLES = "saved_model.pb", "fingerprint.pb", "variables/variables"
TAGS, CONTRACT, CONTRACT_VERSION = "tags.txt", "contract_version", "1"
_COPY_AGAIN = "copy or export the bundle again"


def check_complete(version: pathlib.Path) -> None:
    """Checks that the files of a version are there, whole, and agree with one another.

    Args:
        version: its directory.

    Raises:
        UserError: one is missing, empty or cut off, or the bundle has another contract; the message names the file.
    """
    assets = version / "assets"
    contract = _text(assets / CONTRACT).strip()
    if contract != CONTRACT_VERSION:
        raise UserError(
            f"{assets / CONTRACT}: this version of emr_ner_tf reads contract {CONTRACT_VERSION}, got {contract!r}"
        )
    saved = saved_model_pb2.SavedModel()
    _parse(saved, version / GRAPH)
    if not saved.meta_graphs:
        raise _cut_off(version / GRAPH, "it holds no graph")
    if (version / FINGERPRINT).exists():
        _parse(fingerprint_pb2.FingerprintDef(), version / FINGERPRINT)
    if not (version / VARIABLES).parent.is_dir():
        raise UserError(
            f"{(version / VARIABLES).parent}: no such folder, though {GRAPH} is there; {_COPY_AGAIN}"
        )
    open_tensors(version / VARIABLES)
    config, encoder = (_json(assets / name) for name in (CONFIG, ENCODER))
    _lines(assets / VOCABULARY)
    tokens = len(Vocabulary.load(assets / VOCABULARY).tokens)
    rows = encoder.get("vocab_size")
    if tokens != rows:
        raise _cut_off(
            assets / VOCABULARY, f"must hold the {rows} tokens that {ENCODER} counts, got {tokens}"
        )
    labels, tags = (_lines(assets / name) for name in (LABELS, TAGS))
    model = config.get("model")
    if not isinstance(model, dict):
        raise _cut_off(assets / CONFIG, "`model` must be an object")
    expected = TagTable(tuple(labels), model.get("scheme")).tags
    if sorted(tags) != sorted(expected):
        short = LABELS if len(tags) > len(expected) else TAGS
        raise _cut_off(
            assets / short, f"{len(labels)} labels make {len(expected)} tags, and {TAGS} holds {len(tags)}"
        )
    if (assets / LEXICON).exists():
        _lines(assets / LEXICON)


def _lines(path: pathlib.Path) -> list[str]:
    content = _text(path)
    if not content.endswith("\n"):
        raise _cut_off(path, "its last line has no end")
    return content.splitlines()


def _text(path: pathlib.Path) -> str:
    try:
        return _content(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _cut_off(path, "it is not UTF-8") from error


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except ValueError as error:
        raise _cut_off(path, "it is not JSON") from error
    if not isinstance(value, dict):
        raise _cut_off(path, f"must be a JSON object, got {type(value).__name__}")
    return value


def _parse(message: Message, path: pathlib.Path) -> None:
    try:
        message.ParseFromString(_content(path))
    except DecodeError as error:
        raise _cut_off(path, "its end is missing, or it is damaged") from error


def _content(path: pathlib.Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {_COPY_AGAIN}") from error
    if not content:
        raise _cut_off(path, "it is empty")
    return content


def _cut_off(path: pathlib.Path, reason: str) -> UserError:
    return UserError(f"{path}: not a whole file: {reason}; {_COPY_AGAIN}")
