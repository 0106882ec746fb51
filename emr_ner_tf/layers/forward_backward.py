"""Forward and backward messages of a linear-chain CRF, in float64.

Both directions run in one loop, each from its own end of every record, and each iteration of the loop unrolls several
time steps: with few tags the cost is the number of kernels, not their arithmetic. Two recursions compute the same
messages. The scaled one works in probability space with one matrix product per step; the exact one uses log-sum-exp and
takes over when the potentials differ by more than the scaled one can represent.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Score of a forbidden transition. Its exponential is 0, its multiples are finite, and no difference of emissions that
# float16 can represent outweighs it. It is not -inf, so that a forbidden gold path still has a finite loss, and a
# record without an allowed path still has a best path.
FORBIDDEN = -1e6

STEPS_PER_ITERATION = 8
# Constants of the error bound; see `scaled_messages`.
_INJECTED = 1e-280
_MAX_LOG_RATIO = 506.0
_MAX_TAGS = 400


class Potentials(NamedTuple):
    """Scores of a linear-chain CRF for a batch of B records, T positions and K tags; an argument of all CRF functions.

    Attributes:
        emissions: float [B, T, K], score of each tag at each position. Positions from `length` on are padding; they are
            never read and may contain any value, including NaN.
        length: int [B], number of positions of each record; a value outside 0 to T is clipped.
        transitions: float [K, K], score of going from the tag of the row to the tag of the column.
        start: float [K], score of each tag at the first position.
        end: float [K], score of each tag at the last position.
    """

    emissions: tf.Tensor
    length: tf.Tensor
    transitions: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor

    def prepared(self) -> "Potentials":
        """Returns the same scores as float32, with lengths clipped to 0 to T."""
        length = tf.clip_by_value(tf.cast(self.length, tf.int32), 0, tf.shape(self.emissions)[1])
        return Potentials(
            tf.cast(self.emissions, tf.float32),
            length,
            tf.cast(self.transitions, tf.float32),
            tf.cast(self.start, tf.float32),
            tf.cast(self.end, tf.float32),
        )


class Positions(NamedTuple):
    """The positions that the loops read: forward from a record's first position, backward from its last.

    Attributes:
        length: int32 [B].
        steps: int32, T.
    """

    length: tf.Tensor
    steps: tf.Tensor

    @property
    def real(self) -> tf.Tensor:
        """bool [B, T], False in the padding."""
        return tf.sequence_mask(self.length, self.steps)

    @property
    def last(self) -> tf.Tensor:
        """int32 [B, 3], index of the last position, in forward direction, in values of both directions, [N, 2, B]."""
        record = tf.range(tf.size(self.length))
        return tf.stack([tf.maximum(self.length - 1, 0), tf.zeros_like(record), record], 1)

    def rows(self, times: tf.Tensor) -> tf.Tensor:
        """Returns the rows of `table` that both directions read.

        Args:
            times: int32 [N], steps from the direction's end of the record.

        Returns:
            int32 [N, 2, B]; the last row of the table outside the record.
        """
        batch = tf.size(self.length)
        first, time = tf.range(batch) * self.steps, times[:, tf.newaxis]
        rows = tf.stack([first + time, first + self.length - 1 - time], 1)
        inside = (time < self.length)[:, tf.newaxis]
        return tf.where(inside, rows, batch * self.steps)

    def blocks(self, first: int, steps: tf.Tensor) -> tf.Tensor:
        """Returns the rows of at least `steps` steps in blocks for `scan_blocks`, int32 [N, U, 2, B], N at least 1."""
        number = tf.maximum((steps + STEPS_PER_ITERATION - 1) // STEPS_PER_ITERATION, 1)
        rows = self.rows(first + tf.range(number * STEPS_PER_ITERATION))
        return tf.reshape(rows, tf.stack([number, STEPS_PER_ITERATION, 2, tf.size(self.length)]))

    def table(self, emissions: tf.Tensor) -> tf.Tensor:
        """Returns [B, T, K] emissions as one row per position, [B * T + 1, K], the last row 0."""
        tags = tf.shape(emissions)[2]
        return tf.concat([tf.reshape(emissions, [-1, tags]), tf.zeros([1, tags], emissions.dtype)], 0)

    @property
    def in_order(self) -> tf.Tensor:
        """int32 [B, T], the row of `table` of each position; the last row in the padding."""
        return tf.transpose(self.rows(tf.range(self.steps))[:, 0])

    @property
    def cells(self) -> tuple[tf.Tensor, tf.Tensor]:
        """int32 [B, T] twice, index of each position in values of each direction, [N * 2 * B]; 0 in the padding."""
        batch = tf.size(self.length)
        record, time = tf.range(batch)[:, tf.newaxis], tf.range(self.steps)
        forward = time * 2 * batch + record
        backward = (self.length[:, tf.newaxis] - 1 - time) * 2 * batch + batch + record
        return tf.where(self.real, forward, 0), tf.where(self.real, backward, 0)

    def by_position(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns values of both directions, [N, 2, B, ...], by position, [B, T, ...] each; unset in the padding."""
        flat = tf.reshape(values, tf.concat([[-1], tf.shape(values)[3:]], 0))
        forward, backward = self.cells
        return tf.gather(flat, forward), tf.gather(flat, backward)


