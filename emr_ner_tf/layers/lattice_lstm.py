"""The Lattice LSTM: a character LSTM whose cells also receive the words of a lexicon (Zhang and Yang 2018)."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from emr_ner_tf.layers.lattice_recurrence import WordSteps, lattice_recurrence
from emr_ner_tf.text.trie import Trie
from emr_ner_tf.text.word_matcher import Matches, WordMatcher


class LatticeLSTM(tf.keras.layers.Layer):
    """A bidirectional Lattice LSTM over right-padded sequences.

    Here x_j is a character, h and c are the state and the cell of characters, x_w is a word from character b to
    character j, and all products are element-wise:

    - character: i, o = sigma(W [x_j, h_{j-1}] + b), g = tanh(W [x_j, h_{j-1}] + b)  (eq. 11)
    - word: f, i_w = sigma(V [x_w, h_b] + b), g_w = tanh(V [x_w, h_b] + b), c_w = f c_b + i_w g_w  (eq. 13)
    - gate of the word: l_w = sigma(U [x_j, c_w] + b)  (eq. 14)
    - if words end at j: c_j = (exp(i) g + sum over them of exp(l_w) c_w) / (exp(i) + sum of exp(l_w))
      (eq. 15, 16)
    - if no word ends at j: c_j = (1 - i) c_{j-1} + i g
    - h_j = o tanh(c_j)

    The backward direction starts at the last character, and enters a word at the word's last character. The layer is
    float32 under every precision policy, because rounding errors add up over hundreds of steps.

    Attributes:
        units: U, width of each direction; the outputs of both are concatenated.
        trie: the lexicon. `get_config` contains this object, for a copy of the layer in the same process. On disk, a
            model stores the words, from which an equal trie is built.
        word_size: D, width of the word embedding.
        dropout: dropout rate on the word embeddings.
        word_embedding: [N, D], once built; a row for each word of the trie.

    Source:
        Zhang and Yang 2018, section 3.2, https://arxiv.org/abs/1805.02023, and the code released with it.
    """

    def __init__(self, units: int, trie: Trie, word_size: int = 50, dropout: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.units = units
        self.trie = trie
        self.word_size = word_size
        self.dropout = dropout
        self.word_dropout = tf.keras.layers.Dropout(dropout, dtype=self.dtype, name="word_dropout")
        self.word_embedding = None
        self._matcher = WordMatcher(trie)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the variables of both directions."""
        width, units, size = tf.TensorShape(input_shape)[-1], self.units, self.word_size
        # A variance of 1 / D, as in the paper's code.
        limit = math.sqrt(3 / size)
        self.word_embedding = self.add_weight(
            "word_embedding",
            shape=[len(self.trie.kept), size],
            initializer=tf.keras.initializers.RandomUniform(-limit, limit),
        )
        shapes = _Weights(
            kernel=[width, 3 * units],
            recurrent_kernel=[units, 3 * units],
            bias=[3 * units],
            word_kernel=[size, 3 * units],
            word_recurrent_kernel=[units, 3 * units],
            word_bias=[3 * units],
            gate_kernel=[width, units],
            gate_recurrent_kernel=[units, units],
            gate_bias=[units],
        )
        for direction in ("forward", "backward"):
            for name, shape in shapes._asdict().items():
                kind = (
                    "zeros" if "bias" in name else "orthogonal" if "recurrent" in name else "glorot_uniform"
                )
                name = f"{direction}_{name}"
                setattr(self, name, self.add_weight(name, shape=shape, initializer=kind))
        super().build(input_shape)

    def call(
        self, inputs: tf.Tensor, length: tf.Tensor, token_ids: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Looks up the words and runs both directions.

        Args:
            inputs: float [B, T, H]; values past `length` are ignored, even NaN.
            length: int32 [B].
            token_ids: int32 [B, T], in which words are looked up.
            training: whether a gradient will be taken and dropout is on.

        Returns:
            float32 [B, T, 2 * units], zeros in the padding.
        """
        real = tf.sequence_mask(length, tf.shape(inputs)[1])[:, :, tf.newaxis]
        inputs = tf.where(real, inputs, 0)
        matches = self._matcher(token_ids, length)
        embedded = self.word_dropout(tf.gather(self.word_embedding, matches.word), training=training)
        forward = self._run("forward", inputs, embedded, matches, training)
        # A record reversed within its length has its padding at the end in this direction, too.
        last = tf.gather(length, matches.row) - 1
        turned = matches._replace(start=last - matches.end, end=last - matches.start)
        backward = self._run(
            "backward", tf.reverse_sequence(inputs, length, seq_axis=1), embedded, turned, training
        )
        backward = tf.reverse_sequence(backward, length, seq_axis=1)
        return tf.where(real, tf.concat([forward, backward], -1), 0)

    def assign_vectors(self, values: np.ndarray) -> None:
        """Assigns vectors to the words.

        Args:
            values: float32 [W, D], the vectors of all words that the trie was built from.
        """
        self.word_embedding.assign(values[self.trie.kept])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "trie": self.trie,
            "word_size": self.word_size,
            "dropout": self.dropout,
        }

    def _run(
        self, direction: str, inputs: tf.Tensor, embedded: tf.Tensor, matches: Matches, training: bool | None
    ) -> tf.Tensor:
        """Runs one direction over inputs [B, T, H] in its own order and returns its states [B, T, U]."""
        weights = _Weights(*(getattr(self, f"{direction}_{name}") for name in _Weights._fields))
        batch, time, units = tf.shape(inputs)[0], tf.shape(inputs)[1], self.units
        order = tf.argsort(matches.start, stable=True)
        start, end, row = (tf.gather(field, order) for field in (matches.start, matches.end, matches.row))
        started = tf.math.unsorted_segment_sum(tf.ones_like(start), start, time)
        words = WordSteps(
            offset=tf.concat([[0], tf.cumsum(started)], 0), row=row, last=end, longest=self._matcher.longest
        )

        by_time = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [-1, inputs.shape[-1]])
        projected = tf.matmul(by_time, tf.concat([weights.kernel, weights.gate_kernel], 1))
        projected += tf.concat([weights.bias, weights.gate_bias], 0)
        states = lattice_recurrence(
            tf.reshape(projected[:, : 3 * units], tf.stack([time, batch, 3 * units])),
            tf.matmul(tf.gather(embedded, order), weights.word_kernel) + weights.word_bias,
            tf.gather(projected[:, 3 * units :], end * batch + row),
            tf.concat([weights.recurrent_kernel, weights.word_recurrent_kernel], 1),
            tf.convert_to_tensor(weights.gate_recurrent_kernel),
            words,
            training=bool(training),
        )
        return tf.transpose(states, [1, 0, 2])


class _Weights(NamedTuple):
    """The variables of one direction, or their shapes."""

    kernel: Any
    recurrent_kernel: Any
    bias: Any
    word_kernel: Any
    word_recurrent_kernel: Any
    word_bias: Any
    gate_kernel: Any
    gate_recurrent_kernel: Any
    gate_bias: Any
