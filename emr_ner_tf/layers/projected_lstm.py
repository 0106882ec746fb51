"""A bidirectional LSTM with projected states, each direction in a loop with a custom gradient."""

import math

import tensorflow as tf

from emr_ner_tf.layers.recurrence import lstm_states


class ProjectedLSTM(tf.keras.layers.Layer):
    """Two LSTMs, one for each direction, with projected states.

    i, f, o = sigma(W x_t + R h_{t-1} + b), g = tanh(W x_t + R h_{t-1} + b), c_t = f c_{t-1} + i g,
    h_t = P (o tanh(c_t)).

    The layer is float32 under every precision policy, because rounding errors add up over hundreds of steps.

    Attributes:
        units: width U of the cells.
        width: width P of the states.
        kernel: W, float32 [2, H, 4U], gates in the order i, f, g, o.
        recurrent_kernel: R, float32 [2, P, 4U].
        bias: b, float32 [2, 4U], initialized to 1 for f and to 0 for the other gates.
        projection: P, float32 [2, U, P].

    Source:
        Sak, Senior and Beaufays 2014, "Long Short-Term Memory Based Recurrent Neural Network Architectures for Large
        Scale Acoustic Modeling", eq. 1-7, without peepholes.
    """

    def __init__(self, units: int, width: int, **kwargs) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.units = units
        self.width = width

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the variables; kernels have the initialization of Glorot and Bengio (2010)."""
        gates = 4 * self.units

        def kernel(name: str, rows: int, columns: int) -> tf.Variable:
            limit = math.sqrt(6 / (rows + columns))
            initializer = tf.keras.initializers.RandomUniform(-limit, limit)
            return self.add_weight(f"{self.name}_{name}", [2, rows, columns], initializer=initializer)

        def bias(shape: list[int], dtype: tf.DType) -> tf.Tensor:
            return tf.repeat(tf.constant([[0.0, 1.0, 0.0, 0.0]] * 2, dtype), self.units, axis=1)

        self.kernel = kernel("kernel", tf.TensorShape(input_shape)[-1], gates)
        self.recurrent_kernel = kernel("recurrent_kernel", self.width, gates)
        self.bias = self.add_weight(f"{self.name}_bias", [2, gates], initializer=bias)
        self.projection = kernel("projection", self.units, self.width)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs both directions.

        Args:
            inputs: float32 [T, 2, B, H], T at least 1, each direction in its own order. Padding is at the end, where it
                has no effect.
            training: whether a gradient will be taken. If not, the loop keeps no gates, and an export contains no
                gradient function; a gradient is then computed by TensorFlow, more slowly.

        Returns:
            States h, float32 [T, 2, B, P]; undefined past the end of a sequence.
        """
        weights = (self.kernel, self.recurrent_kernel, self.bias, self.projection)
        directions = zip(*(tf.unstack(weight) for weight in weights), strict=True)
        states = [
            lstm_states(inputs[:, direction], *of_direction, training=bool(training))
            for direction, of_direction in enumerate(directions)
        ]
        return tf.stack(states, axis=1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units, "width": self.width}
