"""ELMo over characters: the weighted layers of a bidirectional language model, and the tagger's own embedding."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping
from emr_ner_tf.encoders.char_embedding import CharEmbedding
from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.projected_lstm import ProjectedLSTM

MODEL_TYPE = "elmo"


class LanguageModel(tf.keras.layers.Layer):
    """The layers of a bidirectional character language model: embedding, LSTMs with projection, residual connections.

    The directions only share the embedding. The input of each layer after the first is added to its output.

    Attributes:
        embeddings: float32 [V, P]; the softmax of pre-training shares it.
        recurrences: a bidirectional `ProjectedLSTM` for each layer.
        dropouts: dropout of the embedding and of the output of each layer.
    """

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables.

        Args:
            hf_config: `hidden_size` P of embedding and states, `intermediate_size` U of the cells,
                `num_hidden_layers`, and `hidden_dropout_prob`, which is 0 by default.
            vocabulary_size: number of tokens, V.

        Raises:
            UserError: a size is missing or is not a whole number above 0.
        """
        super().__init__(name="language_model", dtype="float32")
        for key in ("hidden_size", "intermediate_size", "num_hidden_layers"):
            value = hf_config.get(key)
            if not isinstance(value, int) or value < 1:
                raise UserError(
                    f"encoder configuration: `{key}` must be a whole number above 0, got {value!r}"
                )
        width, layers = hf_config["hidden_size"], hf_config["num_hidden_layers"]
        limit = math.sqrt(3 / width)
        self.embeddings = self.add_weight(
            "language_model_embeddings",
            [vocabulary_size, width],
            initializer=tf.keras.initializers.RandomUniform(-limit, limit),
        )
        self.recurrences = [
            ProjectedLSTM(hf_config["intermediate_size"], width, name=f"language_model_{layer}")
            for layer in range(layers)
        ]
        for recurrence in self.recurrences:
            recurrence.build([None, 2, None, width])
        rate = hf_config.get("hidden_dropout_prob", 0.0)
        self.dropouts = [tf.keras.layers.Dropout(rate, dtype="float32") for _ in range(layers + 1)]
        self.built = True

    def call(self, token_ids: tf.Tensor, training: bool | None = None) -> list[tf.Tensor]:
        """Runs both directions.

        Args:
            token_ids: int32 [T, 2, B], from `reading_order`.
            training: whether dropout is on and a gradient will be taken.

        Returns:
            float32 [T, 2, B, P] for the embedding and for each layer, in the reading order of each direction.
        """
        outputs = [self.dropouts[0](tf.gather(self.embeddings, token_ids), training=training)]
        for recurrence, dropout in zip(self.recurrences, self.dropouts[1:], strict=True):
            states = recurrence(outputs[-1], training=training)
            if len(outputs) > 1:
                states += outputs[-1]
            outputs.append(dropout(states, training=training))
        return outputs

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """See `Encoder.weight_mappings`; the first axis of a layer's values is the direction, forward first."""
        yield WeightMapping(Elmo.token_table, self.embeddings, tuple(self.embeddings.shape), (0, 1))
        for index, layer in enumerate(self.recurrences):
            kernels = {
                "weight_ih": layer.kernel,
                "weight_hh": layer.recurrent_kernel,
                "weight_hr": layer.projection,
            }
            for name, kernel in kernels.items():
                directions, rows, columns = kernel.shape
                yield WeightMapping(f"layers.{index}.{name}", kernel, (directions, columns, rows), (0, 2, 1))
            yield WeightMapping(f"layers.{index}.bias", layer.bias, tuple(layer.bias.shape), (0, 1))


class LayerMix(tf.keras.layers.Layer):
    """gamma * sum_j softmax(w)_j h_j (Peters et al. 2018, eq. 1).

    Attributes:
        layers: number of layers.
        weights_of_layers: w, float32 [layers], initially equal.
        gamma: float32 scalar, initially 1.
    """

    def __init__(self, layers: int, **kwargs) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.layers = layers
        self.weights_of_layers = self.add_weight("mix_weights", [layers], initializer="zeros")
        self.gamma = self.add_weight("mix_gamma", [], initializer="ones")
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the weighted sum of `layers` tensors of the same shape."""
        shares = tf.unstack(tf.nn.softmax(self.weights_of_layers))
        return self.gamma * tf.add_n([share * layer for share, layer in zip(shares, inputs, strict=True)])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"layers": self.layers}


class Elmo(Encoder):
    """A learned character embedding, concatenated to the weighted layers of a character language model.

    A checkpoint only has the language model. The embedding and the layer weights are new variables of the tagger
    (`randomly_initialized_variables`). [CLS] and [SEP] are the begin and end tokens with which the language model was
    trained. If `language_model.trainable` is False, the language model gets no gradient and its dropout is off.

    Attributes:
        characters: the tagger's own embedding, of width `character_size` (by default, `hidden_size`).
        language_model: the bidirectional language model; each direction has width P.
        mix: weighted sum of its layers; the embedding is the first layer.
    """

    backend = "tf.keras"
    prefix = "elmo"
    token_table = "embeddings.word_embeddings.weight"

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables.

        Raises:
            UserError: a size is invalid; see `LanguageModel`.
        """
        language_model = LanguageModel(hf_config, vocabulary_size)
        width = hf_config["hidden_size"]
        size = hf_config.get("character_size", width)
        super().__init__(
            hf_config,
            vocabulary_size=vocabulary_size,
            hidden_size=size + 2 * width,
            max_positions=sys.maxsize,
        )
        self.language_model = language_model
        self.characters = CharEmbedding({"hidden_size": size}, vocabulary_size)
        self.mix = LayerMix(hf_config["num_hidden_layers"] + 1, name="mix")
        self.built = True

    def call(self, token_ids: tf.Tensor, padding_mask: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """See `Encoder.call`; padding must be on the right, and its outputs are 0."""
        own = self.characters(token_ids, padding_mask)
        length = tf.reduce_sum(tf.cast(padding_mask, tf.int32), axis=1)
        tuned = self.language_model.trainable
        layers = self.language_model(reading_order(token_ids, length), training=training and tuned)
        if not tuned:
            layers = [tf.stop_gradient(layer) for layer in layers]
        forward, backward = tf.unstack(tf.transpose(self.mix(layers), [1, 2, 0, 3]))
        joined = tf.concat([forward, tf.reverse_sequence(backward, length, seq_axis=1)], axis=-1)
        joined = tf.cast(joined, own.dtype) * tf.cast(padding_mask, own.dtype)[:, :, tf.newaxis]
        return tf.concat([own, joined], axis=-1)

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """See `Encoder.weight_mappings`: the variables of the language model."""
        return self.language_model.weight_mappings()

    def randomly_initialized_variables(self) -> list[tf.Variable]:
        """See `Encoder.randomly_initialized_variables`: the tagger's own embedding and the weights of the layers."""
        return [*self.characters.trainable_variables, *self.mix.trainable_variables]

    def assign_vectors(self, rows: np.ndarray, values: np.ndarray) -> None:
        """See `CharEmbedding.assign_vectors`; it changes the tagger's own embedding."""
        self.characters.assign_vectors(rows, values)


def reading_order(token_ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Returns each sequence in the reading order of both directions: from the first token, and from the last token.

    Args:
        token_ids: int32 [B, T].
        length: int32 [B].

    Returns:
        int32 [T, 2, B]; padding stays at the end in both directions.
    """
    backward = tf.reverse_sequence(token_ids, length, seq_axis=1)
    return tf.transpose(tf.stack([token_ids, backward]), [2, 0, 1])
