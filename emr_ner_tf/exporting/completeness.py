"""Checks that a version of a bundle has all its files and that they are complete, before anything is loaded."""

import pathlib

from google.protobuf.message import DecodeError, Message
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.data.whole_files import COPY_AGAIN, damaged, read_content, read_text, read_whole_lines
from emr_ner_tf.encoders.tensor_files import open_tensors
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.versioning import GRAPH
from emr_ner_tf.models.model_definition import LABELS, ModelDefinition

FINGERPRINT, VARIABLES = "fingerprint.pb", "variables/variables"
TAGS, CONTRACT, CONTRACT_VERSION = "tags.txt", "contract_version", "1"


def check_complete(version: pathlib.Path) -> None:
    """Checks that the files of a version exist, are complete, and agree with one another.

    Args:
        version: directory of the version.

    Raises:
        UserError: a file is missing, empty or cut off, or the bundle has another contract; the message names the file.
    """
    assets = version / "assets"
    contract = read_text(assets / CONTRACT).strip()
    if contract != CONTRACT_VERSION:
        raise UserError(
            f"{assets / CONTRACT}: this version of emr_ner_tf reads contract {CONTRACT_VERSION}, got {contract!r}"
        )
    saved = saved_model_pb2.SavedModel()
    _parse(saved, version / GRAPH)
    if not saved.meta_graphs:
        raise damaged(version / GRAPH, "it holds no graph")
    if (version / FINGERPRINT).exists():
        _parse(fingerprint_pb2.FingerprintDef(), version / FINGERPRINT)
    if not (version / VARIABLES).parent.is_dir():
        raise UserError(
            f"{(version / VARIABLES).parent}: no such folder, although there is a {GRAPH}; {COPY_AGAIN}"
        )
    open_tensors(version / VARIABLES)
    definition = ModelDefinition.load(assets)
    labels, tags = definition.labels, read_whole_lines(assets / TAGS)
    expected = TagTable(labels, definition.config.model.scheme).tags
    if sorted(tags) != sorted(expected):
        short = LABELS if len(tags) > len(expected) else TAGS
        raise damaged(
            assets / short, f"{len(labels)} labels make {len(expected)} tags, and {TAGS} holds {len(tags)}"
        )


def _parse(message: Message, path: pathlib.Path) -> None:
    try:
        message.ParseFromString(read_content(path))
    except DecodeError as error:
        raise damaged(path, "cut off or damaged") from error
