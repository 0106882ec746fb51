"""One direction of a GRU or an LSTM over time, with a custom gradient for CPUs.

Keras multiplies by the input kernel inside the time loop, and its gradient adds up the gradients of both kernels step
by step. Here, the input products are computed before the loop, the gradient of each kernel is one product after it, and
an iteration unrolls several time steps. Everything that does not depend on the previous step is computed for all steps
at once; the loop of the gradient only has the product with the recurrent kernel and a few element-wise operations. The
recurrent kernel is transposed before the loop, because from 16 records on, a product that transposes takes up to five
times as long.

Each direction has its own loop. The two do not depend on each other, so TensorFlow runs them on two threads without a
barrier in each step, which is faster than one loop over both with batched products.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

_STEPS_PER_ITERATION = 4


def gru_states(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    *,
    training: bool,
    product_dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Runs a GRU (eq. 1-4, with the reset gate after the product); the order of the gates is z, r, h.

    Args:
        inputs: float32 [T, B, H]; padding is at the end, where it affects no real step.
        kernel: float32 [H, 3U].
        recurrent_kernel: float32 [U, 3U].
        bias: float32 [2, 3U], the bias of the input and that of the recurrence.
        training: whether a gradient will be taken. If not, the loop keeps no gates, and an export contains no gradient
            function; TensorFlow's own gradient still works, but is slower.
        product_dtype: dtype of the products with `kernel`, which do not depend on each other.

    Returns:
        States, float32 [T, B, U].
    """
    units = recurrent_kernel.shape[0]
    # For z and r, the bias of the recurrence is added like that of the input; for h, the reset gate multiplies it.
    gates, candidate = tf.split(bias[1], [2 * units, units])
    products = _product(inputs, kernel, bias[0] + tf.pad(gates, [[0, units]]), product_dtype)
    if training:
        return _gru_with_gradient(products, recurrent_kernel, candidate)
    return _gru_forward(products, recurrent_kernel, candidate)[0]


