"""What the tagger asks of an encoder."""

import abc
from collections.abc import Mapping
from typing import Any

import tensorflow as tf


class Encoder(tf.keras.layers.Layer, abc.ABC):
    """Token ids with special tokens to a vector for each.

    Attributes:
        hf_config: the encoder's configuration as `config.json` of the Hugging Face layout has it.
        hidden_size: width H of its output.
        max_positions: most tokens that it takes, special ones included.
        vocabulary_size: rows of its token embedding.
    """

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        super().__init__(name="encoder")
        self.hf_config = dict(hf_config) | {"vocab_size": vocabulary_size}
        self.hidden_size = int(hf_config["hidden_size"])
        self.max_positions = int(hf_config["max_position_embeddings"])
        self.vocabulary_size = vocabulary_size

    @abc.abstractmethod
    def call(self, token_ids: tf.Tensor, padding_mask: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Encodes.

        Args:
            token_ids: int32 [B, T], [CLS] and [SEP] included.
            padding_mask: bool [B, T], True at real tokens.
            training: whether dropout is on.

        Returns:
            float [B, T, H] in the policy's compute dtype.
        """
