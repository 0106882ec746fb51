"""Convolutional contexts: Collobert's window network and the iterated dilated convolutions of Strubell et al."""

from collections.abc import Sequence

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class WindowCNN(tf.keras.layers.Layer):
    """A window of characters through one layer with a hard tanh.

    Attributes:
        units: filters.
        kernel_size: characters in the window; odd.

    Source:
        Collobert et al. 2011, section 3.3.1 (window approach), https://arxiv.org/abs/1103.0398
    """

    def __init__(self, units: int, kernel_size: int = 5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.kernel_size = kernel_size
        self.convolution = tf.keras.layers.Conv1D(
            units, kernel_size, padding="same", dtype=self.dtype_policy, name="convolution"
        )

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the filters."""
        self.convolution.build(tf.TensorShape(input_shape))
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        length: tf.Tensor,
        token_ids: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Looks at each character's window.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; what stands past it counts as 0.
            token_ids: not read.
            training: makes no difference.

        Returns:
            float [B, T, units], 0 in the padding.
        """
        real = _real(inputs, length)
        outputs = self.convolution(tf.where(real, inputs, 0))
        return tf.where(real, tf.clip_by_value(outputs, -1, 1), 0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units, "kernel_size": self.kernel_size}


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class IteratedDilatedCNN(tf.keras.layers.Layer):
    """A convolution, then one block of dilated convolutions that is gone through several times.

    The padding is emptied before each convolution, so that nothing of it is ever seen however wide the view grows:
    with the defaults 35 characters. The block's filters begin as the identity, so that what the first convolution says
    reaches the end whole, and so do gradients its filters: through twelve rectifiers of filters drawn at random
    little of either is left.

    Attributes:
        units: filters of every convolution.
        dilations: of the block's convolutions.
        iterations: times that the block, with the same filters, is applied.
        kernel_size: characters that a convolution joins; odd.

    Source:
        Strubell et al. 2017, equations 3-7, https://arxiv.org/abs/1702.02098; the identity: its code,
        github.com/iesl/dilated-cnn-ner, conf/conll/dilated-cnn-viterbi.conf
    """

    def __init__(
        self,
        units: int,
        dilations: tuple[int, ...] = (1, 1, 2),
        iterations: int = 4,
        kernel_size: int = 3,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dilations = tuple(dilations)
        self.iterations = iterations
        self.kernel_size = kernel_size
        self.first = self._convolution("first")
        self.block = [
            self._convolution(f"block_{i}", dilation_rate=rate, kernel_initializer=_identity)
            for i, rate in enumerate(self.dilations)
        ]

    def _convolution(self, name: str, **kwargs) -> tf.keras.layers.Layer:
        return tf.keras.layers.Conv1D(
            self.units, self.kernel_size, padding="same", dtype=self.dtype_policy, name=name, **kwargs
        )

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the filters."""
        shape = tf.TensorShape(input_shape)
        self.first.build(shape)
        for layer in self.block:
            layer.build(shape[:-1].concatenate(self.units))
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        length: tf.Tensor,
        token_ids: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Runs the convolutions, a rectifier after each.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; what stands past it counts as 0.
            token_ids: not read.
            training: makes no difference.

        Returns:
            float [B, T, units], 0 in the padding.
        """
        real = _real(inputs, length)
        outputs = tf.where(real, inputs, 0)
        for layer in [self.first, *self.block * self.iterations]:
            outputs = tf.where(real, tf.nn.relu(layer(outputs)), 0)
        return outputs

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "dilations": self.dilations,
            "iterations": self.iterations,
            "kernel_size": self.kernel_size,
        }


def _identity(shape: Sequence[int], dtype: tf.DType = tf.float32, **_) -> tf.Tensor:
    """Filters [width, units, units] that give each character's features as they are."""
    width, inputs, outputs = shape
    centre = tf.one_hot(width // 2, width, dtype=dtype)
    return centre[:, tf.newaxis, tf.newaxis] * tf.eye(inputs, outputs, dtype=dtype)


def _real(inputs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.sequence_mask(length, tf.shape(inputs)[1])[:, :, tf.newaxis]
