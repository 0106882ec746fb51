"""Checks the sizes of a model from its configuration; this module does not import TensorFlow."""

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
    width = settings.units if settings.context in _ONE_DIRECTION else 2 * settings.units
    if settings.attention == "multi_head" and settings.context != "none" and width % settings.heads:
        raise UserError(
            f"config.model.heads must divide the width of the output of config.model.context={settings.context}, "
            f"{width} with config.model.units={settings.units}, got {settings.heads}"
        )
    if settings.encoder == "bert" and config.encoder:
        known = config.random_encoder if config.encoder == RANDOM_ENCODER else read_config(config.encoder)
        positions = known.get("max_position_embeddings")
        if isinstance(positions, int):
            check_window(config.text.window, positions)


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
