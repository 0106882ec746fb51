"""Combines several trained taggers into one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.crf import CRF
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.tagger import Tagger


class Ensemble(tf.keras.Model):
    """Averages the emissions and the transitions of taggers; the result is a single CRF.

    The score of a path is then the mean of its scores under the members, and its probability is proportional to the
    geometric mean of its probabilities.

    Attributes:
        members: the taggers, with their weights.
        table: the tags of every member.
        crf: CRF with the mean of the members' transitions.
    """

    def __init__(self, members: Sequence[Tagger]) -> None:
        super().__init__(name="ensemble")
        self.members = list(members)
        self.table = members[0].table
        first = members[0].crf
        self.crf = CRF.from_table(self.table, constrain_decoding=first.constrain_decoding, name="crf")
        for variable, *values in zip(self.crf.variables, *(m.crf.variables for m in members), strict=True):
            variable.assign(np.mean([value.numpy() for value in values], axis=0))

    def call(self, token_ids: tf.Tensor, length: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes the mean emissions.

        Args:
            token_ids: int32 [B, T], as for `Tagger.call`.
            length: int32 [B].
            training: whether dropout is on.

        Returns:
            float32 [B, T, K].
        """
        emissions = [member(token_ids, length, training=training) for member in self.members]
        return tf.add_n(emissions) / float(len(emissions))


def check_members(definitions: Sequence[ModelDefinition], names: Sequence[str]) -> None:
    """Checks that models can be averaged: they must have the same tags, token ids and windows.

    Args:
        definitions: definitions of the models.
        names: names of the models, for the message.

    Raises:
        UserError: two of them differ; the message says in what.
    """
    for definition, name in zip(definitions[1:], names[1:], strict=True):
        own, others = _agreed(definitions[0]), _agreed(definition)
        for what, value in own.items():
            if others[what] != value:
                raise UserError(
                    f"models of an ensemble must have the same {what}, got {value} in {names[0]} and "
                    f"{others[what]} in {name}"
                )
        if definitions[0].vocabulary.tokens != definition.vocabulary.tokens:
            raise UserError(
                "models of an ensemble must have the same vocabulary (vocab.txt), so train them from encoders with the "
                f"same vocabulary and on the same records; {names[0]} and {name} differ"
            )


def _agreed(definition: ModelDefinition) -> dict[str, Any]:
    """Returns the properties that all members must share, beside the vocabulary, by their names in messages."""
    config = definition.config
    return {
        "labels in the same order": ", ".join(definition.labels),
        "config.model.scheme": config.model.scheme,
        "config.model.constrain_decoding": config.model.constrain_decoding,
        "config.text.window": config.text.window,
        "config.text.overlap": config.text.overlap,
        "config.text.slack": config.text.slack,
    }
