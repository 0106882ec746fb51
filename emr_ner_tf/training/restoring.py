"""A trained model as it runs in this process, from its model directory."""

import os
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.annotator import encode_texts, entities_of
from emr_ner_tf.data.document import Entity
from emr_ner_tf.models.definition import ModelDefinition, build_tagger
from emr_ner_tf.models.text_tagger import TextTagger
from emr_ner_tf.training.checkpoints import BEST, restore_weights


class InProcessTagger:
    """Entities of texts by a text tagger of this process, traced once.

    Attributes:
        text_tagger: reads the weights as they stand at each call.
    """

    def __init__(self, text_tagger: TextTagger) -> None:
        self.text_tagger = text_tagger
        self._entities = tf.function(text_tagger.entities, input_signature=[tf.TensorSpec([None], tf.string)])

    def tag_texts(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, in order.

        Raises:
            UserError: a text holds a lone surrogate.
        """
        outputs = self._entities(tf.constant(encode_texts(texts), tf.string))
        return entities_of({name: value.numpy() for name, value in outputs.items()})


def restore(model_dir: str | os.PathLike[str], which: str = BEST) -> tuple[InProcessTagger, ModelDefinition]:
    """Builds the model of `model_dir` in float32 and reads its weights.

    Args:
        model_dir: as `emr_ner_tf.training.trainer.train` writes it.
        which: "best" or "last" checkpoint.

    Returns:
        The tagger and its definition.

    Raises:
        UserError: not a model directory, or no checkpoint in it.
    """
    definition = ModelDefinition.load(model_dir)
    tf.keras.mixed_precision.set_global_policy("float32")
    tagger, definition = build_tagger(definition)
    restore_weights(tagger, model_dir, which)
    return InProcessTagger(TextTagger(tagger, definition.vocabulary, definition.config)), definition
