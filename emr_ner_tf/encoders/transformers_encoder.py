"""Any encoder that transformers' `TFAutoModel` knows: RoFormer, ELECTRA, ALBERT and others, and BERT."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from transformers import AutoConfig, TFAutoModel

from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.keras_nlp_bert import UNUSED
from emr_ner_tf.errors import UserError


class TransformersEncoder(Encoder):
    """A `TFAutoModel` up to its last layer's output, without a pooler where its class allows.

    Attributes:
        model: the transformers model, its variables made.
    """

    def __init__(
        self, hf_config: Mapping[str, Any], vocabulary_size: int, model: tf.keras.Model | None = None
    ) -> None:
        super().__init__(hf_config, vocabulary_size)
        if model is None:
            model = TFAutoModel.from_config(
                AutoConfig.for_model(**dict(hf_config) | {"vocab_size": vocabulary_size}),
                **_without_pooler(hf_config),
            )
        self.model = model
        self(tf.zeros([1, 2], tf.int32), tf.ones([1, 2], tf.bool))

    def call(self, token_ids: tf.Tensor, padding_mask: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """As `Encoder.call`; every segment id is 0."""
        outputs = self.model(
            input_ids=token_ids, attention_mask=tf.cast(padding_mask, tf.int32), training=bool(training)
        )
        return tf.cast(outputs.last_hidden_state, self.compute_dtype)


def load_transformers(
    path: str, hf_config: Mapping[str, Any], rows: int, unknown_row: int
) -> TransformersEncoder:
    """Reads a checkpoint, every variable accounted for in both directions.

    Args:
        path: directory or hub name.
        hf_config: its configuration.
        rows: of the vocabulary; those past the checkpoint's start as a copy of `unknown_row`.
        unknown_row: of [UNK].

    Raises:
        UserError: a variable is missing or left over, or a shape differs.
    """
    try:
        model, report = TFAutoModel.from_pretrained(
            path, output_loading_info=True, **_without_pooler(hf_config)
        )
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"encoder {path}: transformers cannot read it: {error}") from error
    missing = [name for name in report["missing_keys"] if "pooler" not in name]
    left_over = [
        name
        for name in report["unexpected_keys"]
        if not UNUSED.match(name.split(".", 1)[-1])
        and "pooler" not in name
        and not UNUSED.match(name)
        and not name.startswith(("discriminator_predictions", "generator_", "predictions"))
    ]
    if missing or left_over or report.get("mismatched_keys"):
        raise UserError(
            f"encoder {path}: {len(missing)} variables missing (first: {missing[:3]}), {len(left_over)} left over "
            f"(first: {left_over[:3]}), shapes that differ: {report.get('mismatched_keys') or 'none'}"
        )
    old = model.config.vocab_size
    if rows > old:
        model.resize_token_embeddings(rows)
        table = model.get_input_embeddings().weight
        values = table.numpy()
        values[old:] = values[unknown_row]
        table.assign(np.asarray(values))
    return TransformersEncoder(hf_config, rows, model)


def _without_pooler(hf_config: Mapping[str, Any]) -> dict[str, bool]:
    from transformers import TF_MODEL_MAPPING

    kind = TF_MODEL_MAPPING[type(AutoConfig.for_model(hf_config["model_type"]))]
    takes = inspect.signature(kind.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}
