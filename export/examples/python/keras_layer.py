"""A bundle as a Keras layer that turns a text into numbers for your own Keras model.

The layer needs TensorFlow only; the weights of the bundle do not change.

    features = EntityFeatures("BUNDLES/1")
    text = tf.keras.Input([], dtype="string")
    risk = tf.keras.layers.Dense(1, activation="sigmoid")(features(text))
    model = tf.keras.Model(text, risk)
"""

import pathlib

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("emr_ner")
class EntityFeatures(tf.keras.layers.Layer):
    """Maps strings [B] to float32 [B, 2 L]: the number and the highest score of the mentions of each of L labels.

    Attributes:
        directory: directory of a bundle's version.
        labels: labels of the bundle, in the order of the columns: L numbers, then L scores.
    """

    def __init__(self, directory: str, **kwargs) -> None:
        kwargs["trainable"] = False
        super().__init__(**kwargs)
        self.directory = directory
        labels = pathlib.Path(directory, "assets", "labels.txt").read_text(encoding="utf-8")
        self.labels = tuple(labels.splitlines())
        # In a tuple, so that Keras does not track the variables: a saved model contains only the bundle's directory.
        self._bundle = (tf.saved_model.load(directory),)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Calls the signature `serving_default` on strings [B]."""
        found = self._bundle[0].signatures["serving_default"](text=inputs)
        # [B, E, L]; in the padding the label is "" and the score is 0.
        is_label = tf.cast(found["label"][:, :, None] == tf.constant(self.labels), tf.float32)
        # The bundle does not learn: without this, `fit` would compute the gradient of the whole bundle and discard it.
        score = tf.stop_gradient(found["score"])
        # Without the padding, the maximum over no mentions would be -inf.
        scores = tf.pad(score[:, :, None] * is_label, [[0, 0], [0, 1], [0, 0]])
        return tf.concat([tf.reduce_sum(is_label, 1), tf.reduce_max(scores, 1)], -1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns [B, 2 L]."""
        return (input_shape[0], 2 * len(self.labels))

    def get_config(self) -> dict:
        """Returns the arguments for `from_config`, which loads the bundle from its directory again."""
        return super().get_config() | {"directory": self.directory}
