"""The tagger: encoder, context, attention, emissions and the CRF."""

from typing import NamedTuple

import tensorflow as tf

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.attention import AdditiveAttentionPooling, SelfAttention
from emr_ner_tf.layers.crf import CRF

ATTENTIONS = ("none", "plain", "multi_head")


class SpecialTokens(NamedTuple):
    """Ids of the tokens that the tagger adds to every window."""

    pad: int
    cls: int
    sep: int


class Tagger(tf.keras.Model):
    """Computes the emissions of windows; its CRF decodes them (the paper's figure of the whole model).

    The order of the layers is: encoder, dropout, context, dropout, attention, dropout, linear to the K tags, CRF.

    Attributes:
        encoder: maps token ids with special tokens to float [B, T, H].
        context: layer called with (inputs, length, token_ids), or None.
        attention: layer called with (inputs, length), or None.
        crf: the conditional random field over the K tags.
        table: the tags.
        special: ids of the special tokens.
    """

    def __init__(
        self,
        encoder: Encoder,
        context: tf.keras.layers.Layer | None,
        attention: tf.keras.layers.Layer | None,
        table: TagTable,
        special: SpecialTokens,
        *,
        dropout: float,
        constrain_decoding: bool = True,
        constrain_loss: bool = False,
    ) -> None:
        super().__init__(name="tagger")
        self.encoder = encoder
        self.context = context
        self.attention = attention
        self.table = table
        self.special = special
        self.encoder_dropout = tf.keras.layers.Dropout(dropout, name="encoder_dropout")
        self.context_dropout = tf.keras.layers.Dropout(dropout, name="context_dropout")
        self.linear = tf.keras.layers.Dense(table.num_tags, name="emissions", dtype=tf.float32)
        self.crf = CRF.from_table(
            table, constrain_decoding=constrain_decoding, constrain_loss=constrain_loss, name="crf"
        )

    def call(self, token_ids: tf.Tensor, length: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes the score of each tag for each character.

        Args:
            token_ids: int32 [B, T], without special tokens; values past `length` are ignored.
            length: int32 [B].
            training: whether dropout is on.

        Returns:
            Emissions, float32 [B, T, K].
        """
        outputs = self.encoder_dropout(self._encode(token_ids, length, training), training=training)
        if self.context is not None:
            outputs = self.context(outputs, length, token_ids=token_ids, training=training)
            outputs = self.context_dropout(outputs, training=training)
        if self.attention is not None:
            outputs = self.attention(outputs, length, training=training)
        return self.linear(tf.cast(outputs, tf.float32))

    def loss_of(
        self, token_ids: tf.Tensor, tag_ids: tf.Tensor, length: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns the negative log-likelihood of the gold tags (eq. 13), float32 [B]; 0 if `length` is 0."""
        emissions = self(token_ids, length, training=training)
        return self.crf.negative_log_likelihood(emissions, tag_ids, length)

    def scaled_loss(
        self,
        token_ids: tf.Tensor,
        tag_ids: tf.Tensor,
        length: tf.Tensor,
        global_size: tf.Tensor,
        targets: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the part of a training batch's loss that a replica contributes.

        Args:
            token_ids: int32 [B, T].
            tag_ids: int32 [B, T].
            length: int32 [B].
            global_size: float32 scalar, number of windows of all replicas.
            targets: float [B, T, K], the probability of each tag; None if `tag_ids` are certain.

        Returns:
            The sum of the losses divided by `global_size`, float32 scalar, and the number of characters, int32 scalar.
        """
        if targets is None:
            losses = self.loss_of(token_ids, tag_ids, length, training=True)
        else:
            emissions = self(token_ids, length, training=True)
            losses = self.crf.cross_entropy(emissions, targets, tag_ids, length)
        return tf.reduce_sum(losses) / tf.maximum(global_size, 1.0), tf.reduce_sum(length)

    def build_variables(self) -> None:
        """Creates all variables by one call on a window of one character."""
        tokens = tf.fill([1, 1], self.special.cls)
        self.loss_of(tokens, tf.zeros([1, 1], tf.int32), tf.ones([1], tf.int32), training=False)

    def encoder_and_head_variables(self) -> tuple[list[tf.Variable], list[tf.Variable]]:
        """Returns the trainable variables: those that were pre-trained, and those with the head's learning rate."""
        fresh = {variable.ref() for variable in self.encoder.randomly_initialized_variables()}
        encoder = [v for v in self.encoder.trainable_variables if v.ref() not in fresh]
        inside = {variable.ref() for variable in encoder}
        return encoder, [v for v in self.trainable_variables if v.ref() not in inside]

    def _encode(self, token_ids: tf.Tensor, length: tf.Tensor, training: bool | None) -> tf.Tensor:
        batch = tf.shape(token_ids)[0]
        position = tf.range(tf.shape(token_ids)[1] + 2)[tf.newaxis, :]
        last = length[:, tf.newaxis] + 1
        edge = tf.fill([batch, 1], self.special.cls)
        tail = tf.fill([batch, 1], self.special.pad)
        with_edges = tf.concat([edge, token_ids, tail], axis=1)
        with_edges = tf.where(position < last, with_edges, self.special.pad)
        with_edges = tf.where(position == last, self.special.sep, with_edges)
        outputs = self.encoder(with_edges, position <= last, training=training)
        return outputs[:, 1:-1]


def build_attention(settings: ConfigDict) -> tf.keras.layers.Layer | None:
    """Builds the attention of the paper's Table V that `settings.attention` names, or returns None for "none".

    Args:
        settings: section `model` of the configuration.

    Raises:
        UserError: the name is unknown; the message lists the choices.
    """
    name = settings.attention
    if name == "none":
        return None
    # Dropout was already applied to the output of the context, so here it is applied to the attention's part only.
    common = {"output_dropout": settings.dropout, "name": "attention"}
    if name == "plain":
        return AdditiveAttentionPooling(**common)
    if name == "multi_head":
        return SelfAttention(num_heads=settings.heads, gated=settings.attention_gate, **common)
    raise UserError(f"config.model.attention must be one of {', '.join(ATTENTIONS)}, got {name!r}")
