"""An encoder with BERT's two heads: masked characters and next sentence (Devlin et al. 2019, section 3.1)."""

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping
from emr_ner_tf.encoders.keras_nlp_bert import ACTIVATIONS, keras_nlp
from emr_ner_tf.encoders.loading import BACKENDS
from emr_ner_tf.errors import UserError

_INITIALIZER_RANGE = 0.02


class Sums(NamedTuple):
    """Sums over masked characters (mlm) and over pairs of sentences (nsp): float32 scalars.

    Attributes:
        mlm_loss: cross-entropy in nats.
        mlm_hits: number of characters whose most probable token is the true one.
        mlm_count: number of masked characters.
        nsp_loss: as `mlm_loss`, for pairs.
        nsp_hits: as `mlm_hits`.
        nsp_count: number of pairs.
    """

    mlm_loss: tf.Tensor
    mlm_hits: tf.Tensor
    mlm_count: tf.Tensor
    nsp_loss: tf.Tensor
    nsp_hits: tf.Tensor
    nsp_count: tf.Tensor


class PretrainingModel(tf.keras.Model):
    """The encoder, keras-nlp's masked-language-model head tied to its token embedding, pooler and next-sentence head.

    Attributes:
        encoder: encoder to adapt.
        masked_lm: `keras_nlp.layers.MaskedLMHead`.
        pooler: dense layer with tanh over [CLS].
        next_sentence: dense layer to two logits; the first one is for "B follows A".
    """

    def __init__(self, encoder: Encoder, seed: int = 0) -> None:
        """Builds the heads with random weights, by `seed`, under the current precision policy.

        Raises:
            UserError: the encoder is not of BERT's kind, or its activation is unknown.
        """
        super().__init__(name="pretraining")
        config = encoder.hf_config
        if encoder.backend not in BACKENDS:
            raise UserError(
                f"config.encoder must be of BERT's kind, to predict masked characters, got {config.get('model_type')!r}"
            )
        activation = config.get("hidden_act", "gelu")
        if activation not in ACTIVATIONS:
            raise UserError(
                f"encoder configuration: `hidden_act` must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        spread = config.get("initializer_range", _INITIALIZER_RANGE)
        draws = [tf.keras.initializers.TruncatedNormal(spread, seed=3 * seed + head) for head in range(3)]
        self.encoder = encoder
        self.masked_lm = keras_nlp.layers.MaskedLMHead(
            token_embedding=_TiedEmbedding(encoder.token_embedding()),
            intermediate_activation=ACTIVATIONS[activation],
            layer_norm_epsilon=config.get("layer_norm_eps", 1e-12),
            kernel_initializer=draws[0],
            name="masked_lm",
        )
        self.pooler = tf.keras.layers.Dense(
            encoder.hidden_size,
            "tanh",
            kernel_initializer=draws[1],
            name="pooler",
        )
        self.next_sentence = tf.keras.layers.Dense(
            2,
            kernel_initializer=draws[2],
            dtype=tf.float32,
            name="next_sentence",
        )
        # One call on a single token creates the variables of the heads.
        one = tf.zeros([1, 1], tf.int32)
        self.sums(one, one, one, one[0] + 1, one[0])

    def scaled_loss(
        self,
        token_ids: tf.Tensor,
        segment_ids: tf.Tensor,
        labels: tf.Tensor,
        length: tf.Tensor,
        other: tf.Tensor,
        masked: tf.Tensor,
        paired: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a replica's part of a batch's loss, the sum of both tasks' means over all replicas.

        Args:
            token_ids: int32 [B, T]; this and the next four are as in `sums`.
            segment_ids: int32 [B, T].
            labels: int32 [B, T].
            length: int32 [B].
            other: int32 [B].
            masked: float32 scalar, number of labels over all replicas.
            paired: float32 scalar, number of pairs over all replicas.

        Returns:
            The replica's part of the loss, float32 scalar, and its number of characters, int32 scalar.
        """
        sums = self.sums(token_ids, segment_ids, labels, length, other, training=True)
        loss = sums.mlm_loss / tf.maximum(masked, 1.0) + sums.nsp_loss / tf.maximum(paired, 1.0)
        specials = 2 + tf.cast(other >= 0, tf.int32)
        return loss, tf.reduce_sum(tf.maximum(length - specials, 0))

    def sums(
        self,
        token_ids: tf.Tensor,
        segment_ids: tf.Tensor,
        labels: tf.Tensor,
        length: tf.Tensor,
        other: tf.Tensor,
        training: bool = False,
    ) -> Sums:
        """Returns the losses and hits of a replica's part of a batch.

        Args:
            token_ids: int32 [B, T], special tokens included.
            segment_ids: int32 [B, T].
            labels: int32 [B, T], -1 where nothing is predicted; logits are computed at the other positions only.
            length: int32 [B].
            other: int32 [B], 0 if sentence B follows A, 1 if not, -1 if there is no B.
            training: whether dropout is on.
        """
        segments = {"segment_ids": segment_ids} if self.encoder.num_segments > 1 else {}
        mask = tf.sequence_mask(length, tf.shape(token_ids)[1])
        outputs = self.encoder(token_ids, mask, training=training, **segments)
        labels = tf.reshape(labels, [-1])
        places = tf.where(labels >= 0)[:, 0]
        flat = tf.reshape(outputs, [1, -1, self.encoder.hidden_size])
        characters = self.masked_lm(flat, places[tf.newaxis])[0]
        pairs = tf.where(other >= 0)[:, 0]
        sentences = self.next_sentence(self.pooler(tf.gather(outputs[:, 0], pairs)))
        return Sums(
            *_losses_and_hits(tf.gather(labels, places), characters),
            *_losses_and_hits(tf.gather(other, pairs), sentences),
        )

    def head_mappings(self) -> dict[str, list[WeightMapping]]:
        """Returns the mappings of the heads' variables, by head: masked_lm, pooler, next_sentence."""
        return {
            "masked_lm": [
                *_dense("cls.predictions.transform.dense", self.masked_lm._intermediate_dense),
                _vector(
                    "cls.predictions.transform.LayerNorm.weight",
                    self.masked_lm._intermediate_layer_norm.gamma,
                ),
                _vector(
                    "cls.predictions.transform.LayerNorm.bias", self.masked_lm._intermediate_layer_norm.beta
                ),
                _vector("cls.predictions.bias", self.masked_lm._bias),
            ],
            "pooler": [*_dense("pooler.dense", self.pooler)],
            "next_sentence": [*_dense("cls.seq_relationship", self.next_sentence)],
        }


class _TiedEmbedding(tf.keras.layers.Layer):
    """The encoder's token embedding, from any library, in the form that keras-nlp's head needs."""

    def __init__(self, table: tf.Variable) -> None:
        super().__init__(name="tied_embedding")
        self.table = table
        self.input_dim, self.output_dim = table.shape

    def call(self, inputs: tf.Tensor, reverse: bool) -> tf.Tensor:
        """Returns the logits of `inputs` [1, M, H] over the V tokens; `reverse` is always True here."""
        rows = tf.matmul(inputs[0], tf.cast(self.table, inputs.dtype), transpose_b=True)
        return rows[tf.newaxis]


def _losses_and_hits(labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    logits = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    hits = tf.argmax(logits, axis=-1, output_type=tf.int32) == labels
    return (
        tf.reduce_sum(losses),
        tf.reduce_sum(tf.cast(hits, tf.float32)),
        tf.cast(tf.size(labels), tf.float32),
    )


def _dense(name: str, layer: tf.keras.layers.Layer) -> Iterator[WeightMapping]:
    width, size = layer.kernel.shape
    yield WeightMapping(f"{name}.weight", layer.kernel, (size, width), (1, 0))
    yield _vector(f"{name}.bias", layer.bias)


def _vector(name: str, variable: tf.Variable) -> WeightMapping:
    return WeightMapping(name, variable, tuple(variable.shape), (0,))
