"""The conditional random field as a Keras layer: `tfa.layers.CRF`'s weights, our functions."""

import warnings
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.span_scores import SpanTensors, span_log_probability

with warnings.catch_warnings():
    # tensorflow-addons says on import that it has reached its end of life: known, and it is pinned.
    warnings.filterwarnings("ignore", r"\s*TensorFlow Addons \(TFA\) has ended development", UserWarning)
    import tensorflow_addons as tfa


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class CRF(tfa.layers.CRF):
    """Linear-chain conditional random field over the tags of a table (eq. 12-14).

    Emissions come from the tagger's own linear layer, so there is no kernel. Lengths say what is padding,
    never a mask. Weights are float32 under every precision policy, and so is all that is computed.

    Attributes:
        labels: the table's labels, in order.
        scheme: the table's scheme.
        constrain_decoding: whether `decode`, `marginals` and `span_probability` exclude the transitions that
            the scheme forbids.
        constrain_loss: whether the loss does.
        chain_kernel: float32 [K, K], transitions from row to column.
        left_boundary: float32 [K], start scores.
        right_boundary: float32 [K], end scores.
        table: the tags.
    """

    def __init__(
        self,
        labels: Sequence[str],
        scheme: str = "BIO",
        *,
        constrain_decoding: bool = True,
        constrain_loss: bool = False,
        **kwargs,
    ) -> None:
        table = TagTable(tuple(labels), scheme)
        super().__init__(units=table.num_tags, use_kernel=False, **kwargs | {"dtype": "float32"})
        self.labels = list(labels)
        self.scheme = scheme
        self.constrain_decoding = constrain_decoding
        self.constrain_loss = constrain_loss
        self.table = table

    @classmethod
    def from_table(cls, table: TagTable, **kwargs) -> "CRF":
        """Returns a layer over the tags of that table."""
        return cls(table.labels, table.scheme, **kwargs)

    def call(self, emissions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Tags of the best path. Training calls `negative_log_likelihood` instead, which never decodes.

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            int32 [B, T], 0 in the padding.
        """
        return self.decode(emissions, length)[0]

    def negative_log_likelihood(
        self, emissions: tf.Tensor, tag_ids: tf.Tensor, length: tf.Tensor
    ) -> tf.Tensor:
        """Loss of each record (eq. 13).

        Args:
            emissions: float [B, T, K].
            tag_ids: int [B, T], gold tags; anything in the padding.
            length: int [B].

        Returns:
            float32 [B]; 0, and without a gradient, where `length` is 0. What a step minimises is for the
            trainer to say: it alone knows how many records all replicas hold.
        """
        return crf_ops.negative_log_likelihood(
            emissions, length, *self._potentials(self.constrain_loss), tag_ids
        )

    def decode(self, emissions: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The best path by Viterbi (eq. 14).

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            Tag ids int32 [B, T], 0 in the padding, and their score float32 [B].
        """
        return crf_ops.viterbi(emissions, length, *self._potentials(self.constrain_decoding))

    def marginals(self, emissions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Probability of each tag at each position, under the transitions that decoding uses.

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            float32 [B, T, K], 0 in the padding.
        """
        return crf_ops.marginals(emissions, length, *self._potentials(self.constrain_decoding))

    def span_probability(self, emissions: tf.Tensor, length: tf.Tensor, spans: SpanTensors) -> tf.Tensor:
        """Probability that exactly each span is a mention, under the transitions that decoding uses.

        Args:
            emissions: float [B, T, K].
            length: int [B].
            spans: M of them.

        Returns:
            float32 [M], 0 to 1.
        """
        potentials = self._potentials(self.constrain_decoding)
        return tf.exp(span_log_probability(emissions, length, *potentials, spans, self.table))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for fixed in ("units", "use_kernel", "dtype"):
            del config[fixed]
        return config | {
            "labels": list(self.labels),
            "scheme": self.scheme,
            "constrain_decoding": self.constrain_decoding,
            "constrain_loss": self.constrain_loss,
        }

    def _potentials(self, constrained: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        transitions = tf.convert_to_tensor(self.chain_kernel)
        start, end = self._boundary("left_boundary"), self._boundary("right_boundary")
        if not constrained:
            return transitions, start, end
        # A replacement, not a sum: what is forbidden is a constant and takes no gradient.
        return (
            tf.where(self.table.allowed, transitions, crf_ops.FORBIDDEN),
            tf.where(self.table.allowed_start, start, crf_ops.FORBIDDEN),
            tf.where(self.table.allowed_end, end, crf_ops.FORBIDDEN),
        )

    def _boundary(self, name: str) -> tf.Tensor:
        if not self.use_boundary:
            return tf.zeros([self.units])
        return tf.convert_to_tensor(getattr(self, name))
