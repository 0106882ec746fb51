"""Loads a trained model from its model directory into this process."""

import os
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.data.document import Entity
from emr_ner_tf.inference.annotator import Annotator, decode_entities, encode_texts
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.tagger import Tagger
from emr_ner_tf.training.checkpoints import BEST, restore_weights


class InProcessTagger(Annotator):
    """Finds entities with a model in this process, whose function is traced once.

    Attributes:
        ner_pipeline: the pipeline, which uses the current weights at each call.
    """

    def __init__(self, ner_pipeline: NerPipeline) -> None:
        self.ner_pipeline = ner_pipeline

        def entities(text: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = ner_pipeline.entities(text)
            # `Document` fills in the text of each mention, so the output `mention` is not needed.
            del outputs["mention"]
            return outputs

        self._entities = tf.function(
            entities, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    @property
    def name(self) -> str:
        """A fixed name, since a model in this process has no other."""
        return "model in this process"

    @property
    def labels(self) -> tuple[str, ...]:
        """As `Annotator.labels`."""
        return self.ner_pipeline.table.labels

    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Returns entities of each text, in order.

        Raises:
            UserError: a text holds a lone surrogate.
        """
        outputs = self._entities(tf.constant(encode_texts(texts), tf.string))
        return decode_entities({name: value.numpy() for name, value in outputs.items()})


def restore(model_dir: str | os.PathLike[str], which: str = BEST) -> tuple[InProcessTagger, ModelDefinition]:
    """Builds the model of `model_dir` in float32 as an annotator; the arguments are those of `restore_tagger`."""
    tagger, definition = restore_tagger(model_dir, which)
    return InProcessTagger(NerPipeline(tagger, definition.vocabulary, definition.config.text)), definition


def restore_tagger(model_dir: str | os.PathLike[str], which: str = BEST) -> tuple[Tagger, ModelDefinition]:
    """Builds the model of `model_dir` in float32 and reads its weights.

    Args:
        model_dir: model directory that `emr_ner_tf.training.trainer.train` wrote.
        which: "best" or "last" checkpoint.

    Returns:
        The tagger and its definition.

    Raises:
        UserError: `model_dir` is not a model directory, or has no checkpoint.
    """
    definition = ModelDefinition.load(model_dir)
    tf.keras.mixed_precision.set_global_policy("float32")
    tagger, definition = build_tagger(definition)
    restore_weights(tagger, model_dir, which, averaged=definition.config.train.average_decay > 0)
    return tagger, definition