class Chain(NamedTuple):
    """Potentials in the layout of the recursions: float64, each kind of score shifted so that its maximum is 0.

    Attributes:
        emissions: [B * T + 1, K], a row for each position; its maximum is 0 in every row.
        positions: the rows.
        transitions: as in `Potentials`.
        start: as in `Potentials`.
        end: as in `Potentials`.
        shift: [B], sum of the shifts, which was subtracted from the score of every path of a record.
    """

    emissions: tf.Tensor
    positions: Positions
    transitions: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    shift: tf.Tensor


class Messages(NamedTuple):
    """Messages of both directions, each without the emission at its own position; S is at least T and 1.

    The message at [t, 0] of a record covers all beginnings of paths before position t, that at [t, 1] all endings after
    position `length` - 1 - t. All scores are those of the chain, after its shifts.

    Attributes:
        values: float64 [S, 2, B, K], logs of the messages, or the messages divided by their scales.
        log_scale: float64 [S, 2, B], logs of the scales; 0 if the messages are logs.
        emissions: float64 [B * T + 1, K], those of the chain, or their exponentials.
        last_tag: float64 [B, K], log of the sum over all paths that end in each tag.
        log_partition: float64 [B], log of the sum over all paths.
    """

    values: tf.Tensor
    log_scale: tf.Tensor
    emissions: tf.Tensor
    last_tag: tf.Tensor
    log_partition: tf.Tensor


def make_chain(potentials: Potentials) -> Chain:
    """Converts prepared potentials to the layout of the recursions."""
    emissions, length, transitions, start, end = potentials
    positions = Positions(length, tf.shape(emissions)[1])
    rows = positions.table(emissions)
    peak = tf.cast(tf.reduce_max(rows, -1, keepdims=True), tf.float64)
    transitions, transition_peak = _shifted(transitions)
    start, start_peak = _shifted(start)
    end, end_peak = _shifted(end)

    zero = tf.zeros([], tf.float64)
    peaks = tf.where(positions.real, tf.reshape(peak[:-1], tf.shape(emissions)[:2]), zero)
    steps = tf.cast(length - 1, tf.float64)
    shift = tf.reduce_sum(peaks, 1) + steps * transition_peak + start_peak + end_peak
    return Chain(tf.cast(rows, tf.float64) - peak, positions, transitions, start, end, shift)


def _shifted(scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    scores = tf.cast(scores, tf.float64)
    peak = tf.reduce_max(scores)
    return scores - peak, peak


def scan_blocks(
    step: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    first: tf.Tensor,
    inputs: Callable[[tf.Tensor], tf.Tensor],
    iterations: tf.Tensor,
    *,
    rescale: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None,
    from_last: bool = False,
) -> tuple[tf.TensorArray, tf.TensorArray]:
    """Computes a recursion, `STEPS_PER_ITERATION` (U) steps in each iteration of the loop.

    Args:
        step: maps a state and an input to the next state, of the same shape and dtype, and the output of the step.
        first: the first state.
        inputs: maps the index of an iteration to its inputs, [U, ...].
        iterations: int32, at least 1.
        rescale: maps the state after each iteration to the state that the next one starts from, and its scale.
        from_last: whether an iteration takes its inputs from the last to the first.

    Returns:
        The outputs of each iteration, [U, ...], and the scales, if any.
    """

    def iteration(index: tf.Tensor, state: tf.Tensor, outputs: tf.TensorArray, scales: tf.TensorArray):
        block = []
        values = tf.unstack(inputs(index), num=STEPS_PER_ITERATION)
        for value in reversed(values) if from_last else values:
            state, output = step(state, value)
            block.append(output)
        if rescale is not None:
            state, scale = rescale(state)
            scales = scales.write(index, scale)
        return index + 1, state, outputs.write(index, tf.stack(block)), scales

    array = tf.TensorArray(first.dtype, size=iterations)
    anything = tf.TensorShape(None)
    index = tf.zeros([], tf.int32)
    _, _, outputs, scales = tf.while_loop(
        lambda index, *_: index < iterations,
        iteration,
        (index, first, array, tf.TensorArray(first.dtype, size=iterations)),
        shape_invariants=(index.shape, tf.TensorShape([None] * first.shape.rank), anything, anything),
    )
    return outputs, scales


def joined(blocks: tf.TensorArray) -> tf.Tensor:
    """Returns the blocks [U, ...] of a loop as one tensor, [N * U, ...]."""
    values = blocks.stack()
    return tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], 0))


