"""Viterbi decoding of a linear-chain CRF (eq. 14), from both ends of each record to its middle."""

import tensorflow as tf

from emr_ner_tf.layers.forward_backward import (
    STEPS_PER_ITERATION,
    Positions,
    Potentials,
    joined,
    scan_blocks,
)

# A float64 that outweighs every score.
_CHOSEN = 1e30


def viterbi(potentials: Potentials) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the path with the highest score (eq. 14).

    The first half of each record is computed forward and the second half backward, both in one loop, which halves the
    number of steps that wait for one another. Of several paths with the same score the result is the one whose tag in
    the middle is the lowest; if these are equal too, the tags next to it decide, and so on.

    Returns:
        Tag ids int32 [B, T], 0 in the padding, and their score float32 [B], 0 where `length` is 0.
    """
    emissions, length, transitions, start, end = potentials.prepared()
    transitions, start, end = (tf.cast(values, tf.float64) for values in (transitions, start, end))
    batch, tags = tf.size(length), tf.size(start)
    positions = Positions(length, tf.shape(emissions)[1])
    table = positions.table(emissions)
    halves = tf.stack([(length + 1) // 2, length // 2])
    # Rows are the tags that a direction moves to, columns those that it comes from.
    weights = tf.stack([tf.transpose(transitions), transitions])

    first = tf.cast(tf.gather(table, positions.rows(tf.zeros([1], tf.int32))[0]), tf.float64)
    first = tf.reshape(
        tf.transpose(first + tf.stack([start, end])[:, tf.newaxis], [2, 0, 1]), [tags, 2 * batch]
    )
    rows = positions.blocks(1, (positions.steps + 1) // 2)
    iterations = tf.shape(rows)[0]
    shape = tf.stack([iterations, STEPS_PER_ITERATION, 2 * batch, tags])
    inputs = tf.transpose(tf.reshape(tf.gather(table, rows), shape), [0, 1, 3, 2])
    by_column = tf.transpose(weights, [1, 2, 0])[..., tf.newaxis]
    by_column = tf.reshape(tf.tile(by_column, [1, 1, 1, batch]), [tags, tags, 2 * batch])

    def step(state: tf.Tensor, emission: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reduce_max(state + by_column, 1) + emission, state

    blocks, _ = scan_blocks(
        step, first, lambda index: tf.cast(tf.gather(inputs, index), tf.float64), iterations
    )
    states = blocks.stack()

    # The two halves meet: the last tag of the first one follows from the best score of what comes after it.
    columns = tf.range(2 * batch)
    reached = tf.maximum(tf.reshape(halves, [-1]) - 1, 0)
    cells = (reached[:, tf.newaxis] * tags + tf.range(tags)) * 2 * batch + columns[:, tf.newaxis]
    before, after = tf.unstack(tf.reshape(tf.gather(tf.reshape(states, [-1]), cells), [2, batch, tags]))
    best_after = tf.reduce_max(transitions + after[:, tf.newaxis], -1)
    total = before + tf.where((length > 1)[:, tf.newaxis], best_after, end)
    middle = tf.argmax(total, -1, tf.int32)
    score = tf.where(length > 0, tf.reduce_max(total, -1), tf.zeros([], tf.float64))

    # Backwards through the states: there are no back-pointers, each step repeats the comparison. Until a record's own
    # middle is reached, its states are replaced so that the tag there is chosen.
    offset = tf.where(columns < batch, 0, tags)
    wanted = tf.tile(middle, [2]) + offset
    chosen = tf.one_hot(wanted - offset, tags, tf.constant(_CHOSEN, tf.float64), tf.zeros([], tf.float64))
    beyond = tf.concat([length - 1 - length // 2, length // 2], 0)
    to_tag = tf.reshape(weights, [2 * tags, tags])

    times = tf.reshape(tf.range(iterations * STEPS_PER_ITERATION), [-1, STEPS_PER_ITERATION, 1])
    rows = tf.transpose(states, [0, 1, 3, 2])
    rows = tf.where((times >= beyond)[..., tf.newaxis], chosen, rows)

    def back(tag: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tag = tf.argmax(state + tf.gather(to_tag, tag), -1, tf.int32) + offset
        return tag, tag

    found, _ = scan_blocks(
        back, wanted, lambda index: tf.gather(rows, iterations - 1 - index), iterations, from_last=True
    )
    found = tf.reshape(tf.reverse(joined(found), [0]) - offset, [-1])
    forward, backward = positions.cells
    in_first_half = tf.range(positions.steps) < halves[0][:, tf.newaxis]
    tag_ids = tf.gather(found, tf.where(in_first_half, forward, backward))
    return tf.where(positions.real, tag_ids, 0), tf.cast(score, tf.float32)
