"""BERT on keras-nlp's `BertBackbone`."""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping
from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.attention import dense_rows, multi_head_attention, padding_bias
from emr_ner_tf.layers.layer_norm import layer_norm

# Importing keras-nlp prints a line to standard output, which is for results.
with contextlib.redirect_stdout(io.StringIO()):
    import keras_nlp

# Standard deviation of the initial weights in keras-nlp's BERT, which cannot be changed there.
_KERAS_NLP_RANGE = 0.02
_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


class KerasNlpBert(Encoder):
    """BERT up to its last layer's output: keras-nlp's variables and layers, without the pooler.

    `call` computes all products itself, with the B * T tokens as rows of one matrix. keras-nlp's own call uses `Einsum`
    and `Tensordot`, into which oneDNN can fuse neither a bias nor an activation, so that inference on a CPU takes
    longer.

    Attributes:
        backbone: keras-nlp's layers with all variables, as a model up to the output of the last layer. The pooler is
            left out, because it is not trained.
    """

    backend = "keras_nlp"
    prefix = "bert"
    token_table = "embeddings.word_embeddings.weight"

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables, drawn from `initializer_range`.

        Raises:
            UserError: `BertBackbone` cannot express the configuration.
        """
        _check(hf_config)
        super().__init__(
            hf_config,
            vocabulary_size=vocabulary_size,
            hidden_size=hf_config["hidden_size"],
            max_positions=hf_config["max_position_embeddings"],
        )
        # AutoGraph would spend seconds on converting the source code of the layers, and none of them needs it.
        build = tf.autograph.experimental.do_not_convert(keras_nlp.models.BertBackbone)
        whole = build(
            vocabulary_size=vocabulary_size,
            num_layers=hf_config["num_hidden_layers"],
            num_heads=hf_config["num_attention_heads"],
            hidden_dim=hf_config["hidden_size"],
            intermediate_dim=hf_config["intermediate_size"],
            dropout=hf_config.get("hidden_dropout_prob", 0.1),
            max_sequence_length=hf_config["max_position_embeddings"],
            num_segments=hf_config.get("type_vocab_size", 2),
        )
        self.backbone = tf.keras.Model(whole.inputs, whole.output["sequence_output"], name="bert")
        self._activation = ACTIVATIONS[hf_config.get("hidden_act", "gelu")]
        self.num_layers = hf_config["num_hidden_layers"]
        self.num_segments = hf_config.get("type_vocab_size", 2)
        # `BertBackbone` has fixed values for these; the checkpoint's configuration replaces them.
        epsilon = hf_config.get("layer_norm_eps", 1e-12)
        self._part("embeddings_layer_norm").epsilon = epsilon
        for layer in self._transformer_layers():
            layer._self_attention_layer_norm.epsilon = epsilon
            layer._feedforward_layer_norm.epsilon = epsilon
            layer._self_attention_layer._dropout_layer.rate = hf_config.get(
                "attention_probs_dropout_prob", 0.1
            )
        scale = hf_config.get("initializer_range", _KERAS_NLP_RANGE) / _KERAS_NLP_RANGE
        if scale != 1:
            for mapping in self.weight_mappings():
                if mapping.name.endswith("weight") and "LayerNorm" not in mapping.name:
                    mapping.variable.assign(mapping.variable * scale)
        self.built = True

    def call(
        self,
        token_ids: tf.Tensor,
        padding_mask: tf.Tensor,
        training: bool | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Encoder.call`."""
        shape = tf.shape(token_ids)
        places = self._part("position_embedding").position_embeddings[: shape[1]]
        segments = self._part("segment_embedding").embeddings
        segment = segments[0] if segment_ids is None else tf.gather(segments, segment_ids)
        segment = tf.cast(segment, self.compute_dtype)
        outputs = self._part("token_embedding")(token_ids) + (places + segment)
        outputs = layer_norm(self._part("embeddings_layer_norm"), outputs, training)
        outputs = self._part("embeddings_dropout")(outputs, training=training)
        bias = padding_bias(padding_mask, outputs.dtype)
        for layer in self._transformer_layers():
            attended = multi_head_attention(layer._self_attention_layer, outputs, bias, training)
            attended = layer._self_attention_dropout(attended, training=training)
            outputs = layer_norm(layer._self_attention_layer_norm, outputs + attended, training)
            outputs = outputs + self._feed_forward(layer, outputs, training)
            outputs = layer_norm(layer._feedforward_layer_norm, outputs, training)
        return outputs

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """See `Encoder.weight_mappings`."""
        yield _table("embeddings.word_embeddings.weight", self._part("token_embedding").embeddings)
        positions = self._part("position_embedding").position_embeddings
        yield _table("embeddings.position_embeddings.weight", positions)
        yield _table("embeddings.token_type_embeddings.weight", self._part("segment_embedding").embeddings)
        yield from _norm("embeddings.LayerNorm", self._part("embeddings_layer_norm"))
        for index, layer in enumerate(self._transformer_layers()):
            name = f"encoder.layer.{index}"
            attention = layer._self_attention_layer
            for part in ("query", "key", "value"):
                dense = getattr(attention, f"_{part}_dense")
                yield from _dense(f"{name}.attention.self.{part}", dense, self.hidden_size)
            yield from _dense(f"{name}.attention.output.dense", attention._output_dense, self.hidden_size)
            yield from _norm(f"{name}.attention.output.LayerNorm", layer._self_attention_layer_norm)
            dense = layer._feedforward_intermediate_dense
            yield from _dense(f"{name}.intermediate.dense", dense, self.hidden_size)
            dense = layer._feedforward_output_dense
            yield from _dense(f"{name}.output.dense", dense, dense.kernel.shape[0])
            yield from _norm(f"{name}.output.LayerNorm", layer._feedforward_layer_norm)

    def _part(self, name: str) -> tf.keras.layers.Layer:
        return self.backbone.get_layer(name)

    def _transformer_layers(self) -> list[tf.keras.layers.Layer]:
        """Returns the layers, each a `keras_nlp.layers.TransformerEncoder`."""
        names = (f"transformer_layer_{index}" for index in range(self.num_layers))
        return [self._part(name) for name in names]

    def _feed_forward(
        self, layer: tf.keras.layers.Layer, inputs: tf.Tensor, training: bool | None
    ) -> tf.Tensor:
        """Returns the two dense layers over `inputs` [B, T, H], dropout after them."""
        rows = dense_rows(tf.reshape(inputs, [-1, self.hidden_size]), layer._feedforward_intermediate_dense)
        if training is True:
            # In training, nothing is fused, and erf and exp in bfloat16 take longer than casts to float32 and back.
            rows = tf.cast(self._activation(tf.cast(rows, tf.float32)), rows.dtype)
        else:
            rows = self._activation(rows)
        rows = dense_rows(rows, layer._feedforward_output_dense)
        return tf.reshape(layer._feedforward_dropout(rows, training=training), tf.shape(inputs))


