"""A bidirectional LSTM with projected states in one loop, with a custom gradient.

As in `recurrence`, the input products are computed before the loop, both directions share the loop, and the gradient
of each kernel is one product after it.
"""

import math

import tensorflow as tf


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
        shape = tf.shape(inputs)
        products = tf.matmul(_by_direction(inputs), self.kernel) + self.bias[:, tf.newaxis]
        products = tf.reshape(products, tf.stack([2, shape[0], shape[2], 4 * self.units]))
        products = tf.transpose(products, [1, 0, 2, 3])
        recurrent, projection = map(tf.convert_to_tensor, (self.recurrent_kernel, self.projection))
        if training:
            return _recurrence(products, recurrent, projection)
        return _forward_loop(products, recurrent, projection, keep=False)[0]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units, "width": self.width}


@tf.custom_gradient
def _recurrence(products: tf.Tensor, recurrent: tf.Tensor, projection: tf.Tensor):
    """Returns states [T, 2, B, P] from input products [T, 2, B, 4U] and kernels [2, P, 4U], [2, U, P]."""
    states, gates, cells = _forward_loop(products, recurrent, projection, keep=True)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        slopes, d_states = _backward_loop(upstream, gates, cells, recurrent, projection)
        zero = tf.zeros_like(states[:1])
        previous = _by_direction(tf.concat([zero, states[:-1]], axis=0)[: tf.shape(states)[0]])
        d_recurrent = tf.matmul(previous, _by_direction(slopes), transpose_a=True)
        units = projection.shape[1]
        outputs = _by_direction(gates[..., 3 * units :] * tf.tanh(cells))
        d_projection = tf.matmul(outputs, _by_direction(d_states), transpose_a=True)
        return slopes, d_recurrent, d_projection

    return states, gradient


def _forward_loop(products, recurrent, projection, *, keep):
    """Returns the states and, with `keep`, the four gates and the cells."""
    units, width = projection.shape[1:]
    time, batch = tf.shape(products)[0], tf.shape(products)[2]
    steps = _array(products, 4 * units)
    arrays = [_empty(time, width), *([_empty(time, 4 * units), _empty(time, units)] if keep else [])]

    def step(t, state, cell, arrays):
        inner = steps.read(t) + tf.matmul(state, recurrent)
        opened = tf.sigmoid(inner[..., : 2 * units])
        candidate = tf.tanh(inner[..., 2 * units : 3 * units])
        out = tf.sigmoid(inner[..., 3 * units :])
        cell = opened[..., units:] * cell + opened[..., :units] * candidate
        state = tf.matmul(out * tf.tanh(cell), projection)
        kept = [state]
        if keep:
            kept += [tf.concat([opened, candidate, out], axis=-1), cell]
        return t + 1, state, cell, [a.write(t, v) for a, v in zip(arrays, kept, strict=True)]

    start = (
        tf.constant(0),
        tf.zeros(tf.stack([2, batch, width])),
        tf.zeros(tf.stack([2, batch, units])),
        arrays,
    )
    _, _, _, arrays = tf.while_loop(lambda t, *_: t < time, step, start)
    stacked = [array.stack() for array in arrays]
    return stacked if keep else (*stacked, None, None)


def _backward_loop(upstream, gates, cells, recurrent, projection):
    """Returns the gradients of the sums in the gates [T, 2, B, 4U] and of the states [T, 2, B, P]."""
    units, width = projection.shape[1:]
    time, batch = tf.shape(gates)[0], tf.shape(gates)[2]
    zero = tf.zeros(tf.stack([2, batch, units]))
    before = tf.concat([zero[tf.newaxis], cells[:-1]], axis=0)[:time]
    upstream, gates, cells, before = (
        _array(upstream, width),
        _array(gates, 4 * units),
        _array(cells, units),
        _array(before, units),
    )
    arrays = (_empty(time, 4 * units), _empty(time, width))

    def step(t, d_state, d_cell, arrays):
        d_state += upstream.read(t)
        enter, forget, candidate, out = tf.split(gates.read(t), 4, axis=-1)
        squashed = tf.tanh(cells.read(t))
        d_output = tf.matmul(d_state, projection, transpose_b=True)
        d_cell += d_output * out * (1.0 - squashed * squashed)
        slopes = tf.concat(
            [
                d_cell * candidate * enter * (1.0 - enter),
                d_cell * before.read(t) * forget * (1.0 - forget),
                d_cell * enter * (1.0 - candidate * candidate),
                d_output * squashed * out * (1.0 - out),
            ],
            axis=-1,
        )
        arrays = (arrays[0].write(t, slopes), arrays[1].write(t, d_state))
        return t - 1, tf.matmul(slopes, recurrent, transpose_b=True), d_cell * forget, arrays

    start = (time - 1, tf.zeros(tf.stack([2, batch, width])), zero, arrays)
    _, _, _, (slopes, d_states) = tf.while_loop(lambda t, *_: t >= 0, step, start)
    return slopes.stack(), d_states.stack()


def _array(values: tf.Tensor, width: int) -> tf.TensorArray:
    array = tf.TensorArray(tf.float32, tf.shape(values)[0], element_shape=[2, None, width])
    return array.unstack(values)


def _empty(time: tf.Tensor, width: int) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, time, element_shape=[2, None, width])


def _by_direction(values: tf.Tensor) -> tf.Tensor:
    """Reshapes [T, 2, B, W] to [2, T * B, W]."""
    turned = tf.transpose(values, [1, 0, 2, 3])
    return tf.reshape(turned, tf.stack([2, tf.shape(values)[0] * tf.shape(values)[2], values.shape[-1]]))
