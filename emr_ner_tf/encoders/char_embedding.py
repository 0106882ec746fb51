"""Character embeddings as the encoder: one vector for each token, independent of its context."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping

MODEL_TYPE = "char_embedding"


class CharEmbedding(Encoder):
    """A table of vectors that is learned from scratch or from initial values (`assign_vectors`).

    Attributes:
        embedding: `tf.keras.layers.Embedding` with V rows.
    """

    backend = "tf.keras"
    prefix = ""
    token_table = "embeddings.word_embeddings.weight"

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the table, initialized uniformly with a variance of 1 / `hidden_size`."""
        size = hf_config["hidden_size"]
        super().__init__(
            hf_config, vocabulary_size=vocabulary_size, hidden_size=size, max_positions=sys.maxsize
        )
        limit = math.sqrt(3 / size)
        self.embedding = tf.keras.layers.Embedding(
            vocabulary_size,
            size,
            embeddings_initializer=tf.keras.initializers.RandomUniform(-limit, limit),
            name="token_embedding",
        )
        self.embedding.build(None)
        self.built = True

    def call(self, token_ids: tf.Tensor, padding_mask: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See `Encoder.call`; the output is 0 in the padding."""
        outputs = self.embedding(token_ids)
        return outputs * tf.cast(padding_mask, outputs.dtype)[:, :, tf.newaxis]

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """See `Encoder.weight_mappings`."""
        table = self.embedding.embeddings
        yield WeightMapping(self.token_table, table, tuple(table.shape), (0, 1))

    def randomly_initialized_variables(self) -> list[tf.Variable]:
        """See `Encoder.randomly_initialized_variables`: the table, also if it has initial values."""
        return [self.embedding.embeddings]

    def assign_vectors(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Assigns vectors to tokens.

        Args:
            rows: int [N], token ids.
            values: float32 [N, hidden_size], their vectors.
        """
        table = self.embedding.embeddings.numpy()
        table[rows] = values
        self.embedding.embeddings.assign(table)