def scaled_messages(chain: Chain) -> tuple[Messages, tf.Tensor]:
    """Computes the messages in probability space, and whether a bound of their error holds.

    All factors are at most 1, so that the sum of the states grows by K in a step at most. After each iteration the
    states are divided by their sum, and _INJECTED times that sum is added to each. What float64 rounds to 0 in the 8
    steps of an iteration comes to less than 8 * K^10 * 2.3e-308 of the sum at its beginning, which is less than
    _INJECTED (K is at most _MAX_TAGS). Therefore the states that an iteration starts from are never too small. They are
    too large by at most _INJECTED, and this excess has at most the weight

        _INJECTED * K^9 * scale[t, 0] * scale[length - 1 - t, 1]

    in the sum over all paths. While the product of the scales is at most 1e220 (exp(_MAX_LOG_RATIO)) times that sum,
    the errors of a million positions come to less than 1e-30 of it.

    Source: Rabiner, "A tutorial on hidden Markov models", 1989, section V.A (scaling).

    Returns:
        The messages, and a bool: whether they are within the bound. It is also False for NaN, and for a record without
        an allowed path, because only logs can rank forbidden paths.
    """
    factors = tf.exp(chain.emissions)
    weights = tf.exp(tf.stack([chain.transitions, tf.transpose(chain.transitions)]))
    rows = chain.positions.blocks(0, chain.positions.steps)

    def rescale(state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.reduce_sum(state, -1, keepdims=True)
        return state / total + _INJECTED, total

    blocks, totals = scan_blocks(
        lambda state, factor: (tf.matmul(state * factor, weights), state),
        tf.exp(_first_messages(chain)),
        lambda index: tf.gather(factors, tf.gather(rows, index)),
        tf.shape(rows)[0],
        rescale=rescale,
    )
    log_scale = tf.cumsum(tf.math.log(totals.stack()[..., 0]), exclusive=True)
    log_scale = tf.repeat(log_scale, STEPS_PER_ITERATION, axis=0)
    messages = _with_partition(chain, joined(blocks), log_scale, factors, tf.math.log)
    within = tf.reduce_all(tf.stack(log_ratios(chain, messages)) <= _MAX_LOG_RATIO)
    return messages, within & (tf.shape(chain.start)[0] <= _MAX_TAGS)


def log_messages(chain: Chain) -> Messages:
    """Computes the messages in log space."""
    # Rows are the tag that a step arrives at: the later tag going forward, the earlier tag going backward.
    weights = tf.stack([tf.transpose(chain.transitions), chain.transitions])[:, tf.newaxis]
    rows = chain.positions.blocks(0, chain.positions.steps)

    def step(state: tf.Tensor, emission: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = (state + emission)[:, :, tf.newaxis, :] + weights
        peak = tf.reduce_max(scores, -1, keepdims=True)
        total = tf.reduce_sum(tf.exp(scores - peak), -1)
        return tf.squeeze(peak, -1) + tf.math.log(total), state

    # No rescaling is needed: float64 sums over 100,000 steps are still exact to 1e-9.
    blocks, _ = scan_blocks(
        step,
        _first_messages(chain),
        lambda index: tf.gather(chain.emissions, tf.gather(rows, index)),
        tf.shape(rows)[0],
    )
    values = joined(blocks)
    scale = tf.zeros(tf.shape(values)[:-1], tf.float64)
    return _with_partition(chain, values, scale, chain.emissions, tf.identity)


def log_ratios(chain: Chain, messages: Messages) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the logs of the products of scales that turn products of messages into probabilities.

    Returns:
        float64 [B, T] twice: for the two messages at a position, and for the forward message at the position before
        and the backward message at this one. -inf in the padding, and for the second at the first position.
    """
    forward, backward = chain.positions.by_position(messages.log_scale)
    before = tf.concat([tf.zeros_like(forward[:, :1]), forward[:, :-1]], 1)
    ratios = tf.stack([forward, before]) + backward - messages.log_partition[:, tf.newaxis]
    has_one_before = tf.range(chain.positions.steps) > 0
    kept = tf.stack([chain.positions.real, chain.positions.real & has_one_before])
    one, two = tf.unstack(tf.where(kept, ratios, tf.constant(-np.inf, tf.float64)))
    return one, two


def _first_messages(chain: Chain) -> tf.Tensor:
    """Returns the logs, float64 [2, B, K]."""
    first = tf.stack([chain.start, chain.end])[:, tf.newaxis]
    return tf.tile(first, [1, tf.size(chain.positions.length), 1])


def _with_partition(
    chain: Chain,
    values: tf.Tensor,
    log_scale: tf.Tensor,
    emissions: tf.Tensor,
    log: Callable[[tf.Tensor], tf.Tensor],
) -> Messages:
    last = chain.positions.last
    scores = log(tf.gather_nd(values, last)) + tf.gather_nd(log_scale, last)[:, tf.newaxis]
    scores += tf.gather(chain.emissions, chain.positions.rows(tf.zeros([1], tf.int32))[0, 1]) + chain.end
    return Messages(values, log_scale, emissions, scores, tf.reduce_logsumexp(scores, -1))