def _exact_gelu(inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(inputs, approximate=False)


def _tanh_gelu(inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(inputs, approximate=True)


# Activation functions by their names in a configuration (`hidden_act`).
ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": _exact_gelu,
    "gelu_python": _exact_gelu,
    "gelu_new": _tanh_gelu,
    "gelu_fast": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "swish": tf.nn.silu,
    "tanh": tf.nn.tanh,
}


def _table(name: str, variable: tf.Variable) -> WeightMapping:
    return WeightMapping(name, variable, tuple(variable.shape), (0, 1))


def _dense(name: str, layer: tf.keras.layers.Layer, width: int) -> Iterator[WeightMapping]:
    size = layer.bias.shape.num_elements()
    yield WeightMapping(f"{name}.weight", layer.kernel, (size, width), (1, 0))
    yield WeightMapping(f"{name}.bias", layer.bias, (size,), (0,))


def _norm(name: str, layer: tf.keras.layers.Layer) -> Iterator[WeightMapping]:
    yield WeightMapping(f"{name}.weight", layer.gamma, tuple(layer.gamma.shape), (0,))
    yield WeightMapping(f"{name}.bias", layer.beta, tuple(layer.beta.shape), (0,))


def _check(hf_config: Mapping[str, Any]) -> None:
    """Raises a UserError for a configuration that `BertBackbone` cannot express."""
    others = "config.encoder_backend=transformers accepts all models with a TensorFlow class in transformers"
    if hf_config.get("model_type") != "bert":
        raise UserError(
            f"encoder backend keras_nlp: `model_type` must be 'bert', got {hf_config.get('model_type')!r}; {others}"
        )
    for key in (*_SIZES, "type_vocab_size"):
        value = hf_config.get(key, 2 if key == "type_vocab_size" else None)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"encoder configuration: `{key}` must be a whole number above 0, got {value!r}")
    if hf_config["hidden_size"] % hf_config["num_attention_heads"]:
        raise UserError(
            "encoder configuration: `hidden_size` must be a multiple of `num_attention_heads`, "
            f"got {hf_config['hidden_size']} and {hf_config['num_attention_heads']}"
        )
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        value = hf_config.get(key, 0.0)
        if not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise UserError(f"encoder configuration: `{key}` must be at least 0 and below 1, got {value!r}")
    for key in ("layer_norm_eps", "initializer_range"):
        value = hf_config.get(key, 1.0)
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise UserError(f"encoder configuration: `{key}` must be a number above 0, got {value!r}")
    choices = {"hidden_act": tuple(ACTIVATIONS), "position_embedding_type": ("absolute",)}
    for key, allowed in choices.items():
        value = hf_config.get(key, allowed[0])
        if value not in allowed:
            raise UserError(
                f"encoder backend keras_nlp: `{key}` must be one of {', '.join(allowed)}, got {value!r}"
            )
    if hf_config.get("is_decoder"):
        raise UserError("encoder configuration: `is_decoder` must be false, got true")
