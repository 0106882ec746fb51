"""Convolutional context layers: the window network of Collobert et al. and the dilated CNN of Strubell et al."""

from collections.abc import Sequence

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="emr_ner_tf")
class WindowCNN(tf.keras.layers.Layer):
    """One convolution over a window of characters, followed by a hard tanh.

    Attributes:
        units: number of filters.
        kernel_size: number of characters in the window; odd.

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
        """Creates the filters."""
        self.convolution.build(tf.TensorShape(input_shape))
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        length: tf.Tensor,
        token_ids: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Applies the convolution to the window of each character.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; values past it count as 0.
            token_ids: ignored.
            training: ignored.

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
    """A convolution, followed by several passes through one block of dilated convolutions.

    The padding is set to 0 before each convolution, so that it never affects the outputs, however wide the receptive
    field is (35 characters with the defaults). The filters of the block are initialized as the identity, so that the
    output of the first convolution reaches the end unchanged, and gradients reach its filters. With randomly
    initialized filters, twelve rectifiers in a row would leave little of either.

    Attributes:
        units: number of filters of every convolution.
        dilations: dilation rates of the convolutions in the block.
        iterations: number of passes through the block; all passes share its filters.
        kernel_size: width of the filters; odd.

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
        """Creates the filters."""
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
        """Applies the convolutions, each followed by a rectifier.

        Args:
            inputs: float [B, T, H].
            length: int32 [B]; values past it count as 0.
            token_ids: ignored.
            training: ignored.

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
    """Returns filters [width, units, units] that leave the features of each character unchanged."""
    width, inputs, outputs = shape
    centre = tf.one_hot(width // 2, width, dtype=dtype)
    return centre[:, tf.newaxis, tf.newaxis] * tf.eye(inputs, outputs, dtype=dtype)


def _real(inputs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.sequence_mask(length, tf.shape(inputs)[1])[:, :, tf.newaxis]
