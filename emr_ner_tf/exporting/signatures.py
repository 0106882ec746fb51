"""The four signatures of a bundle, in a module that contains no Keras object."""

import functools
import types

import tensorflow as tf

from emr_ner_tf.models.ner_pipeline import NerPipeline


class ServingModule(tf.Module):
    """The module to save: the functions of the signatures and the variables that they read.

    The tagger is not an attribute but captured by the functions: saving a Keras model would also save a traced copy of
    every layer's call, which is never used.

    Attributes:
        weights: every variable of the model.
    """

    def __init__(self, ner_pipeline: NerPipeline) -> None:
        super().__init__(name="emr_ner")
        # Keras wraps variables to cast them when they are read; the wrapped variable is stored.
        self.weights = [getattr(v, "_variable", v) for v in ner_pipeline.tagger.variables]
        text = tf.TensorSpec([None], tf.string, name="text")
        tokens = tf.TensorSpec([None, None], tf.int32, name="token_ids")
        length = tf.TensorSpec([None], tf.int32, name="length")
        # AutoGraph would spend seconds on converting the source code, and is not needed.
        function = functools.partial(tf.function, autograph=False)
        # TensorFlow tracks dictionaries: it would trace and save the functions of one in addition to the signatures.
        self._signatures = types.MappingProxyType(
            {
                "serving_default": function(ner_pipeline.entities, input_signature=[text]),
                "tag": function(ner_pipeline.tags, input_signature=[text]),
                "decode": function(ner_pipeline.decode, input_signature=[tokens, length]),
                "marginals": function(ner_pipeline.marginals, input_signature=[tokens, length]),
            }
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the signature `serving_default`, for engines that call the loaded object."""
        return self._signatures["serving_default"](text)

    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Returns the functions by signature name. Saving traces them; it does not use an earlier trace."""
        return dict(self._signatures)
