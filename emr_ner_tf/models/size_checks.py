"""Checks the sizes of a model from its configuration; this module does not import TensorFlow."""

from collections.abc import Mapping
from typing import Any

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict
from emr_ner_tf.encoders.hub import read_config
from emr_ner_tf.errors import UserError

# Contexts whose output has the width `model.units`; the output of the others is twice as wide.
_ONE_DIRECTION = ("cnn", "idcnn")


def check_sizes(config: ConfigDict) -> None:
    """Checks the number of heads and the window, before hours of other work.

    Raises:
        UserError: one of them does not fit, or the encoder is missing.
    """
    settings = config.model
    known = bert_settings(config)
    width = settings.units if settings.context in _ONE_DIRECTION else 2 * settings.units
    what = f"config.model.context={settings.context}, {width} with config.model.units={settings.units}"
    if settings.context == "none":
        width = known.get("hidden_size")
        what = f"the encoder, {width}"
    if settings.attention == "multi_head" and isinstance(width, int) and width % settings.heads:
        raise UserError(
            f"config.model.heads must divide the width of the output of {what}, got {settings.heads}"
        )
    positions = known.get("max_position_embeddings")
    if isinstance(positions, int):
        check_window(config.text.window, positions)


def bert_settings(config: ConfigDict) -> Mapping[str, Any]:
    """Returns the `config.json` of the encoder, or the random encoder's settings; empty if the model has another kind.

    Raises:
        UserError: the encoder is missing.
    """
    if config.model.encoder != "bert" or not config.encoder:
        return {}
    return config.random_encoder if config.encoder == RANDOM_ENCODER else read_config(config.encoder)


def check_window(window: int, positions: int) -> None:
    """Checks that an encoder with this number of positions can hold a window.

    Raises:
        UserError: it cannot.
    """
    if window + 2 > positions:
        raise UserError(
            f"config.text.window must be at most {positions - 2}, the encoder's {positions} positions less [CLS] and "
            f"[SEP], got {window}"
        )
