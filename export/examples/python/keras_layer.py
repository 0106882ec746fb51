"""A bundle as a layer: what it finds in a text, as numbers that a Keras model of one's own goes on with.

Needs TensorFlow alone; the bundle's weights stay as they are.

    features = EntityFeatures("BUNDLES/1")
    text = tf.keras.Input([], dtype="string")
    risk = tf.keras.layers.Dense(1, activation="sigmoid")(features(text))
    model = tf.keras.Model(text, risk)
"""

import pathlib

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("emr_ner")
class EntityFeatures(tf.keras.layers.Layer):
    """Strings [B] to float32 [B, 2 L]: for each of the bundle's L labels its mentions' number and highest score.

    Attributes:
        directory: of a bundle's version.
        labels: the bundle's, in the order of the columns: L numbers, then L scores.
    """

    def __init__(self, directory: str, **kwargs) -> None:
        kwargs["trainable"] = False
        super().__init__(**kwargs)
        self.directory = directory
        labels = pathlib.Path(directory, "assets", "labels.txt").read_text(encoding="utf-8")
        self.labels = tuple(labels.splitlines())
        # In a tuple, so that Keras does not take the variables for its own: saved models name the bundle, no more.
        self._bundle = (tf.saved_model.load(directory),)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Calls the signature `serving_default` on strings [B]."""
        found = self._bundle[0].signatures["serving_default"](text=inputs)
        # [B, E, L]; in the padding the label is "" and the score 0.
        is_label = tf.cast(found["label"][:, :, None] == tf.constant(self.labels), tf.float32)
        # An upper bound of no mentions at all would be -inf.
        scores = tf.pad(found["score"][:, :, None] * is_label, [[0, 0], [0, 1], [0, 0]])
        return tf.concat([tf.reduce_sum(is_label, 1), tf.reduce_max(scores, 1)], -1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B] to [B, 2 L]."""
        return (input_shape[0], 2 * len(self.labels))

    def get_config(self) -> dict:
        """What `from_config` needs: the bundle is found again by its directory."""
        return super().get_config() | {"directory": self.directory}
