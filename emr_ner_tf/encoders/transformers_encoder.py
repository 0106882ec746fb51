"""Encoders with a TensorFlow class in transformers: BERT, RoFormer, ELECTRA, ALBERT and others."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from emr_ner_tf.encoders.base import Encoder, WeightMapping
from emr_ner_tf.encoders.weight_readers import axes_in_tensorflow
from emr_ner_tf.errors import UserError

# Warnings at import and at the first model. Pinned versions avoid the first, emr_ner_tf/__init__.py the second.
_SUPPRESSED_WARNINGS = (
    "TensorFlow and JAX classes are deprecated",
    "Transformers is only compatible with Keras 2",
)
logging.getLogger("transformers.modeling_tf_utils").addFilter(
    lambda record: not record.getMessage().startswith(_SUPPRESSED_WARNINGS)
)


class TransformersEncoder(Encoder):
    """A `TFAutoModel` up to the output of its last layer, without a pooler if its class allows that.

    Attributes:
        model: the model of transformers, with its variables.
    """

    backend = "transformers"

    def __init__(self, hf_config: Mapping[str, Any], vocabulary_size: int) -> None:
        """Builds the variables with the initialization of transformers.

        Raises:
            UserError: transformers has no TensorFlow encoder for this configuration.
        """
        model = _build(dict(hf_config) | {"vocab_size": vocabulary_size})
        body = getattr(model, model.base_model_prefix)
        positions = model.config.max_position_embeddings
        # RoBERTa and similar models count positions from the id of the padding token onwards.
        padding_row = getattr(getattr(body, "embeddings", None), "padding_idx", None)
        super().__init__(
            hf_config,
            vocabulary_size=vocabulary_size,
            hidden_size=model.config.hidden_size,
            max_positions=positions if padding_row is None else positions - padding_row - 1,
        )
        self.model = model
        self.prefix = model.base_model_prefix
        self.num_segments = getattr(model.config, "type_vocab_size", 1)
        # By the name that all configurations of transformers know, although DistilBERT's file says `n_layers`.
        self.num_layers = model.config.num_hidden_layers
        # These are not trained: a pooler that the class requires, and RoFormer's table of sines.
        for layer in model.submodules:
            if layer.name in ("pooler", "embed_positions"):
                layer.trainable = False
        table = model.get_input_embeddings().weight
        self.token_table = next(
            mapping.name for mapping in self.weight_mappings() if mapping.variable is table
        )
        self.built = True

    def call(
        self,
        token_ids: tf.Tensor,
        padding_mask: tf.Tensor,
        training: bool | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Encoder.call`."""
        # Embeddings are looked up here, because transformers would add an assertion on token ids to the graph.
        embedded = tf.gather(self.model.get_input_embeddings().weight, token_ids)
        inputs = {
            "inputs_embeds": tf.cast(embedded, self.compute_dtype),
            "attention_mask": tf.cast(padding_mask, tf.int32),
        }
        if segment_ids is not None:
            inputs["token_type_ids"] = segment_ids
        outputs = self.model(inputs, training=bool(training))
        return tf.cast(outputs.last_hidden_state, self.compute_dtype)

    def weight_mappings(self) -> Iterator[WeightMapping]:
        """See `Encoder.weight_mappings`; a pooler is left out."""
        from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name

        for variable in self.model.variables:
            name, transpose = convert_tf_weight_name_to_pt_weight_name(
                variable.name, tf_weight_shape=variable.shape
            )
            name = name.removeprefix(f"{self.prefix}.")
            if name.startswith("pooler."):
                continue
            axes = axes_in_tensorflow(transpose.value, variable.shape.rank)
            shape = tuple(variable.shape[axes.index(axis)] for axis in range(len(axes)))
            yield WeightMapping(name, variable, shape, axes)


def _build(hf_config: dict[str, Any]) -> tf.keras.Model:
    from transformers import CONFIG_MAPPING, TF_MODEL_MAPPING, TFAutoModel

    kind = hf_config.get("model_type")
    if kind not in CONFIG_MAPPING or CONFIG_MAPPING[kind] not in TF_MODEL_MAPPING:
        raise UserError(
            "encoder backend transformers: `model_type` must be one that transformers has a TensorFlow class for, "
            f"got {kind!r}"
        )
    config = CONFIG_MAPPING[kind].from_dict(hf_config)
    if not hasattr(config, "max_position_embeddings") or config.is_encoder_decoder:
        raise UserError(
            "encoder backend transformers: `model_type` must be of an encoder with `max_position_embeddings`, "
            f"got {kind!r}"
        )
    relative = getattr(config, "position_embedding_type", None) or "absolute"
    if relative != "absolute" and kind != "esm":
        # The TensorFlow classes do not read it.
        raise UserError(
            "encoder backend transformers: `position_embedding_type` must be 'absolute' with TensorFlow, "
            f"got {relative!r}"
        )
    takes = inspect.signature(TF_MODEL_MAPPING[type(config)].__init__).parameters
    options = {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}
    try:
        model = TFAutoModel.from_config(config, **options)
        model.build_in_name_scope()
    except (ValueError, NotImplementedError, KeyError) as error:
        raise UserError(f"encoder backend transformers: cannot build a {kind!r}: {error}") from error
    return model
