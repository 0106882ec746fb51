"""The heads of pre-training in a checkpoint of the Hugging Face layout: read where it has them, and written."""

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.encoders.checkpoint import read_weights
from emr_ner_tf.encoders.resolve import find_weights
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.model import PretrainingModel
from emr_ner_tf.text.vocabulary import Vocabulary

_VOCABULARY_BIAS = "cls.predictions.bias"


def read_heads(model: PretrainingModel, name_or_dir: str, own: Vocabulary) -> list[tf.Variable]:
    """Gives the heads that a checkpoint has their weights.

    Args:
        model: with rows for `own` and perhaps more, which begin as [UNK]'s.
        name_or_dir: of the encoder.
        own: its own vocabulary.

    Returns:
        The variables of the heads that it lacks, which stand as they were drawn.

    Raises:
        UserError: a head has another shape than the encoder's configuration says.
    """
    weights = read_weights(find_weights(name_or_dir), prefix=model.encoder.prefix)
    bias = weights.get(_VOCABULARY_BIAS)
    if bias is not None and len(bias) == len(own.tokens):
        added = np.repeat(bias[own.unk_id], model.encoder.vocabulary_size - len(bias))
        weights[_VOCABULARY_BIAS] = np.concatenate([bias, added])
    fresh: list[tf.Variable] = []
    for head, slots in model.head_slots().items():
        if any(slot.name not in weights for slot in slots):
            logging.info("%s has no head %s: it begins anew", name_or_dir, head)
            fresh.extend(slot.variable for slot in slots)
            continue
        for slot in slots:
            value = weights[slot.name]
            if value.shape != slot.shape:
                raise UserError(
                    f"encoder {name_or_dir!r}: `{slot.name}` must have shape {list(slot.shape)} by config.json, "
                    f"got {list(value.shape)}"
                )
            slot.assign(value)
    return fresh


def head_weights(model: PretrainingModel) -> dict[str, np.ndarray]:
    """Returns the heads' weights under the names that transformers' `BertForPreTraining` has for them.

    The decoder of masked characters is the token embedding, and is not among them.
    """
    prefix = model.encoder.prefix
    slots = [slot for slots in model.head_slots().values() for slot in slots]
    return {
        f"{prefix}.{slot.name}" if slot.name.startswith("pooler.") else slot.name: slot.value()
        for slot in slots
    }
