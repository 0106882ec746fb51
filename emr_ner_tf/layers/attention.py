"""The two attentions of the paper's Table V: plain (eq. 9-11) and multi-head self-attention."""

import tensorflow as tf

from emr_ner_tf.errors import UserError


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class SelfAttention(tf.keras.layers.Layer):
    """Multi-head self-attention over right-padded sequences, with a residual connection but no layer normalization.

    Attributes:
        num_heads: number of heads; the width of the inputs must be a multiple of it. Each head has width / num_heads
            units.
        dropout: dropout rate on the attention weights.
        attention: the `tf.keras.layers.MultiHeadAttention`, once built.
    """

    def __init__(self, num_heads: int = 8, dropout: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention = None

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the attention and its weights.

        Raises:
            UserError: the width of the inputs is not a multiple of `num_heads`.
        """
        width = tf.TensorShape(input_shape)[-1]
        if width is None or self.num_heads < 1 or width % self.num_heads:
            raise UserError(
                f"{self.name}: the width must be a multiple of `num_heads`={self.num_heads}, got {width}"
            )
        self.attention = tf.keras.layers.MultiHeadAttention(
            self.num_heads,
            key_dim=width // self.num_heads,
            dropout=self.dropout,
            dtype=self.dtype_policy,
            name="attention",
        )
        # Keras creates its variables at the first call, which is too late for a layer that is loaded.
        probe = tf.zeros([1, 1, width], self.compute_dtype)
        self.attention(probe, probe)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, length: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Adds the output of the attention to each position.

        Args:
            inputs: float [B, T, H]; values past `length` are ignored, even NaN.
            length: int [B].
            training: whether dropout is on.

        Returns:
            float [B, T, H], 0 in the padding.
        """
        real = tf.sequence_mask(length, tf.shape(inputs)[1])
        # A weight of 0 does not cancel a NaN, so the padding is set to 0, too.
        inputs = _mask_padding(real, inputs)
        outputs = self.attention(  # pyright: ignore[reportOptionalCall]
            inputs, inputs, attention_mask=real[:, tf.newaxis], training=training
        )
        return _mask_padding(real, inputs + outputs)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"num_heads": self.num_heads, "dropout": self.dropout}


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf", name="PlainAttention")
class AdditiveAttentionPooling(tf.keras.layers.Layer):
    """Concatenates one weighted summary of the sequence to every position (eq. 9-11).

    u_t = tanh(w h_t + b), a scalar; a_t = exp(u_t) / sum of exp(u_t); s = sum of a_t h_t; output [h_t, s].

    Attributes:
        kernel: w, [H], once built.
        bias: b, a scalar, once built.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.kernel = None
        self.bias = None

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates w and b."""
        width = tf.TensorShape(input_shape)[-1]
        self.kernel = self.add_weight("kernel", shape=[width, 1], initializer="glorot_uniform")
        self.bias = self.add_weight("bias", shape=[1], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, length: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Concatenates the summary to every position.

        Args:
            inputs: float [B, T, H]; values past `length` are ignored, even NaN.
            length: int [B].
            training: ignored, since there is no dropout.

        Returns:
            float [B, T, 2 * H], 0 in the padding.
        """
        real = tf.sequence_mask(length, tf.shape(inputs)[1])
        inputs = _mask_padding(real, inputs)
        scores = tf.tanh(tf.matmul(inputs, self.kernel) + self.bias)
        # tanh is at most 1, so exp() needs no shift. float32, because the values are summed over time.
        weights = _mask_padding(real, tf.exp(tf.cast(scores, tf.float32)))
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, 1, keepdims=True))
        summary = tf.reduce_sum(weights * tf.cast(inputs, tf.float32), 1, keepdims=True)
        summary = tf.broadcast_to(tf.cast(summary, inputs.dtype), tf.shape(inputs))
        return _mask_padding(real, tf.concat([inputs, summary], -1))


def _mask_padding(real: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns `values` [B, T, H] with 0 in the padding."""
    return tf.where(real[:, :, tf.newaxis], values, tf.zeros([], values.dtype))
