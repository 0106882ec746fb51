"""Weights stored in 16 bits and computed with in float32: half the size, for one rounding of each weight."""

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable

from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.tagger import Tagger

WEIGHTS = ("float32", "bfloat16", "float16")

# Smaller variables (biases, norms, transitions) would save nothing worth their rounding.
_MIN_ELEMENTS = 4096


class ReducedPrecisionTagger:
    """A text tagger whose large variables are stored in 16 bits.

    Every use of it, tracing above all, must stand within `with half.reading():`.

    Attributes:
        ner_pipeline: computes in float32.
    """

    def __init__(self, tagger: Tagger, definition: ModelDefinition, weights: str) -> None:
        """Builds the model again and copies the weights, rounded.

        Args:
            tagger: float32, trained.
            definition: of it.
            weights: "bfloat16" or "float16".
        """
        dtype = tf.dtypes.as_dtype(weights)

        def half(next_creator, **kwargs):
            value = kwargs["initial_value"]
            value = tf.convert_to_tensor(value() if callable(value) else value, kwargs.get("dtype"))
            if value.dtype != tf.float32 or value.shape.num_elements() < _MIN_ELEMENTS:
                return next_creator(**kwargs)
            stored = next_creator(**kwargs | {"initial_value": tf.cast(value, dtype), "dtype": dtype})
            # Keras' own wrapper of mixed precision: what is read within `reading` is cast.
            return autocast_variable.create_autocast_variable(stored)

        with self.reading(), tf.variable_creator_scope(half):
            copy, _ = build_tagger(definition)
        for variable, value in zip(copy.variables, tagger.variables, strict=True):
            stored = getattr(variable, "_variable", variable)
            stored.assign(tf.cast(value, stored.dtype))
        self.ner_pipeline = NerPipeline(copy, definition.vocabulary, definition.config)

    @staticmethod
    def reading():
        """Context within which the variables read as float32."""
        return autocast_variable.enable_auto_cast_variables(tf.float32)
