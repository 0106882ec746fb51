"""The two attentions of the paper's Table V: plain (eq. 9-11) and multi-head self-attention.

`multi_head_attention` is also that of the encoder. It reads the weights of Keras' layer and multiplies all B * T
positions as rows of one matrix: Keras' own call goes through `Einsum`, in which oneDNN fuses neither a bias nor a scale
(decision 9).
"""

import math

import tensorflow as tf

from emr_ner_tf.errors import UserError


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class SelfAttention(tf.keras.layers.Layer):
    """Multi-head self-attention over right-padded sequences, with a residual connection but no layer normalization.

    Attributes:
        num_heads: number of heads; the width of the inputs must be a multiple of it. Each head has width / num_heads
            units.
        dropout: dropout rate on the attention weights.
        output_dropout: dropout on what is added to the inputs.
        gated: whether the output of the attention is multiplied by `gate`, so that the layer begins as the identity
            (ReZero, Bachlechner et al. 2021).
        attention: the `tf.keras.layers.MultiHeadAttention`, once built.
        gate: float scalar, 0 before training; None if not `gated`.
    """

    def __init__(
        self,
        num_heads: int = 8,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        gated: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.output_dropout = tf.keras.layers.Dropout(
            output_dropout, dtype=self.dtype_policy, name="output_dropout"
        )
        self.gated = gated
        self.attention = None
        self.gate = None

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
        # Glorot's uniform limit for a square matrix. Keras interprets the heads of a kernel as the receptive field of a
        # convolution and, with 8 heads of 64 units, would use a sixth of this limit: the attention would be almost
        # uniform and would add hardly anything.
        limit = math.sqrt(3 / width)
        self.attention = tf.keras.layers.MultiHeadAttention(
            self.num_heads,
            key_dim=width // self.num_heads,
            dropout=self.dropout,
            kernel_initializer=tf.keras.initializers.RandomUniform(-limit, limit),
            dtype=self.dtype_policy,
            name="attention",
        )
        # Keras creates its variables at the first call, which is too late for a layer that is loaded.
        probe = tf.zeros([1, 1, width], self.compute_dtype)
        self.attention(probe, probe)
        if self.gated:
            self.gate = self.add_weight("gate", shape=[], initializer="zeros")
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
        outputs = multi_head_attention(self.attention, inputs, padding_bias(real, inputs.dtype), training)
        if self.gate is not None:
            outputs *= tf.cast(self.gate, outputs.dtype)
        outputs = self.output_dropout(outputs, training=training)
        return _mask_padding(real, inputs + outputs)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "output_dropout": self.output_dropout.rate,
            "gated": self.gated,
        }


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf", name="PlainAttention")
class AdditiveAttentionPooling(tf.keras.layers.Layer):
    """Concatenates one weighted summary of the sequence to every position (eq. 9-11).

    u_t = tanh(w h_t + b), a scalar; a_t = exp(u_t) / sum of exp(u_t); s = sum of a_t h_t; output [h_t, s].

    Attributes:
        output_dropout: dropout on s.
        kernel: w, [H], once built.
        bias: b, a scalar, once built.
    """

    def __init__(self, output_dropout: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.output_dropout = tf.keras.layers.Dropout(
            output_dropout, dtype=self.dtype_policy, name="output_dropout"
        )
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
            training: whether dropout is on.

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
        summary = self.output_dropout(tf.cast(summary, inputs.dtype), training=training)
        return _mask_padding(real, tf.concat([inputs, tf.broadcast_to(summary, tf.shape(inputs))], -1))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"output_dropout": self.output_dropout.rate}


def multi_head_attention(
    layer: tf.keras.layers.MultiHeadAttention, inputs: tf.Tensor, bias: tf.Tensor, training: bool | None
) -> tf.Tensor:
    """Computes the attention of a sequence to itself.

    Args:
        layer: layer with the weights, once built; the heads together are as wide as the inputs.
        inputs: float [B, T, H].
        bias: float [B, 1, 1, T], added to the scores, as `padding_bias` makes it.
        training: whether the layer's dropout of attention weights is on.

    Returns:
        float [B, T, H].
    """
    shape, size, heads = tf.shape(inputs), inputs.shape[-1], layer._num_heads
    width = size // heads
    rows = tf.reshape(inputs, [-1, size])

    def project(dense: tf.keras.layers.Layer) -> tf.Tensor:
        projected = tf.reshape(dense_rows(rows, dense), [shape[0], shape[1], heads, width])
        return tf.transpose(projected, [0, 2, 1, 3])

    query, key, value = map(project, (layer._query_dense, layer._key_dense, layer._value_dense))
    # In this order, the scale and the bias are fused into the product.
    scores = tf.matmul(query, key, transpose_b=True) * tf.constant(width**-0.5, inputs.dtype) + bias
    weights = layer._dropout_layer(tf.nn.softmax(scores), training=training)
    context = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
    outputs = dense_rows(tf.reshape(context, [-1, size]), layer._output_dense)
    return tf.reshape(outputs, shape)


def padding_bias(real: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns what is added to the scores of an attention: 0 for real positions, a very low number for padding.

    Args:
        real: bool [B, T].
        dtype: dtype of the scores.

    Returns:
        [B, 1, 1, T]. The number is finite, so that a row without any real position gives no NaN.
    """
    # Half of float16's range, so that a score fits on it.
    closed = -1e9 if dtype != tf.float16 else tf.float16.min / 2
    bias = tf.where(real, tf.zeros([], dtype), tf.constant(closed, dtype))
    return bias[:, tf.newaxis, tf.newaxis, :]


def dense_rows(rows: tf.Tensor, dense: tf.keras.layers.Layer) -> tf.Tensor:
    """Computes `rows` [N, in] through a dense layer whose kernel and bias may have their heads apart: [N, out]."""
    kernel = tf.reshape(tf.cast(dense.kernel, rows.dtype), [rows.shape[-1], -1])
    # Grappler fuses an activation only where the bias does not come straight from its variable.
    bias = tf.squeeze(tf.reshape(tf.cast(dense.bias, rows.dtype), [1, -1]), axis=0)
    return tf.nn.bias_add(tf.matmul(rows, kernel), bias)


def _mask_padding(real: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns `values` [B, T, H] with 0 in the padding."""
    return tf.where(real[:, :, tf.newaxis], values, tf.zeros([], values.dtype))
