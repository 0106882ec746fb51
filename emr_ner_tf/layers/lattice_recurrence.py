"""One direction of the Lattice LSTM as a single loop over characters, with a custom gradient for training.

The cell of a word needs the state of the character at which the word starts, and is needed where the word ends:

- A state is multiplied once by all recurrent kernels, those of the next character and those of the words, because the
  product is the same for every word that starts at this character.
- The terms that a word adds to the sums of eq. 15 and 16 are computed at the step where it starts. Until the step where
  it ends they are kept in a ring buffer with as many steps as the longest word has characters.
- The custom gradient runs backward in one loop and computes the gradient of each kernel as one product after the loop.
  TensorFlow's gradient would add it up step by step.
"""

from typing import NamedTuple

import tensorflow as tf


class WordSteps(NamedTuple):
    """Words of a batch, sorted by the step at which they start.

    Attributes:
        offset: int32 [T + 1]; the words offset[t] to offset[t + 1] - 1 start at step t.
        row: int32 [N], row of the batch that contains the word.
        last: int32 [N], step at which the word ends; it is later than the step at which the word starts.
        longest: number of steps of the longest word.
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
    """Runs the character cells and the word cells of one direction (eq. 11-16, stated in `LatticeLSTM`).

    Args:
        projected: float32 [T, B, 3U], input projections (bias included) of the character's i, o and g.
        word_projected: float32 [N, 3U], input projections (bias included) of the word's f, i and g.
        gate_projected: float32 [N, U], projection (bias included) of the character at which the word ends, for gate l.
        recurrent: float32 [U, 6U], kernels that multiply a character's state, for the next character and for the words.
        gate_recurrent: float32 [U, U], kernel that multiplies a word's cell in its gate l.
        words: starts and ends of words.
        training: whether a gradient will be taken. If it is, the activations are kept for the custom gradient.

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


class _CharacterActivations(NamedTuple):
    """Activations of the character cells of one step that the gradient needs, float32 [B, U] each.

    Attributes:
        inlet: gate i.
        outlet: gate o.
        candidate: g.
        cell: c.
        inverse: 1 over the denominator of eq. 15; 0 where no word ends.
    """

    inlet: tf.Tensor
    outlet: tf.Tensor
    candidate: tf.Tensor
    cell: tf.Tensor
    inverse: tf.Tensor


class _WordActivations(NamedTuple):
    """Activations of the cells of the n words that start at one step, float32 [n, U] each.

    Attributes:
        forget: gate f.
        inlet: gate i.
        candidate: g.
        cell: c.
        gate: l, the weight of the word at the character where it ends, before exp().
    """

    forget: tf.Tensor
    inlet: tf.Tensor
    candidate: tf.Tensor
    cell: tf.Tensor
    gate: tf.Tensor


def _forward(projected, word_projected, gate_projected, recurrent, gate_recurrent, words, *, keep):
    """Returns the states [T, B, U] and the activations of characters [T * B, 5U] and words [N, 5U].

    The columns of the activations are the fields of `_CharacterActivations` and `_WordActivations`. Without `keep` both
    are None.
    """
    units = gate_recurrent.shape[0]
    time, batch = tf.shape(projected)[0], tf.shape(projected)[1]
    rows = tf.range(batch)
    slots = _ring_slots(words, batch)
    projected = tf.reshape(projected, [-1, 3 * units])

    def step(t, cell, product, ring, states, *kept):
        # The character. The ring holds the sums over the words that end here, of exp(gate) * cell and of exp(gate).
        own = t % words.longest * batch
        due = ring[own : own + batch]
        character = _character_cell(
            projected[t * batch : (t + 1) * batch] + product[:, : 3 * units], cell, due, units
        )
        state = character.outlet * tf.tanh(character.cell)
        product = tf.matmul(state, recurrent)

        # The words that start here.
        first, last = words.offset[t], words.offset[t + 1]
        origin = tf.gather(tf.concat([product[:, 3 * units :], character.cell], 1), words.row[first:last])
        word = _word_cell(
            word_projected[first:last] + origin[:, : 3 * units],
            origin[:, 3 * units :],
            gate_projected[first:last],
            gate_recurrent,
            units,
        )
        weight = tf.exp(word.gate)
        # Subtracting the sums that were used here frees their slot for a later step.
        ring = tf.tensor_scatter_nd_add(
            ring,
            tf.concat([own + rows, slots[first:last]], 0)[:, tf.newaxis],
            tf.concat([-due, tf.concat([weight * word.cell, weight], 1)], 0),
        )
        if keep:
            kept = (kept[0].write(t, tf.concat(character, 1)), kept[1].write(t, tf.concat(word, 1)))
        return t + 1, character.cell, product, ring, states.write(t, state), *kept

    zero = tf.zeros(tf.stack([batch, units]))
    product = tf.zeros(tf.stack([batch, 6 * units]))
    ring = tf.zeros(tf.stack([words.longest * batch, 2 * units]))
    arrays = [_per_step(time, width * units) for width in ((1, 5, 5) if keep else (1,))]
    loop = tf.while_loop(lambda t, *_: t < time, step, (0, zero, product, ring, *arrays))
    states, *kept = (array.concat() for array in loop[4:])
    return tf.reshape(states, tf.stack([time, batch, units])), *(kept or [None, None])


