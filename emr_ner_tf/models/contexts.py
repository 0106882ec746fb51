"""Context layers by name: what stands between the encoder and the attention."""

import functools

import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.gru_gradient import GruWeights, bidirectional_gru


class RecurrentContext(tf.keras.layers.Layer):
    """A bidirectional recurrent layer over right-padded sequences (eq. 1-8 for the GRU).

    float32 under every precision policy: rounding adds up over hundreds of steps, and cuDNN takes no bfloat16.

    Attributes:
        cell: "gru" or "lstm".
        units: width of each direction; both are joined, [forward (+) backward].
        reset_after: GRU only; True applies the reset gate after the product, as cuDNN and PyTorch do; False is
            eq. 3 as the paper prints it.
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
        # cuDNN has a fused gradient; on a CPU ours takes a fraction of the time of Keras' loop.
        self._own_gradient = cell == "gru" and reset_after and not tf.config.list_physical_devices("GPU")

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the variables of both directions."""
        self.recurrence.build(tf.TensorShape(input_shape))
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, length: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs both directions.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; positions past it are padding, and neither direction sees them.
            training: whether a gradient will be taken; dropout is the tagger's, around this layer.

        Returns:
            float [B, T, 2 * units], zeros in the padding.
        """
        if training and self._own_gradient:
            layers = (self.recurrence.forward_layer, self.recurrence.backward_layer)
            forward, backward = (
                GruWeights(*(tf.convert_to_tensor(weight) for weight in layer.trainable_weights))
                for layer in layers
            )
            return bidirectional_gru(inputs, length, forward, backward)
        mask = tf.sequence_mask(length, tf.shape(inputs)[1])
        outputs = self.recurrence(inputs, mask=mask, training=training)
        return outputs * tf.cast(mask, outputs.dtype)[:, :, tf.newaxis]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "cell": self.cell,
            "units": self.units,
            "reset_after": self.reset_after,
        }


CONTEXTS = {
    "none": None,
    "bigru": functools.partial(RecurrentContext, "gru"),
    "bilstm": functools.partial(RecurrentContext, "lstm"),
}


def build_context(name: str, *, units: int, reset_after: bool) -> tf.keras.layers.Layer | None:
    """Builds the context layer of that name, or None for "none".

    Raises:
        UserError: an unknown name; the message lists the choices.
    """
    if name not in CONTEXTS:
        raise UserError(f"config.model.context must be one of {', '.join(CONTEXTS)}, got {name!r}")
    make = CONTEXTS[name]
    return None if make is None else make(units, reset_after=reset_after, name="context")
