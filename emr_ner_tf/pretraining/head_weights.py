"""Reads and writes the heads of pre-training in a checkpoint of the Hugging Face layout."""

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.encoders.hub import find_weights
from emr_ner_tf.encoders.loading import load_vocabulary
from emr_ner_tf.encoders.weight_readers import read_weights
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.model import PretrainingModel

_VOCABULARY_BIAS = "cls.predictions.bias"


def read_heads(model: PretrainingModel, name_or_dir: str) -> list[tf.Variable]:
    """Assigns the weights of the heads that a checkpoint has.

    Args:
        model: model with a row for each token of the checkpoint's vocabulary; additional rows start as copies of [UNK].
        name_or_dir: name of the encoder.

    Returns:
        The variables of the heads that the checkpoint lacks; they keep their random values.

    Raises:
        UserError: a head has another shape than the encoder's configuration requires.
    """
    weights = read_weights(find_weights(name_or_dir), prefix=model.encoder.prefix)
    own, bias = load_vocabulary(name_or_dir), weights.get(_VOCABULARY_BIAS)
    if bias is not None and len(bias) == len(own.tokens):
        added = np.repeat(bias[own.unk_id], model.encoder.vocabulary_size - len(bias))
        weights[_VOCABULARY_BIAS] = np.concatenate([bias, added])
    fresh: list[tf.Variable] = []
    for head, weight_mappings in model.head_mappings().items():
        if any(mapping.name not in weights for mapping in weight_mappings):
            logging.info("%s has no head %s: it is initialized randomly", name_or_dir, head)
            fresh.extend(mapping.variable for mapping in weight_mappings)
            continue
        for mapping in weight_mappings:
            value = weights[mapping.name]
            if value.shape != mapping.shape:
                raise UserError(
                    f"encoder {name_or_dir!r}: `{mapping.name}` must have shape {list(mapping.shape)} by config.json, "
                    f"got {list(value.shape)}"
                )
            mapping.assign(value)
    return fresh


def head_weights(model: PretrainingModel) -> dict[str, np.ndarray]:
    """Returns the weights of the heads under their names in transformers' `BertForPreTraining`.

    The decoder of the masked-language-model head is the token embedding, so it is not included.
    """
    prefix = model.encoder.prefix
    weight_mappings = [
        mapping for weight_mappings in model.head_mappings().values() for mapping in weight_mappings
    ]
    return {
        f"{prefix}.{mapping.name}" if mapping.name.startswith("pooler.") else mapping.name: mapping.value()
        for mapping in weight_mappings
    }