def _character_cell(gates, cell, due, units):
    """Returns the `_CharacterActivations` of one step.

    Args:
        gates: [B, 3U], inputs of i, o and g.
        cell: [B, U], cell of the previous character.
        due: [B, 2U], sums over the words that end here of exp(gate) * cell and of exp(gate); 0 where none ends.
        units: U.
    """
    inlet, outlet = tf.split(tf.sigmoid(gates[:, : 2 * units]), 2, axis=1)
    candidate = tf.tanh(gates[:, 2 * units :])
    weight = tf.exp(inlet)
    # A gate is at least 0, so where a word ends the sum of exp(gate) is at least 1.
    inverse = tf.where(due[:, units:] > 0, 1 / (due[:, units:] + weight), 0)
    cell = tf.where(
        inverse > 0, (due[:, :units] + weight * candidate) * inverse, cell + inlet * (candidate - cell)
    )
    return _CharacterActivations(inlet, outlet, candidate, cell, inverse)


def _word_cell(gates, start_cell, gate_projected, gate_recurrent, units):
    """Returns the `_WordActivations` of the words that start at one step.

    Args:
        gates: [n, 3U], inputs of f, i and g.
        start_cell: [n, U], cell of the character at which each word starts.
        gate_projected: [n, U], as in `lattice_recurrence`.
        gate_recurrent: [U, U], as in `lattice_recurrence`.
        units: U.
    """
    forget, inlet = tf.split(tf.sigmoid(gates[:, : 2 * units]), 2, axis=1)
    candidate = tf.tanh(gates[:, 2 * units :])
    cell = forget * start_cell + inlet * candidate
    gate = tf.sigmoid(gate_projected + tf.matmul(cell, gate_recurrent))
    return _WordActivations(forget, inlet, candidate, cell, gate)


