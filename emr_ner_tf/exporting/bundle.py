"""The bundle: one directory per version, named by an integer, that TensorFlow Serving loads as it is."""

import functools
import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.config import CONFIG_FILE, ConfigDict, load_config
from emr_ner_tf.data.document import Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.completeness import CONTRACT, CONTRACT_VERSION, TAGS, check_complete
from emr_ner_tf.exporting.model_card import model_card
from emr_ner_tf.exporting.signatures import ServingModule
from emr_ner_tf.exporting.versioning import GRAPH, METRICS, find_versions, newest_version, no_bundle
from emr_ner_tf.exporting.warmup import write_warmup
from emr_ner_tf.inference.annotator import Annotator, decode_entities, encode_texts
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.training.strategies import MULTI_WORKER

MODEL_CARD, LICENCE = "model_card.md", "LICENCE"


class Bundle(Annotator):
    """A loaded bundle.

    Attributes:
        path: directory of the version.
        definition: configuration, vocabulary, labels.
        tags: strings of the K tags, by id.
        signatures: functions by signature name; they take tensors by keyword and return tensors by name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Loads a version, or the newest version in a directory of versions.

        Raises:
            UserError: there is no bundle, it has another contract, or one of its files is missing, cut off or damaged.
        """
        self.path = find_version(path)
        assets = self.path / "assets"
        self.definition = ModelDefinition.load(assets)
        self.tags = tuple((assets / TAGS).read_text(encoding="utf-8").splitlines())
        try:
            self._model = tf.saved_model.load(str(self.path))
        except (tf.errors.OpError, ValueError) as error:
            # All files are complete: a checksum differs, or another version of TensorFlow wrote the graph.
            raise UserError(
                f"{self.path}: TensorFlow cannot load this bundle; saved_model.pb or variables/* is damaged: "
                f"{str(error).partition(chr(10))[0]}; copy or export the bundle again"
            ) from error
        self.signatures = self._model.signatures

    @property
    def labels(self) -> tuple[str, ...]:
        """As `Annotator.labels`."""
        return tuple(self.definition.labels)

    @property
    def name(self) -> str:
        """The version directory and a hash of its content; bundles with the same name are the same model."""
        digest = hashlib.sha256((self.path / GRAPH).read_bytes())
        digest.update((self.path / "variables" / "variables.index").read_bytes())
        return f"{self.path.name} {digest.hexdigest()[:32]}"

    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Returns the entities of each text, from the signature `serving_default`."""
        outputs = self.signatures["serving_default"](text=tf.constant(encode_texts(texts), tf.string))
        return decode_entities({name: value.numpy() for name, value in outputs.items()})

    def marginals(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the probability of each tag at each character, from the signature `marginals`.

        Args:
            texts: any number of texts of any length; texts of similar length are processed fastest.

        Returns:
            float32 [T, K] for each text, the tags in the order of `tags`.

        Raises:
            UserError: a text cannot be encoded as UTF-8.
        """
        found = self.signatures["marginals"](**self.look_up(texts))["marginals"].numpy()
        return [found[row, : len(text)] for row, text in enumerate(texts)]

    def look_up(self, texts: Sequence[str]) -> dict[str, tf.Tensor]:
        """Converts texts to the inputs `token_ids` and `length` of the signatures `decode` and `marginals`.

        Raises:
            UserError: a text cannot be encoded as UTF-8.
        """
        encoded = tf.constant(encode_texts(texts), tf.string)
        _, tokens, length = look_up(encoded, self._codes, self.definition.vocabulary.pad_id)
        return {"token_ids": tokens, "length": length}

    @functools.cached_property
    def _codes(self) -> tf.Tensor:
        return tf.constant(self.definition.vocabulary.code_point_table())


def load_teacher(config: ConfigDict, model_dir: str | os.PathLike[str], strategy: str) -> Bundle | None:
    """Loads the bundle that `config.distillation.teacher` names; None for "".

    The key is set to the version that is loaded. A resumed run uses the version with which it started, even if newer
    versions were exported since.

    Args:
        config: the whole configuration.
        model_dir: model directory of the run.
        strategy: name of the run's distribution strategy.

    Raises:
        UserError: the strategy uses several machines, `model_dir` has a run of another command, or as `Bundle`.
    """
    path = config.distillation.teacher
    if not path:
        return None
    if strategy == MULTI_WORKER:
        raise UserError(
            "config.distillation.teacher must be '' on several machines (--strategy=multi_worker_mirrored), each of "
            f"which would ask it for all passages, got {path!r}; distil on one machine"
        )
    begun = pathlib.Path(model_dir, CONFIG_FILE)
    saved = load_config(begun).distillation.teacher if begun.exists() else ""
    is_version = saved and os.path.realpath(pathlib.Path(saved).parent) == os.path.realpath(path)
    config.distillation.teacher = saved if is_version else str(find_version(path))
    return Bundle(config.distillation.teacher)


def find_version(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the directory of a bundle's version: `path` itself, or the highest integer in it.

    Raises:
        UserError: there is no bundle, or a file of the bundle is missing, empty or cut off; the message names the
            file.
    """
    path = pathlib.Path(path)
    found = newest_version(path)
    for needed in (GRAPH, f"assets/{CONTRACT}"):
        if not (found / needed).exists():
            if (found / "variables").exists() or (found / "assets").exists():
                raise UserError(
                    f"{found / needed}: no such file, though others of a bundle are there; "
                    "copy or export the bundle again"
                )
            older = [number for number, folder in find_versions(path).items() if (folder / GRAPH).exists()]
            if older and found != path:
                raise UserError(
                    f"{found}: the newest version has no {needed}; copy or export it again, or name version "
                    f"{max(older)}: {path / str(max(older))}"
                )
            raise no_bundle(path, needed)
    check_complete(found)
    return found


def write_bundle(
    ner_pipeline: NerPipeline,
    definition: ModelDefinition,
    path: pathlib.Path,
    *,
    metrics: str,
    licence: str,
) -> None:
    """Writes a version that is not published yet; `publish` gives it its number.

    Args:
        ner_pipeline: pipeline with its weights, computing in float32.
        definition: definition of the model.
        path: path from `unpublished_version`.
        metrics: JSON text of the training run's metrics, with the key `exported`.
        licence: text of the weights' licence.
    """
    module = ServingModule(ner_pipeline)
    signatures = module.signatures()
    verbosity = logging.get_verbosity()
    # TensorFlow would log a warning for every variable of every signature.
    logging.set_verbosity(logging.ERROR)
    try:
        tf.saved_model.save(module, str(path), signatures=signatures)
    finally:
        logging.set_verbosity(verbosity)
    assets = path / "assets"
    assets.mkdir(exist_ok=True)
    definition.save(assets)
    (assets / TAGS).write_text("".join(f"{tag}\n" for tag in ner_pipeline.table.tags), encoding="utf-8")
    card = model_card(definition, metrics)
    (assets / MODEL_CARD).write_text(card, encoding="utf-8")
    (assets / LICENCE).write_text(licence, encoding="utf-8")
    (assets / METRICS).write_text(metrics, encoding="utf-8")
    (assets / CONTRACT).write_text(f"{CONTRACT_VERSION}\n", encoding="utf-8")
    write_warmup(path)
