"""BERT on keras-nlp's `BertBackbone`, weights by name from the Hugging Face layout."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras_nlp
import numpy as np
import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.errors import UserError

_ACTIVATIONS = {
    "gelu": functools.partial(tf.keras.activations.gelu, approximate=False),
    "gelu_new": functools.partial(tf.keras.activations.gelu, approximate=True),
    "gelu_pytorch_tanh": functools.partial(tf.keras.activations.gelu, approximate=True),
    "relu": tf.keras.activations.relu,
}
# What a checkpoint may have and an encoder does not use: the pooler, the pre-training heads, a buffer of integers.
UNUSED = re.compile(r"^(pooler\.|cls\.|mlm___cls\.|nsp___cls\.|.*position_ids$)")


class KerasNlpBert(Encoder):
    """BERT up to its last layer's output; keras-nlp's pooler is built by the library and left out.

    Attributes:
        backbone: Keras model from token ids, segment ids and padding mask to the sequence output.
    """

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables, drawn from `initializer_range`.

        Raises:
            UserError: a configuration that `BertBackbone` cannot express.
        """
        super().__init__(hf_config, vocabulary_size)
        _check(hf_config)
        whole = keras_nlp.models.BertBackbone(
            vocabulary_size=vocabulary_size,
            num_layers=hf_config["num_hidden_layers"],
            num_heads=hf_config["num_attention_heads"],
            hidden_dim=self.hidden_size,
            intermediate_dim=hf_config["intermediate_size"],
            dropout=hf_config.get("hidden_dropout_prob", 0.1),
            max_sequence_length=self.max_positions,
            num_segments=hf_config.get("type_vocab_size", 2),
        )
        self.backbone = tf.keras.Model(whole.inputs, whole.output["sequence_output"], name="bert")
        # keras-nlp hard-wires the tanh GELU, one dropout rate and 1e-12; the functional model calls the layers anew,
        # so that what is set here holds.
        activation = _ACTIVATIONS[hf_config.get("hidden_act", "gelu")]
        for layer in self._layers_of_transformer():
            layer._feedforward_intermediate_dense.activation = activation
            attention = layer._self_attention_layer
            attention._dropout_layer.rate = hf_config.get("attention_probs_dropout_prob", 0.1)
        for module in self.backbone.submodules:
            if isinstance(module, tf.keras.layers.LayerNormalization):
                module.epsilon = hf_config.get("layer_norm_eps", 1e-12)

    def call(self, token_ids: tf.Tensor, padding_mask: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """As `Encoder.call`; every segment id is 0."""
        inputs = {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": padding_mask,
        }
        return self.backbone(inputs, training=training)

    def assign(self, weights: Mapping[str, np.ndarray], source: str) -> None:
        """Takes every variable from a checkpoint.

        Args:
            weights: by PyTorch name, token rows as many as the vocabulary's.
            source: of the weights, for errors.

        Raises:
            UserError: a name is missing, one is left over, or a shape differs.
        """
        targets = dict(self._targets())
        missing = [name for name in targets if name not in weights]
        left_over = [name for name in weights if name not in targets and not UNUSED.match(name)]
        if missing or left_over:
            raise UserError(
                f"{source}: not the weights of this BERT: {len(missing)} missing (first: {missing[:3]}), "
                f"{len(left_over)} left over (first: {left_over[:3]})"
            )
        for name, variable in targets.items():
            value = weights[name]
            if value.ndim == 2 and not name.endswith("embeddings.weight"):
                value = value.T
            shape = tuple(variable.shape)
            # Keras parts attention's kernels by head; everything else has the checkpoint's own rank.
            fits = value.shape == shape if value.ndim == len(shape) else value.size == np.prod(shape)
            if not fits:
                raise UserError(
                    f"{source}: `{name}` has shape {weights[name].shape}, which does not fit {shape}"
                )
            variable.assign(value.reshape(variable.shape))

    def _layers_of_transformer(self) -> list[tf.keras.layers.Layer]:
        return [
            self.backbone.get_layer(f"transformer_layer_{i}")
            for i in range(self.hf_config["num_hidden_layers"])
        ]

    def _targets(self) -> Iterator[tuple[str, tf.Variable]]:
        """Every variable of the backbone with its name in the Hugging Face layout."""
        get = self.backbone.get_layer
        yield "embeddings.word_embeddings.weight", get("token_embedding").embeddings
        yield "embeddings.position_embeddings.weight", get("position_embedding").position_embeddings
        yield "embeddings.token_type_embeddings.weight", get("segment_embedding").embeddings
        yield from _norm("embeddings.LayerNorm", get("embeddings_layer_norm"))
        for i, layer in enumerate(self._layers_of_transformer()):
            prefix = f"encoder.layer.{i}"
            attention = layer._self_attention_layer
            yield from _dense(f"{prefix}.attention.self.query", attention._query_dense)
            yield from _dense(f"{prefix}.attention.self.key", attention._key_dense)
            yield from _dense(f"{prefix}.attention.self.value", attention._value_dense)
            yield from _dense(f"{prefix}.attention.output.dense", attention._output_dense)
            yield from _norm(f"{prefix}.attention.output.LayerNorm", layer._self_attention_layer_norm)
            yield from _dense(f"{prefix}.intermediate.dense", layer._feedforward_intermediate_dense)
            yield from _dense(f"{prefix}.output.dense", layer._feedforward_output_dense)
            yield from _norm(f"{prefix}.output.LayerNorm", layer._feedforward_layer_norm)


def _dense(name: str, layer: tf.keras.layers.Layer) -> Iterator[tuple[str, tf.Variable]]:
    yield f"{name}.weight", layer.kernel
    yield f"{name}.bias", layer.bias


def _norm(name: str, layer: tf.keras.layers.Layer) -> Iterator[tuple[str, tf.Variable]]:
    yield f"{name}.weight", layer.gamma
    yield f"{name}.bias", layer.beta


def _check(hf_config: Mapping[str, Any]) -> None:
    if hf_config["model_type"] != "bert":
        raise UserError(
            f"encoder_backend=keras_nlp takes model_type 'bert', got {hf_config['model_type']!r}; "
            "--config.encoder_backend=transformers takes others"
        )
    activation = hf_config.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise UserError(f"`hidden_act` must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
    kind = hf_config.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise UserError(
            f"encoder_backend=keras_nlp takes `position_embedding_type` 'absolute', got {kind!r}; "
            "--config.encoder_backend=transformers takes others"
        )
