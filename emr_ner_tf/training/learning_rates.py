"""The learning rate of each variable of a tagger."""

import re
from collections.abc import Sequence

import tensorflow as tf
from absl import logging

from emr_ner_tf.config import RATE_BY_SIZE, ConfigDict
from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.rate_by_size import rate_by_size
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.tagger import Tagger

# Variables, and the rate that they share.
RateGroup = tuple[Sequence[tf.Variable], float]

# The names of layers in BERT, in ELMo and in GPT-2.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h)\.(\d+)\.")


def learning_rates(tagger: Tagger, settings: ConfigDict) -> list[RateGroup]:
    """Groups the trainable variables of a tagger by their learning rate.

    Args:
        tagger: the model, with its variables created.
        settings: section `optimizer` of the configuration.

    Returns:
        Groups that contain each trainable variable once: the layers of the encoder from the embeddings to the last, the
        head, and the transitions of the CRF.

    Raises:
        UserError: `layer_decay` is below 1 and the encoder has no layers of their own variables.
    """
    encoder, head = tagger.encoder_and_head_variables()
    rate = encoder_rate(tagger.encoder, settings.encoder_rate)
    crf = {variable.ref() for variable in tagger.crf.trainable_variables}
    return [
        *_encoder_groups(tagger.encoder, encoder, rate, settings.layer_decay),
        ([variable for variable in head if variable.ref() not in crf], settings.head_rate),
        ([variable for variable in head if variable.ref() in crf], settings.crf_rate or settings.head_rate),
    ]


def encoder_rate(encoder: Encoder, rate: float) -> float:
    """Returns the rate of an encoder's last layer.

    Args:
        encoder: the encoder.
        rate: `config.optimizer.encoder_rate`; `RATE_BY_SIZE` chooses it by the number of layers and the width.
    """
    if rate != RATE_BY_SIZE:
        return rate
    layers, width = encoder.num_layers, encoder.hidden_size
    rate = rate_by_size(layers, width)
    if layers:
        logging.info("config.optimizer.encoder_rate: %.2g for %d layers of width %d", rate, layers, width)
    return rate


def _encoder_groups(
    encoder: Encoder, variables: Sequence[tf.Variable], rate: float, decay: float
) -> list[RateGroup]:
    if decay == 1 or not variables:
        return [(variables, rate)]
    depth_of = {mapping.variable.ref(): _depth(mapping.name) for mapping in encoder.weight_mappings()}
    last = max(depth_of.values(), default=0)
    if not last:
        raise UserError(
            "config.optimizer.layer_decay must be 1 with an encoder whose layers have no variables of their own, "
            f"such as ALBERT, got {decay:g}"
        )
    groups: dict[int, list[tf.Variable]] = {}
    for variable in variables:
        groups.setdefault(depth_of.get(variable.ref(), last), []).append(variable)
    return [(groups[depth], rate * decay ** (last - depth)) for depth in sorted(groups)]


def _depth(name: str) -> int:
    """Returns 0 for the embeddings, and the number of the layer, counted from 1."""
    match = _LAYER.search(name)
    return int(match[1]) + 1 if match else 0
