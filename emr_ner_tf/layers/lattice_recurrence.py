"""One direction of the Lattice LSTM as one loop over characters, with a gradient of its own for training.

What a word needs of the character it starts with is one product of that character's state, whatever words start
there; so the loop multiplies each state once by all recurrent kernels, and only the words' gates by their cells. A
word's share is laid up, at the step where it starts, for the step where it ends, in a ring of as many steps as the
longest word has characters. The gradient runs back in one loop and takes each kernel's gradient as one product
after it, where an automatic one would add it up step by step.
"""

from typing import NamedTuple

import tensorflow as tf


class WordSteps(NamedTuple):
    """Words of a batch in the order of the step at which they start.

    Attributes:
        offset: int32 [T + 1], step t starts words offset[t] to offset[t + 1].
        row: int32 [N], the sequence.
        last: int32 [N], the step at which the word ends, after the one at which it starts.
        longest: steps of the longest word.
    """

    offset: tf.Tensor
    row: tf.Tensor
    last: tf.Tensor
    longest: int


def lattice_recurrence(
    projected: tf.Tensor,
    word_projected: tf.Tensor,
    gate_projected: tf.Tensor,
    recurrent: tf.Tensor,
    gate_recurrent: tf.Tensor,
    words: WordSteps,
    *,
    training: bool,
) -> tf.Tensor:
    """Runs the character cells and the word cells of one direction (eq. 11-16; `LatticeLSTM` writes them out).

    Args:
        projected: float32 [T, B, 3U], W x + b of the character's gates i, o and its candidate.
        word_projected: float32 [N, 3U], W x + b of the word's gates f, i and its candidate.
        gate_projected: float32 [N, U], W x + b of the gate of the word, from the character at which it ends.
        recurrent: float32 [U, 6U], what multiplies a character's state: for the next character, then for words.
        gate_recurrent: float32 [U, U], what multiplies a word's cell in its gate.
        words: which words start and end where.
        training: whether a gradient will be taken: what it needs is kept, and it is ours instead of TensorFlow's.

    Returns:
        States, float32 [T, B, U].
    """
    if not training:
        states, *_ = _forward(
            projected, word_projected, gate_projected, recurrent, gate_recurrent, words, keep=False
        )
        return states

    @tf.custom_gradient
    def recurrence(projected, word_projected, gate_projected, recurrent, gate_recurrent):
        states, kept, kept_words = _forward(
            projected, word_projected, gate_projected, recurrent, gate_recurrent, words, keep=True
        )

        def gradient(upstream):
            return _backward(upstream, states, kept, kept_words, recurrent, gate_recurrent, words)

        return states, gradient

    return recurrence(projected, word_projected, gate_projected, recurrent, gate_recurrent)


def _forward(projected, word_projected, gate_projected, recurrent, gate_recurrent, words, *, keep):
    """States [T, B, U] and, where `keep`, [T * B, 5U] of characters and [N, 5U] of words, else two times None."""
    units = gate_recurrent.shape[0]
    time, batch = tf.shape(projected)[0], tf.shape(projected)[1]
    rows = tf.range(batch)
    slots = words.last % words.longest * batch + words.row
    projected = tf.reshape(projected, [-1, 3 * units])

    def step(t, cell, product, ring, states, *kept):
        gates = projected[t * batch : (t + 1) * batch] + product[:, : 3 * units]
        inlet, outlet = tf.split(tf.sigmoid(gates[:, : 2 * units]), 2, axis=1)
        candidate = tf.tanh(gates[:, 2 * units :])
        own = t % words.longest * batch
        # Sums over the words that end here: of exp(gate) * cell and of exp(gate), which is 1 at least.
        due = ring[own : own + batch]
        weight = tf.exp(inlet)
        inverse = tf.where(due[:, units:] > 0, 1 / (due[:, units:] + weight), 0)
        cell = tf.where(
            inverse > 0, (due[:, :units] + weight * candidate) * inverse, cell + inlet * (candidate - cell)
        )
        state = outlet * tf.tanh(cell)
        product = tf.matmul(state, recurrent)

        first, last = words.offset[t], words.offset[t + 1]
        origin = tf.gather(tf.concat([product[:, 3 * units :], cell], 1), words.row[first:last])
        word_gates = word_projected[first:last] + origin[:, : 3 * units]
        forget_inlet = tf.sigmoid(word_gates[:, : 2 * units])
        word_candidate = tf.tanh(word_gates[:, 2 * units :])
        word = forget_inlet[:, :units] * origin[:, 3 * units :] + forget_inlet[:, units:] * word_candidate
        gate = tf.sigmoid(gate_projected[first:last] + tf.matmul(word, gate_recurrent))
        share = tf.exp(gate)
        # What was due here is taken out again, and the slot is free for a later step.
        ring = tf.tensor_scatter_nd_add(
            ring,
            tf.concat([own + rows, slots[first:last]], 0)[:, tf.newaxis],
            tf.concat([-due, tf.concat([share * word, share], 1)], 0),
        )
        if keep:
            of_character = tf.concat([inlet, outlet, candidate, cell, inverse], 1)
            of_words = tf.concat([forget_inlet, word_candidate, word, gate], 1)
            kept = (kept[0].write(t, of_character), kept[1].write(t, of_words))
        return t + 1, cell, product, ring, states.write(t, state), *kept

    zero = tf.zeros(tf.stack([batch, units]))
    product = tf.zeros(tf.stack([batch, 6 * units]))
    ring = tf.zeros(tf.stack([words.longest * batch, 2 * units]))
    arrays = [_per_step(time, width * units) for width in ((1, 5, 5) if keep else (1,))]
    loop = tf.while_loop(lambda t, *_: t < time, step, (0, zero, product, ring, *arrays))
    states, *kept = (array.concat() for array in loop[4:])
    return tf.reshape(states, tf.stack([time, batch, units])), *(kept or [None, None])


