"""Context layers by name; the context layer is between the encoder and the attention."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf
from absl import logging
from keras.src.layers.rnn.gru import gpu_gru
from keras.src.layers.rnn.lstm import gpu_lstm

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.cnn import IteratedDilatedCNN, WindowCNN
from emr_ner_tf.layers.device_selection import call_by_device
from emr_ner_tf.layers.lattice_lstm import LatticeLSTM
from emr_ner_tf.layers.recurrence import gru_states, lstm_states
from emr_ner_tf.text.trie import build_trie
from emr_ner_tf.text.vocabulary import Vocabulary


class RecurrentContext(tf.keras.layers.Layer):
    """A bidirectional recurrent layer over right-padded sequences (eq. 1-8 for the GRU).

    The layer is float32 under every precision policy: rounding errors add up over hundreds of steps, and cuDNN does not
    support bfloat16. On a CPU, the products of the inputs, which are made before the first step, are bfloat16 without
    training if the policy is `mixed_bfloat16`.

    Attributes:
        cell: "gru" or "lstm".
        units: width of each direction; the outputs of both are concatenated.
        reset_after: GRU only; True applies the reset gate after the product, as in cuDNN and PyTorch; False is
            eq. 3 of the paper.
    """

    def __init__(self, cell: str, units: int, reset_after: bool = True, **kwargs) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.cell = cell
        self.units = units
        self.reset_after = reset_after
        if cell == "gru":
            layer = tf.keras.layers.GRU(
                units, return_sequences=True, reset_after=reset_after, dtype=self.dtype, name="gru"
            )
        else:
            layer = tf.keras.layers.LSTM(units, return_sequences=True, dtype=self.dtype, name="lstm")
        self.recurrence = tf.keras.layers.Bidirectional(layer, name="bidirectional", dtype=self.dtype)
        is_bfloat16 = tf.keras.mixed_precision.global_policy().compute_dtype == "bfloat16"
        self._product_dtype = tf.bfloat16 if is_bfloat16 else tf.float32
        # On a GPU, cuDNN is faster than any loop. On a CPU, this project's loop is faster than Keras' loop.
        self._own_loop = (cell == "lstm" or reset_after) and not tf.config.list_physical_devices("GPU")

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the variables of both directions."""
        self.recurrence.build(tf.TensorShape(input_shape))
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        length: tf.Tensor,
        token_ids: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Runs both directions.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; positions past it are padding and have no effect.
            token_ids: ignored.
            training: whether a gradient will be taken. Dropout is applied by the tagger, around this layer.

        Returns:
            float [B, T, 2 * units], zeros in the padding.
        """
        if self._own_loop:
            return self._run_loops(inputs, length, training=bool(training))
        mask = tf.sequence_mask(length, tf.shape(inputs)[1])
        outputs = self.recurrence(inputs, mask=mask, training=training)
        return outputs * tf.cast(mask, outputs.dtype)[:, :, tf.newaxis]

    def _run_loops(self, inputs: tf.Tensor, length: tf.Tensor, *, training: bool) -> tf.Tensor:
        by_time = tf.transpose(inputs, [1, 0, 2])
        # Records are reversed within their lengths, so that padding is at the end in both directions and has no effect.
        ahead = self._states(self.recurrence.forward_layer, by_time, length, training)
        back = self._states(self.recurrence.backward_layer, _reversed(by_time, length), length, training)
        joined = tf.transpose(tf.concat([ahead, _reversed(back, length)], axis=-1), [1, 0, 2])
        real = tf.sequence_mask(length, tf.shape(inputs)[1])[:, :, tf.newaxis]
        return tf.where(real, joined, 0.0)

    def _states(
        self, layer: tf.keras.layers.Layer, inputs: tf.Tensor, length: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Runs the direction whose weights `layer` holds over [T, B, H] inputs."""
        weights = [tf.convert_to_tensor(weight) for weight in layer.trainable_weights]
        loop = gru_states if self.cell == "gru" else lstm_states
        if training:
            return loop(inputs, *weights, training=True)
        return call_by_device(
            layer,
            lambda inputs, length, *weights: loop(
                inputs, *weights, training=False, product_dtype=self._product_dtype
            ),
            partial(_cudnn_states, self.cell),
            inputs,
            length,
            *weights,
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "cell": self.cell,
            "units": self.units,
            "reset_after": self.reset_after,
        }


def _reversed(values: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Returns [T, B, W] values with the real part of each record reversed in time."""
    return tf.reverse_sequence(values, length, seq_axis=0, batch_axis=1)


def _cudnn_states(cell: str, inputs: tf.Tensor, length: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
    """Returns states [T, B, U] from cuDNN, which accepts no empty sequence; states of the padding are not read."""
    zeros = tf.zeros(tf.stack([tf.shape(inputs)[1], weights[1].shape[0]]))
    run, states = (gpu_gru, [zeros]) if cell == "gru" else (gpu_lstm, [zeros, zeros])
    _, outputs, *_ = run(
        inputs,
        *states,
        *weights,
        mask=None,
        time_major=True,
        go_backwards=False,
        sequence_lengths=tf.maximum(tf.cast(length, tf.int32), 1),
        return_sequences=True,
    )
    return outputs


class ContextParts(NamedTuple):
    """The parts from which a context layer is built.

    Attributes:
        settings: the section `model` of the configuration.
        word_size: width of the word embeddings of a lexicon.
        vocabulary: vocabulary of the encoder.
        words: words of the lexicon, in the order of their vectors; empty for a context without a lexicon.
    """

    settings: ConfigDict
    word_size: int
    vocabulary: Vocabulary
    words: tuple[str, ...]


def _recurrent(cell: str) -> Callable[[ContextParts], tf.keras.layers.Layer]:
    def make(parts: ContextParts) -> tf.keras.layers.Layer:
        return RecurrentContext(
            cell, parts.settings.units, reset_after=parts.settings.reset_after, name="context"
        )

    return make


def _lattice_lstm(parts: ContextParts) -> tf.keras.layers.Layer:
    settings, trie = parts.settings, build_trie(parts.words, parts.vocabulary)
    logging.info(
        "lexicon: %d words in use; left out: %d with characters that are not in the vocabulary, %d equal to another "
        "word after normalization",
        len(trie.kept),
        trie.unknown,
        trie.duplicates,
    )
    return LatticeLSTM(settings.units, trie, parts.word_size, dropout=settings.dropout, name="context")


# Each layer is called with (inputs, length, token_ids, training) and returns float [B, T, width], 0 in the padding.
CONTEXTS: dict[str, Callable[[ContextParts], tf.keras.layers.Layer | None]] = {
    "none": lambda parts: None,
    "bigru": _recurrent("gru"),
    "bilstm": _recurrent("lstm"),
    "cnn": lambda parts: WindowCNN(parts.settings.units, name="context"),
    "idcnn": lambda parts: IteratedDilatedCNN(parts.settings.units, name="context"),
    "lattice_lstm": _lattice_lstm,
}


def build_context(parts: ContextParts) -> tf.keras.layers.Layer | None:
    """Builds the context layer that `config.model.context` names, or None for "none".

    Raises:
        UserError: the name is unknown; the message lists the choices.
    """
    name = parts.settings.context
    if name not in CONTEXTS:
        raise UserError(f"config.model.context must be one of {', '.join(CONTEXTS)}, got {name!r}")
    return CONTEXTS[name](parts)
