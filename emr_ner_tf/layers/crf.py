"""The conditional random field as a Keras layer: the weights of `tfa.layers.CRF`, the functions of `crf_ops`."""

import warnings
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import FORBIDDEN, Potentials
from emr_ner_tf.layers.span_scores import SpanTensors, span_log_probability

with warnings.catch_warnings():
    # tensorflow-addons warns on import that it has reached its end of life; the version is pinned.
    warnings.filterwarnings("ignore", r"\s*TensorFlow Addons \(TFA\) has ended development", UserWarning)
    import tensorflow_addons as tfa


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class CRF(tfa.layers.CRF):
    """Linear-chain conditional random field over the tags of a table (eq. 12-14).

    Emissions come from the tagger's linear layer, so there is no kernel. Padding is given by lengths, never by a mask.
    Weights and results are float32 under every precision policy.

    Attributes:
        labels: the entity labels, in the order of the table.
        scheme: the tagging scheme.
        constrain_decoding: whether `decode`, `marginals` and `span_probability` exclude the transitions that the scheme
            forbids.
        constrain_loss: whether the loss excludes them.
        chain_kernel: float32 [K, K], transition scores from row to column.
        left_boundary: float32 [K], start scores.
        right_boundary: float32 [K], end scores.
        table: the tags of the labels under the scheme.
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
        """Returns a layer over the tags of the table."""
        return cls(table.labels, table.scheme, **kwargs)

    def call(self, emissions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Returns the tags of the best path. Training calls `negative_log_likelihood` instead, which does not decode.

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
        """Computes the loss of each record (eq. 13).

        Args:
            emissions: float [B, T, K].
            tag_ids: int [B, T], gold tags; any value in the padding.
            length: int [B].

        Returns:
            float32 [B]; 0, with no gradient, where `length` is 0. The trainer averages the losses, because only it
            knows the number of records on all replicas.
        """
        potentials = self._potentials(emissions, length, self.constrain_loss)
        return crf_ops.negative_log_likelihood(potentials, tag_ids)

    def cross_entropy(
        self, emissions: tf.Tensor, targets: tf.Tensor, tag_ids: tf.Tensor, length: tf.Tensor
    ) -> tf.Tensor:
        """Computes the loss of each record against probabilities of tags: `crf_ops.cross_entropy`.

        Args:
            emissions: float [B, T, K].
            targets: float [B, T, K], the probability of each tag.
            tag_ids: int [B, T], the most probable path.
            length: int [B].

        Returns:
            float32 [B]; 0, with no gradient, where `length` is 0.
        """
        return crf_ops.cross_entropy(
            self._potentials(emissions, length, self.constrain_loss), targets, tag_ids
        )

    def decode(self, emissions: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best path by Viterbi (eq. 14).

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            Tag ids int32 [B, T], 0 in the padding, and their score float32 [B].
        """
        return crf_ops.viterbi(self._potentials(emissions, length, self.constrain_decoding))

    def best_path_log_probability(self, emissions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Computes the log-probability of the path that `decode` finds, under the transitions that decoding uses.

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            float32 [B]; 0 where `length` is 0.
        """
        potentials = self._potentials(emissions, length, self.constrain_decoding)
        return -crf_ops.negative_log_likelihood(potentials, crf_ops.viterbi(potentials)[0])

    def marginals(self, emissions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Computes the probability of each tag at each position, under the transitions that decoding uses.

        Args:
            emissions: float [B, T, K].
            length: int [B].

        Returns:
            float32 [B, T, K], 0 in the padding.
        """
        return crf_ops.marginals(self._potentials(emissions, length, self.constrain_decoding))

    def span_probability(self, emissions: tf.Tensor, length: tf.Tensor, spans: SpanTensors) -> tf.Tensor:
        """Computes the probability that each span is exactly a mention, under the transitions that decoding uses.

        Args:
            emissions: float [B, T, K].
            length: int [B].
            spans: M spans of these records.

        Returns:
            float32 [M], 0 to 1.
        """
        potentials = self._potentials(emissions, length, self.constrain_decoding)
        return tf.exp(span_log_probability(potentials, spans, self.table))

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

    def _potentials(self, emissions: tf.Tensor, length: tf.Tensor, constrained: bool) -> Potentials:
        transitions = tf.convert_to_tensor(self.chain_kernel)
        start, end = self._boundary("left_boundary"), self._boundary("right_boundary")
        if constrained:
            # Replaced rather than added to: a forbidden score is a constant and takes no gradient.
            transitions = tf.where(self.table.allowed, transitions, FORBIDDEN)
            start = tf.where(self.table.allowed_start, start, FORBIDDEN)
            end = tf.where(self.table.allowed_end, end, FORBIDDEN)
        return Potentials(emissions, length, transitions, start, end)

    def _boundary(self, name: str) -> tf.Tensor:
        if not self.use_boundary:
            return tf.zeros([self.units])
        return tf.convert_to_tensor(getattr(self, name))
