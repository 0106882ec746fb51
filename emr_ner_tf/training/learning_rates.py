"""The learning rate of each variable of a tagger."""

import re
from collections.abc import Sequence

import tensorflow as tf
from absl import logging

from emr_ner_tf.config import RATE_BY_SIZE, ConfigDict
from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.models.tagger import Tagger

# Variables, and the rate that they share.
RateGroup = tuple[Sequence[tf.Variable], float]

# 2e-4 for 4 layers of width 512, measured with this project's recipe (docs/results.md). For 12 layers of width 768 the
# same product gives 4.4e-5, and for 24 layers of width 1024 1.7e-5, within the ranges of 2e-5 to 5e-5 and of 1e-5 to
# 3e-5 that Devlin et al. (2019) and Liu et al. (2019) searched for these sizes.
_RATE_TIMES_SIZE = 2e-4 * 4 * 512
_LAYER = re.compile(r"(?:^|\.)layer\.(\d+)\.")


def learning_rates(tagger: Tagger, settings: ConfigDict) -> list[RateGroup]:
    """Groups the trainable variables of a tagger by their learning rate.

    Args:
        tagger: the model, with its variables created.
        settings: section `optimizer` of the configuration.

    Returns:
        Groups that contain each trainable variable once: the layers of the encoder from the embeddings to the last, the
        head, and the transitions of the CRF.
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

    Example:
        For 12 layers of width 768, `RATE_BY_SIZE` gives 4.4e-5.
    """
    if rate != RATE_BY_SIZE:
        return rate
    # The number of layers comes from the configuration, because in ALBERT all layers share one set of weights.
    layers = max(1, encoder.hf_config.get("num_hidden_layers", 0))
    rate = _RATE_TIMES_SIZE / (layers * encoder.hidden_size)
    logging.info(
        "config.optimizer.encoder_rate: %.2g for %d layers of width %d", rate, layers, encoder.hidden_size
    )
    return rate


def _encoder_groups(
    encoder: Encoder, variables: Sequence[tf.Variable], rate: float, decay: float
) -> list[RateGroup]:
    if decay == 1:
        return [(variables, rate)]
    depth_of = {mapping.variable.ref(): _depth(mapping.name) for mapping in encoder.weight_mappings()}
    last = max(depth_of.values(), default=0)
    groups: dict[int, list[tf.Variable]] = {}
    for variable in variables:
        groups.setdefault(depth_of.get(variable.ref(), last), []).append(variable)
    return [(groups[depth], rate * decay ** (last - depth)) for depth in sorted(groups)]


def _depth(name: str) -> int:
    """Returns 0 for the embeddings, and the number of the layer, counted from 1."""
    match = _LAYER.search(name)
    return int(match[1]) + 1 if match else 0