def _backward(upstream, states, kept, kept_words, recurrent, gate_recurrent, words):
    """Returns the gradients of the five tensors of `_forward`, given the gradient of its states.

    A name `d_x` is the gradient of x; `d_gates` and the like are gradients before the activation function.
    """
    units = gate_recurrent.shape[0]
    time, batch = tf.shape(states)[0], tf.shape(states)[1]
    rows = tf.range(batch)
    slots = _ring_slots(words, batch)
    upstream = tf.reshape(upstream, [-1, units])
    zero = tf.zeros(tf.stack([batch, units]))
    # Entry t is the cell of step t - 1.
    previous_cells = tf.concat([zero, kept[:, 3 * units : 4 * units]], 0)

    def step(t, d_cell, d_next, ring, d_gates, d_products, d_words, d_word_gates):
        here = slice(t * batch, (t + 1) * batch)
        character = _CharacterActivations(*tf.split(kept[here], 5, axis=1))

        # The words that start here; the ring holds the gradients of the sums at the steps where they end.
        first, last = words.offset[t], words.offset[t + 1]
        row = words.row[first:last]
        word = _WordActivations(*tf.split(kept_words[first:last], 5, axis=1))
        d_sums = tf.gather(ring, slots[first:last])
        d_word_input, d_gate, d_start_cell = _word_cell_gradient(
            word, tf.gather(character.cell, row), d_sums, gate_recurrent, units
        )
        d_origin = tf.math.unsorted_segment_sum(tf.concat([d_word_input, d_start_cell], 1), row, batch)

        # The character.
        d_product = tf.concat([d_next, d_origin[:, : 3 * units]], 1)
        d_state = upstream[here] + tf.matmul(d_product, recurrent, transpose_b=True)
        d_character_input, d_previous, d_due = _character_cell_gradient(
            character, previous_cells[here], d_state, d_cell, d_origin[:, 3 * units :]
        )
        own = t % words.longest * batch + rows
        ring = tf.tensor_scatter_nd_update(ring, own[:, tf.newaxis], d_due)
        return (
            t - 1,
            d_previous,
            d_character_input,
            ring,
            d_gates.write(t, d_character_input),
            d_products.write(t, d_product),
            d_words.write(t, d_word_input),
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


def _word_cell_gradient(word, start_cell, d_sums, gate_recurrent, units):
    """Returns the gradients of the inputs of f, i and g [n, 3U], of the input of the gate l, and of `start_cell`.

    Args:
        word: `_WordActivations` of the words that start at one step.
        start_cell: [n, U], cell of the character at which each word starts.
        d_sums: [n, 2U], gradients of the sums of exp(gate) * cell and of exp(gate) at the step where each word ends.
        gate_recurrent: [U, U], as in `lattice_recurrence`.
        units: U.
    """
    forget, inlet, candidate, cell, gate = word
    weight = tf.exp(gate)
    d_gate = (d_sums[:, :units] * cell + d_sums[:, units:]) * weight * gate * (1 - gate)
    d_cell = d_sums[:, :units] * weight + tf.matmul(d_gate, gate_recurrent, transpose_b=True)
    d_forget = d_cell * start_cell * forget * (1 - forget)
    d_inlet = d_cell * candidate * inlet * (1 - inlet)
    d_candidate = d_cell * inlet * (1 - candidate * candidate)
    return tf.concat([d_forget, d_inlet, d_candidate], 1), d_gate, d_cell * forget


def _character_cell_gradient(character, previous_cell, d_state, d_next_cell, d_words_cell):
    """Returns the gradients of the inputs of i, o and g [B, 3U], of `previous_cell`, and of the ring's sums [B, 2U].

    Args:
        character: `_CharacterActivations` of one step.
        previous_cell: [B, U].
        d_state: [B, U].
        d_next_cell: [B, U], gradient of this cell from the next character.
        d_words_cell: [B, U], gradient of this cell from the words that start here.
    """
    inlet, outlet, candidate, cell, inverse = character
    shown = tf.tanh(cell)
    d_cell = d_next_cell + (d_words_cell + d_state * outlet * (1 - shown * shown))
    # Where a word ends, the previous cell has no part in this one (eq. 15); elsewhere `inverse` is 0.
    merged, scaled = inverse > 0, d_cell * inverse
    d_inlet = tf.where(
        merged, scaled * tf.exp(inlet) * (candidate - cell), d_cell * (candidate - previous_cell)
    )
    d_candidate = tf.where(merged, scaled * tf.exp(inlet), d_cell * inlet)
    d_input = tf.concat(
        [
            d_inlet * inlet * (1 - inlet),
            d_state * shown * outlet * (1 - outlet),
            d_candidate * (1 - candidate * candidate),
        ],
        1,
    )
    d_previous = tf.where(merged, 0.0, d_cell * (1 - inlet))
    return d_input, d_previous, tf.concat([scaled, -scaled * cell], 1)


def _ring_slots(words, batch):
    """Returns int32 [N], the row of the ring buffer [longest * B, 2U] for the step and sequence where a word ends."""
    return words.last % words.longest * batch + words.row


def _per_step(time, width):
    """Returns an array of [n, width] rows for each step, read by `concat`: `stack` would need n to be known."""
    return tf.TensorArray(tf.float32, time, element_shape=[None, width], infer_shape=False)
