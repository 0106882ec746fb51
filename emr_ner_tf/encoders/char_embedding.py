"""Character embeddings as the encoder: a vector for each token, the same wherever it stands."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping

MODEL_TYPE = "char_embedding"


class CharEmbedding(Encoder):
    """A table of vectors, learnt from scratch or begun from given ones (`assign_vectors`).

    Attributes:
        embedding: `tf.keras.layers.Embedding` of V rows.
    """

    backend = "tf.keras"
    prefix = ""
    token_table = "embeddings.word_embeddings.weight"

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the table, drawn uniformly with a variance of 1 / `hidden_size`."""
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
        """As `Encoder.call`; 0 in the padding."""
        outputs = self.embedding(token_ids)
        return outputs * tf.cast(padding_mask, outputs.dtype)[:, :, tf.newaxis]

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """As `Encoder.weight_mappings`."""
        table = self.embedding.embeddings
        yield WeightMapping(self.token_table, table, tuple(table.shape), (0, 1))

    def randomly_initialized_variables(self) -> list[tf.Variable]:
        """As `Encoder.randomly_initialized_variables`: the table, whatever it began from."""
        return [self.embedding.embeddings]

    def assign_vectors(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Gives tokens their vectors.

        Args:
            rows: int [N], token ids.
            values: float32 [N, hidden_size].
        """
        table = self.embedding.embeddings.numpy()
        table[rows] = values
        self.embedding.embeddings.assign(table)