def _backward(upstream, states, kept, kept_words, recurrent, gate_recurrent, words):
    """Gradients of `_forward`'s five tensors from that of its states."""
    units = gate_recurrent.shape[0]
    time, batch = tf.shape(states)[0], tf.shape(states)[1]
    rows = tf.range(batch)
    slots = words.last % words.longest * batch + words.row
    upstream = tf.reshape(upstream, [-1, units])
    zero = tf.zeros(tf.stack([batch, units]))
    # Of each step, the one before it.
    cells = tf.concat([zero, kept[:, 3 * units : 4 * units]], 0)

    def step(t, d_cell, d_next, ring, d_gates, d_products, d_words, d_word_gates):
        here = slice(t * batch, (t + 1) * batch)
        inlet, outlet, candidate, cell, inverse = tf.split(kept[here], 5, axis=1)

        first, last = words.offset[t], words.offset[t + 1]
        forget, word_inlet, word_candidate, word, gate = tf.split(kept_words[first:last], 5, axis=1)
        row = words.row[first:last]
        d_sums = tf.gather(ring, slots[first:last])
        share = tf.exp(gate)
        d_gate = (d_sums[:, :units] * word + d_sums[:, units:]) * share * gate * (1 - gate)
        d_word = d_sums[:, :units] * share + tf.matmul(d_gate, gate_recurrent, transpose_b=True)
        d_forget = d_word * tf.gather(cell, row) * forget * (1 - forget)
        d_inlet = d_word * word_candidate * word_inlet * (1 - word_inlet)
        d_candidate = d_word * word_inlet * (1 - word_candidate * word_candidate)
        d_three = tf.concat([d_forget, d_inlet, d_candidate], 1)
        d_origin = tf.math.unsorted_segment_sum(tf.concat([d_three, d_word * forget], 1), row, batch)

        d_product = tf.concat([d_next, d_origin[:, : 3 * units]], 1)
        d_state = upstream[here] + tf.matmul(d_product, recurrent, transpose_b=True)
        shown = tf.tanh(cell)
        d_cell += d_origin[:, 3 * units :] + d_state * outlet * (1 - shown * shown)
        # 0 where no word ends; elsewhere the cell before has no part in this one.
        merged, scaled = inverse > 0, d_cell * inverse
        d_inlet = tf.where(
            merged,
            scaled * tf.exp(inlet) * (candidate - cell),
            d_cell * (candidate - cells[here]),
        )
        d_candidate = tf.where(merged, scaled * tf.exp(inlet), d_cell * inlet)
        d_three_of_character = tf.concat(
            [
                d_inlet * inlet * (1 - inlet),
                d_state * shown * outlet * (1 - outlet),
                d_candidate * (1 - candidate * candidate),
            ],
            1,
        )
        own = t % words.longest * batch + rows
        ring = tf.tensor_scatter_nd_update(ring, own[:, tf.newaxis], tf.concat([scaled, -scaled * cell], 1))
        return (
            t - 1,
            tf.where(merged, 0.0, d_cell * (1 - inlet)),
            d_three_of_character,
            ring,
            d_gates.write(t, d_three_of_character),
            d_products.write(t, d_product),
            d_words.write(t, d_three),
            d_word_gates.write(t, d_gate),
        )

    start = (
        time - 1,
        zero,
        tf.zeros(tf.stack([batch, 3 * units])),
        tf.zeros(tf.stack([words.longest * batch, 2 * units])),
        *(_per_step(time, width * units) for width in (3, 6, 3, 1)),
    )
    loop = tf.while_loop(lambda t, *_: t >= 0, step, start)
    d_gates, d_products, d_words, d_word_gates = (array.concat() for array in loop[4:])
    d_gates = tf.reshape(d_gates, tf.stack([time, batch, 3 * units]))
    d_recurrent = tf.matmul(tf.reshape(states, [-1, units]), d_products, transpose_a=True)
    word_cells = kept_words[:, 3 * units : 4 * units]
    d_gate_recurrent = tf.matmul(word_cells, d_word_gates, transpose_a=True)
    return d_gates, d_words, d_word_gates, d_recurrent, d_gate_recurrent


def _per_step(time, width):
    """Rows of each step, which `concat` joins: `stack` wants the size of a step where there is none."""
    return tf.TensorArray(tf.float32, time, element_shape=[None, width], infer_shape=False)
