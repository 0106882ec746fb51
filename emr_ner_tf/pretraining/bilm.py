"""The objective of ELMo's language model: it predicts the next character in each direction with a softmax."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from emr_ner_tf.encoders.elmo import LanguageModel, reading_order


class CharacterLM(tf.keras.Model):
    """A bidirectional character language model with its softmax (Peters et al. 2018, section 3.1).

    The directions share the embedding and the softmax; the softmax shares the table of the embedding (Press and Wolf
    2017).

    Attributes:
        language_model: the layers that the tagger uses later.
        output_bias: bias of the softmax, float32 [V].
    """

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables.

        Raises:
            UserError: as `LanguageModel`.
        """
        super().__init__(name="character_lm")
        self.language_model = LanguageModel(hf_config, vocabulary_size)
        self.output_bias = self.add_weight(
            "output_bias", [vocabulary_size], dtype=tf.float32, initializer="zeros"
        )
        self.built = True

    def losses(self, token_ids: tf.Tensor, length: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the negative log-likelihood of each direction, summed over its predictions.

        The forward direction predicts every token except the first from the tokens before it, the backward direction
        every token except the last from the tokens after it: `length - 1` predictions each.

        Args:
            token_ids: int32 [B, T], [CLS] first and [SEP] last; T at least 2.
            length: int32 [B], [CLS] and [SEP] included; 0 for a row without a text.
            training: whether dropout is on and a gradient will be taken.

        Returns:
            float32 [2], forward and backward, in nats.
        """
        order = reading_order(token_ids, length)
        states = self.language_model(order, training=training)[-1]
        real = tf.transpose(tf.sequence_mask(length - 1, tf.shape(token_ids)[1] - 1))
        # Products over the vocabulary need most of the memory, so each direction is separate and without padding.
        return tf.stack(
            [
                self._loss(
                    tf.boolean_mask(states[:-1, direction], real),
                    tf.boolean_mask(order[1:, direction], real),
                )
                for direction in range(2)
            ]
        )

    def scaled_loss(
        self, token_ids: tf.Tensor, length: tf.Tensor, predictions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a replica's part of the loss of a training batch.

        Args:
            token_ids: int32 [B, T].
            length: int32 [B].
            predictions: float32 scalar, number of predictions of one direction over all replicas.

        Returns:
            The replica's part of the mean loss over the predictions of both directions, float32 scalar, and its number
            of characters, int32 scalar.
        """
        losses = self.losses(token_ids, length, training=True)
        characters = tf.reduce_sum(tf.maximum(length - 2, 0))
        return tf.reduce_sum(losses) / (2.0 * tf.maximum(predictions, 1.0)), characters

    def _loss(self, states: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Returns the loss of states float32 [N, P] that predict the tokens int32 [N]."""
        table = tf.cast(self.language_model.embeddings, self.compute_dtype)
        logits = tf.matmul(tf.cast(states, self.compute_dtype), table, transpose_b=True)
        logits = tf.cast(logits, tf.float32) + self.output_bias
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