def lstm_states(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    projection: tf.Tensor | None = None,
    *,
    training: bool,
    product_dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Runs an LSTM; the order of the gates is i, f, g, o.

    Args:
        inputs: float32 [T, B, H]; padding is at the end, where it affects no real step.
        kernel: float32 [H, 4U].
        recurrent_kernel: float32 [P, 4U].
        bias: float32 [4U].
        projection: float32 [U, P], multiplies each state; None for no projection, where P is U.
        training: as in `gru_states`.
        product_dtype: likewise.

    Returns:
        States, float32 [T, B, P].
    """
    products = _product(inputs, kernel, bias, product_dtype)
    if not training:
        return _lstm_forward(products, recurrent_kernel, projection)[0]
    if projection is None:
        return _lstm_with_gradient(products, recurrent_kernel)
    return _lstm_with_gradient(products, recurrent_kernel, projection)


def _gru_forward(products, recurrent, bias):
    """Returns the states and, for the gradient, z and r [T, B, 2U], the candidates and their recurrent part."""
    units = recurrent.shape[0]

    def step(carried, gate_input, candidate_input):
        (state,) = carried
        # `bias_add` would be fused with the product, and the fused one takes twice as long over so few rows.
        gate_product, product = tf.split(tf.matmul(state, recurrent), [2 * units, units], axis=-1)
        gates = tf.sigmoid(gate_input + gate_product)
        update, reset = tf.split(gates, 2, axis=-1)
        product += bias
        candidate = tf.tanh(candidate_input + reset * product)
        state = candidate + update * (state - candidate)
        return (state,), (state, gates, candidate, product)

    inputs = tf.split(products, [2 * units, units], axis=-1)
    return _scan(step, inputs, carried=[units], outputs=[units, 2 * units, units, units])


@tf.custom_gradient
def _gru_with_gradient(products, recurrent, bias):
    units = recurrent.shape[0]
    states, gates, candidate, product = _gru_forward(products, recurrent, bias)

    def gradient(upstream):
        update, reset = tf.split(gates, 2, axis=-1)
        previous = _shifted(states)
        # Factors between the gradient of a state and those of the sums inside the gates.
        to_candidate = (1.0 - update) * (1.0 - candidate * candidate)
        to_update = (previous - candidate) * update * (1.0 - update)
        to_reset = to_candidate * product * reset * (1.0 - reset)
        factors = tf.concat([to_update, to_reset, to_candidate * reset], axis=-1)
        transposed = tf.transpose(recurrent)

        def step(carried, d_output, factor, update):
            d_state = carried[0] + d_output
            d_product = tf.tile(d_state, [1, 3]) * factor
            d_previous = d_state * update + tf.matmul(d_product, transposed)
            return (d_previous,), (d_product, d_state)

        d_product, d_state = _scan(
            step, [upstream, factors, update], carried=[units], outputs=[3 * units, units], backward=True
        )
        d_inputs = tf.concat([d_product[..., : 2 * units], d_state * to_candidate], axis=-1)
        d_bias = tf.reduce_sum(d_product[..., 2 * units :], axis=[0, 1])
        return d_inputs, _kernel_gradient(previous, d_product), d_bias

    return states, gradient


def _lstm_forward(products, recurrent, projection):
    """Returns the states and, for the gradient, i and f [T, B, 2U], g, o and cells [T, B, U]."""
    width, units = recurrent.shape[0], recurrent.shape[1] // 4

    def step(carried, inputs):
        state, cell = carried
        opened, candidate, out = tf.split(
            inputs + tf.matmul(state, recurrent), [2 * units, units, units], axis=-1
        )
        opened, candidate, out = tf.sigmoid(opened), tf.tanh(candidate), tf.sigmoid(out)
        enter, forget = tf.split(opened, 2, axis=-1)
        cell = forget * cell + enter * candidate
        state = out * tf.tanh(cell)
        if projection is not None:
            state = tf.matmul(state, projection)
        return (state, cell), (state, opened, candidate, out, cell)

    return _scan(step, [products], carried=[width, units], outputs=[width, 2 * units, units, units, units])


@tf.custom_gradient
def _lstm_with_gradient(products, recurrent, *projections):
    width, units = recurrent.shape[0], recurrent.shape[1] // 4
    projection = projections[0] if projections else None
    states, opened, candidate, out, cells = _lstm_forward(products, recurrent, projection)

    def gradient(upstream):
        enter, forget = tf.split(opened, 2, axis=-1)
        squashed = tf.tanh(cells)
        # Factors between the gradients of a cell (i, f, g) and an output (o) and those of the sums inside the gates.
        factors = tf.concat(
            [
                candidate * enter * (1.0 - enter),
                _shifted(cells) * forget * (1.0 - forget),
                enter * (1.0 - candidate * candidate),
                squashed * out * (1.0 - out),
            ],
            axis=-1,
        )
        to_cell = out * (1.0 - squashed * squashed)
        transposed = tf.transpose(recurrent)
        projected_back = None if projection is None else tf.transpose(projection)

        def step(carried, d_output, factor, to_cell, forget):
            d_state, d_cell = carried[0] + d_output, carried[1]
            d_out = d_state if projected_back is None else tf.matmul(d_state, projected_back)
            d_cell += d_out * to_cell
            d_product = tf.concat([d_cell, d_cell, d_cell, d_out], axis=-1) * factor
            return (tf.matmul(d_product, transposed), d_cell * forget), (d_product, d_state)

        d_product, d_state = _scan(
            step,
            [upstream, factors, to_cell, forget],
            carried=[width, units],
            outputs=[4 * units, width],
            backward=True,
        )
        d_weights = [_kernel_gradient(_shifted(states), d_product)]
        if projection is not None:
            d_weights.append(_kernel_gradient(out * squashed, d_state))
        return d_product, *d_weights

    return states, gradient


def _scan(
    step: Callable[..., tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]],
    inputs: Sequence[tf.Tensor],
    *,
    carried: Sequence[int],
    outputs: Sequence[int],
    backward: bool = False,
) -> list[tf.Tensor]:
    """Computes a recursion over time that starts from zeros.

    Args:
        step: maps carried tensors [B, width] and one step of each input to the next carried tensors and the outputs.
        inputs: float32 [T, B, width] each.
        carried: widths of the carried tensors.
        outputs: widths of the outputs.
        backward: whether to go from the last step to the first.

    Returns:
        Each output of all steps, float32 [T, B, width].
    """
    steps, batch = tf.unstack(tf.shape(inputs[0])[:2])
    # At least one iteration: a graph may not know the shape of an empty array.
    iterations = tf.maximum((steps + _STEPS_PER_ITERATION - 1) // _STEPS_PER_ITERATION, 1)
    missing = iterations * _STEPS_PER_ITERATION - steps
    # Zeros at the end: forward, nothing follows them; backward, a gradient of zero stays zero.
    blocks = [
        tf.reshape(
            tf.pad(values, [[0, missing], [0, 0], [0, 0]]),
            tf.stack([iterations, _STEPS_PER_ITERATION, batch, values.shape[-1]]),
        )
        for values in inputs
    ]

    def iteration(index, state, arrays):
        block = iterations - 1 - index if backward else index
        values = zip(*(tf.unstack(tf.gather(b, block), _STEPS_PER_ITERATION) for b in blocks), strict=True)
        found = []
        for value in reversed(list(values)) if backward else values:
            state, output = step(state, *value)
            found.append(output)
        columns = zip(*(reversed(found) if backward else found), strict=True)
        written = [a.write(block, tf.stack(c)) for a, c in zip(arrays, columns, strict=True)]
        return index + 1, tuple(state), tuple(written)

    start = tuple(tf.zeros(tf.stack([batch, width])) for width in carried)
    arrays = tuple(
        tf.TensorArray(tf.float32, iterations, element_shape=[_STEPS_PER_ITERATION, None, width])
        for width in outputs
    )
    loop = tf.while_loop(lambda index, *_: index < iterations, iteration, (tf.constant(0), start, arrays))
    return [
        tf.reshape(array.stack(), tf.stack([-1, batch, width]))[:steps]
        for array, width in zip(loop[2], outputs, strict=True)
    ]


def _product(inputs, kernel, bias, dtype):
    rows, kernel, bias = (
        tf.cast(values, dtype) for values in (tf.reshape(inputs, [-1, kernel.shape[0]]), kernel, bias)
    )
    flat = tf.cast(tf.nn.bias_add(tf.matmul(rows, kernel), bias), inputs.dtype)
    return tf.reshape(flat, tf.concat([tf.shape(inputs)[:2], [kernel.shape[1]]], 0))


def _kernel_gradient(inputs, d_outputs):
    return tf.matmul(
        tf.reshape(inputs, [-1, inputs.shape[-1]]),
        tf.reshape(d_outputs, [-1, d_outputs.shape[-1]]),
        transpose_a=True,
    )


def _shifted(values):
    """Returns the values of the previous step, zeros at the first step."""
    return tf.pad(values, [[1, 0], [0, 0], [0, 0]])[:-1]
