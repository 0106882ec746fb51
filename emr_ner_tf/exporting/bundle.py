"""The bundle: one directory per version, named by an integer, that TensorFlow Serving loads as it is."""

import hashlib
import os
import pathlib
import shutil
import uuid
from collections.abc import Sequence

import tensorflow as tf
from absl import logging

from emr_ner_tf.annotator import encode_texts, entities_of
from emr_ner_tf.data.document import Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.model_card import model_card
from emr_ner_tf.exporting.signatures import ServingModule
from emr_ner_tf.exporting.version_folders import find_versions
from emr_ner_tf.exporting.warmup import write_warmup
from emr_ner_tf.models.definition import ModelDefinition
from emr_ner_tf.models.text_tagger import TextTagger

CONTRACT_VERSION = "1"
TAGS, MODEL_CARD, CONTRACT, METRICS, LICENCE = (
    "tags.txt",
    "model_card.md",
    "contract_version",
    "metrics.json",
    "LICENCE",
)


class Bundle:
    """A loaded bundle.

    Attributes:
        path: directory of the version.
        definition: configuration, vocabulary, labels.
        tags: strings of the K tags, by id.
        signatures: callables by signature name, tensors by keyword in, tensors by name out.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Loads a version, or the newest version of a directory of them.

        Raises:
            UserError: there is no bundle, or one of another contract.
        """
        self.path = find_version(path)
        assets = self.path / "assets"
        contract = (assets / CONTRACT).read_text(encoding="utf-8").strip()
        if contract != CONTRACT_VERSION:
            raise UserError(
                f"{assets / CONTRACT}: this version of emr_ner_tf reads contract {CONTRACT_VERSION}, got {contract!r}"
            )
        self.definition = ModelDefinition.load(assets)
        self.tags = tuple((assets / TAGS).read_text(encoding="utf-8").splitlines())
        self._model = tf.saved_model.load(str(self.path))
        self.signatures = self._model.signatures

    def fingerprint(self) -> str:
        """Version directory and a hash of what it holds: two bundles with the same one are the same model."""
        digest = hashlib.sha256((self.path / "saved_model.pb").read_bytes())
        digest.update((self.path / "variables" / "variables.index").read_bytes())
        return f"{self.path.name} {digest.hexdigest()[:32]}"

    def tag_texts(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, by the signature `serving_default`."""
        outputs = self.signatures["serving_default"](text=tf.constant(encode_texts(texts), tf.string))
        return entities_of({name: value.numpy() for name, value in outputs.items()})


def find_version(path: str | os.PathLike[str]) -> pathlib.Path:
    """The directory of a bundle's version: `path` itself, or the highest integer in it.

    Raises:
        UserError: neither holds a bundle; the message names what was looked for.
    """
    path = pathlib.Path(path)
    versions = find_versions(path)
    found = path if not versions or (path / "saved_model.pb").exists() else versions[max(versions)]
    for needed in ("saved_model.pb", f"assets/{CONTRACT}"):
        if not (found / needed).exists():
            raise UserError(
                f"{path}: no bundle: looked for {needed} in it and in its folders named by an integer; "
                "python -m emr_ner_tf.cli.export writes one"
            )
    return found


def write_bundle(
    text_tagger: TextTagger,
    definition: ModelDefinition,
    path: pathlib.Path,
    *,
    metrics: str,
    licence: str,
) -> None:
    """Writes a version that is not published yet; `publish` gives it its number.

    Args:
        text_tagger: with its weights, computing in float32.
        definition: of the model.
        path: as `unpublished_path` gives it.
        metrics: JSON text of the training run's metrics, and of what is exported.
        licence: text of the weights' licence.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    module = ServingModule(text_tagger)
    signatures = module.signatures()
    verbosity = logging.get_verbosity()
    # TensorFlow lists every variable of every signature, as a warning.
    logging.set_verbosity(logging.ERROR)
    try:
        tf.saved_model.save(module, str(path), signatures=signatures)
    finally:
        logging.set_verbosity(verbosity)
    assets = path / "assets"
    assets.mkdir(exist_ok=True)
    definition.save(assets)
    (assets / TAGS).write_text("".join(f"{tag}\n" for tag in text_tagger.table.tags), encoding="utf-8")
    card = model_card(definition, metrics)
    (assets / MODEL_CARD).write_text(card, encoding="utf-8")
    (assets / LICENCE).write_text(licence, encoding="utf-8")
    (assets / METRICS).write_text(metrics, encoding="utf-8")
    (assets / CONTRACT).write_text(f"{CONTRACT_VERSION}\n", encoding="utf-8")
    write_warmup(path)


def unpublished_path(output: str | os.PathLike[str]) -> pathlib.Path:
    """Where a version is written beside the others, out of a server's sight; a new name, on any machine."""
    return pathlib.Path(output) / f".unpublished.{uuid.uuid4().hex}"


def publish(unpublished: pathlib.Path, output: str | os.PathLike[str]) -> pathlib.Path:
    """Renames an unpublished version to the next free integer, so that a server sees it whole or not at all."""
    output = pathlib.Path(output)
    version = max(find_versions(output), default=0) + 1
    return unpublished.rename(output / str(version))


def keep_newest(output: str | os.PathLike[str], keep: int) -> list[pathlib.Path]:
    """Removes all but the newest `keep` versions, each renamed out of a server's sight first.

    Returns:
        The versions that were removed.
    """
    output = pathlib.Path(output)
    old = [path for _, path in sorted(find_versions(output).items())[:-keep]]
    for path in old:
        hidden = path.rename(output / f".removed.{path.name}.{uuid.uuid4().hex}")
        shutil.rmtree(hidden)
    return old
