"""Layer normalization with a custom gradient."""

import tensorflow as tf


def layer_norm(
    layer: tf.keras.layers.LayerNormalization, inputs: tf.Tensor, training: bool | None
) -> tf.Tensor:
    """Normalizes the last axis like `layer`, in half the time if a gradient is taken.

    Automatic differentiation of Keras' layer makes about twice as many passes over the inputs as this gradient, which
    also computes the sums as matrix products. Without training, Keras' own call is used, because grappler fuses it.

    Args:
        layer: a built layer over the last axis, with scale and offset.
        inputs: float [..., H].
        training: whether a gradient will be taken.

    Returns:
        [..., H] in the dtype of `inputs`, computed in float32 at least, as Keras computes it.
    """
    if not training:
        return layer(inputs)
    width, dtype = inputs.shape[-1], inputs.dtype
    compute = tf.float32 if dtype.size < 4 else dtype
    epsilon = tf.constant(layer.epsilon, compute)

    @tf.custom_gradient
    def normalise(inputs, scale, offset):
        rows = tf.cast(tf.reshape(inputs, [-1, width]), compute)
        centred = rows - tf.reduce_mean(rows, axis=1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=1, keepdims=True) + epsilon)
        normalised = centred * inverse

        def gradient(upstream):
            upstream = tf.cast(tf.reshape(upstream, [-1, width]), compute)
            product = upstream * normalised
            ones = tf.ones([1, tf.shape(product)[0]], compute)
            column = scale[:, tf.newaxis]
            mean = tf.matmul(upstream, column) / width
            projection = tf.matmul(product, column) / width
            rows_gradient = (upstream * scale - (mean + normalised * projection)) * inverse
            return (
                tf.reshape(tf.cast(rows_gradient, dtype), tf.shape(inputs)),
                tf.matmul(ones, product)[0],
                tf.matmul(ones, upstream)[0],
            )

        return tf.reshape(tf.cast(normalised * scale + offset, dtype), tf.shape(inputs)), gradient

    return normalise(inputs, tf.cast(layer.gamma, compute), tf.cast(layer.beta, compute))
