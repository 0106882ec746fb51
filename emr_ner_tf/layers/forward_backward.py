"""Forward and backward messages of a linear-chain CRF, in float64, and the posterior that they give.

Both directions run in one loop, and several steps make one turn of it: with a few tags the cost is the number
of kernels, not their work. Two recursions give the same numbers. The fast one stays in probability space, a
matrix product a step; the exact one is the log-sum-exp, for potentials too far apart for the fast one.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Score of a transition that is forbidden: exp() of it is 0, its multiples are finite, and no difference of
# emissions that float16 can hold makes up for it. Not -inf: a gold path that is forbidden has a loss, and a
# row without any allowed path a best one.
FORBIDDEN = -1e6

_STEPS_PER_TURN = 8
# What is rounded to 0 in probability space is below 2e-308. While the states of each step sum to
# _SMALLEST_SUM that is less than 1e-100 of them; and while the paths through each step come to
# _SMALLEST_SHARE of what every beginning with every ending would give, it is less than 1e-20 of all paths.
_SMALLEST_SUM = 1e-200
_SMALLEST_SHARE = 1e-80


class Posterior(NamedTuple):
    """What training and marginals need of a CRF; all 0 for a row of length 0.

    Attributes:
        log_partition: float64 [B], log of the sum over all paths (the denominator of eq. 13).
        marginals: float32 [B, T, K], probability of each tag; 0 in the padding.
        transition_counts: float32 [B, K, K], expected number of times that tag j follows tag i.
    """

    log_partition: tf.Tensor
    marginals: tf.Tensor
    transition_counts: tf.Tensor


class Chain(NamedTuple):
    """Potentials in float64 with time first, at least one step of it; emissions are 0 in the padding.

    Attributes:
        emissions: [T, B, K].
        real: bool [T, B, 1], not padding.
        length: int32 [B].
        transitions: [K, K].
        start: [K].
        end: [K].
    """

    emissions: tf.Tensor
    real: tf.Tensor
    length: tf.Tensor
    transitions: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor

    @property
    def last(self) -> tf.Tensor:
        """The last real position of each row, bool [T, B, 1]."""
        position = tf.range(tf.shape(self.emissions)[0])
        return (position[:, tf.newaxis] == self.length - 1)[:, :, tf.newaxis]

    def reversed(self, values: tf.Tensor) -> tf.Tensor:
        """[T, B, K] with the real part of each row turned round."""
        return tf.reverse_sequence(values, self.length, seq_axis=0, batch_axis=1)


def make_chain(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> Chain:
    """Returns the potentials as the recursions want them.

    Args:
        emissions: float [B, T, K]; what stands past `length` is not read, NaN included.
        length: int [B]; values outside 0 to T count as the nearest of the two.
        transitions: float [K, K], from row to column.
        start: float [K].
        end: float [K].
    """
    steps = tf.shape(emissions)[1]
    length = tf.clip_by_value(tf.cast(length, tf.int32), 0, steps)
    real = tf.transpose(tf.sequence_mask(length, tf.maximum(steps, 1)))[:, :, tf.newaxis]
    by_time = tf.transpose(tf.cast(emissions, tf.float64), [1, 0, 2])
    by_time = tf.pad(by_time, [[0, tf.cast(steps == 0, tf.int32)], [0, 0], [0, 0]])
    by_time = tf.where(real, by_time, tf.zeros([], tf.float64))
    return Chain(
        by_time,
        real,
        length,
        tf.cast(transitions, tf.float64),
        tf.cast(start, tf.float64),
        tf.cast(end, tf.float64),
    )


def scan_steps(
    step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    first: tf.Tensor,
    inputs: tf.Tensor,
    rescale: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:
    """States of a recursion, `state[0] = first` and `state[t] = step(state[t - 1], inputs[t])`.

    Args:
        step: maps a state and an input to the next state, of the same shape and dtype.
        first: state at time 0; `inputs[0]` is already in it.
        inputs: [T, ...], T at least 1.
        rescale: applied to what is carried on, not to what is returned, once every few steps.

    Returns:
        [T, ...] states.
    """
    steps = tf.shape(inputs)[0] - 1
    # At least one turn: stacking no elements needs a shape that a graph may not know.
    turns = tf.maximum((steps + _STEPS_PER_TURN - 1) // _STEPS_PER_TURN, 1)
    shape = tf.shape(inputs)[1:]
    missing = tf.zeros(tf.concat([[turns * _STEPS_PER_TURN - steps], shape], 0), inputs.dtype)
    blocks = tf.reshape(tf.concat([inputs[1:], missing], 0), tf.concat([[turns, _STEPS_PER_TURN], shape], 0))

    def turn(index: tf.Tensor, state: tf.Tensor, states: tf.TensorArray):
        block = []
        for value in tf.unstack(tf.gather(blocks, index), num=_STEPS_PER_TURN):
            state = step(state, value)
            block.append(state)
        return index + 1, rescale(state), states.write(index, tf.stack(block))

    states = tf.TensorArray(first.dtype, size=turns)
    unknown = tf.TensorShape([None] * first.shape.rank)
    index = tf.zeros([], tf.int32)
    _, _, states = tf.while_loop(
        lambda index, *_: index < turns,
        turn,
        (index, first, states),
        shape_invariants=(index.shape, unknown, tf.TensorShape(None)),
    )
    later = tf.reshape(states.stack(), tf.concat([[turns * _STEPS_PER_TURN], tf.shape(first)], 0))
    return tf.concat([first[tf.newaxis], later[:steps]], 0)


def log_messages(chain: Chain) -> tuple[tf.Tensor, tf.Tensor]:
    """Forward and backward messages in log space.

    Returns:
        float64 [T, B, K] twice: log-sum over all beginnings that end with tag k at t, and over all endings
        that begin with tag k at t; the emission at t is in both.
    """
    both = tf.stack([chain.emissions, chain.reversed(chain.emissions)], 1)
    # Rows are where a step arrives: forward that is the later tag, backward the earlier.
    weights = tf.stack([tf.transpose(chain.transitions), chain.transitions])[:, tf.newaxis]

    def step(state: tf.Tensor, emission: tf.Tensor) -> tf.Tensor:
        scores = state[:, :, tf.newaxis, :] + weights
        peak = tf.reduce_max(scores, -1, keepdims=True)
        total = tf.reduce_sum(tf.exp(scores - peak), -1)
        return emission + tf.squeeze(peak, -1) + tf.math.log(total)

    # No rescaling: sums of float64 over 100,000 steps are still exact to 1e-9.
    messages = scan_steps(step, both[0] + tf.stack([chain.start, chain.end])[:, tf.newaxis], both)
    return messages[:, 0], chain.reversed(messages[:, 1])


def posterior(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> Posterior:
    """Sum over all paths, tag marginals and expected transitions, by forward-backward.

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K], from row to column.
        start: float [K].
        end: float [K].

    Source: Rabiner, "A tutorial on hidden Markov models", 1989, section V.A (scaling).
    """
    chain = make_chain(emissions, length, transitions, start, end)
    fast, exact_enough = _scaled_posterior(chain)
    log_partition, marginals, counts = tf.cond(exact_enough, lambda: fast, lambda: _exact_posterior(chain))
    marginals = tf.transpose(marginals, [1, 0, 2])[:, : tf.shape(emissions)[1]]
    return Posterior(log_partition, tf.cast(marginals, tf.float32), tf.cast(counts, tf.float32))


def _scaled_posterior(chain: Chain) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Posterior with time first, in probability space, and whether what was rounded to 0 is negligible."""
    zero = tf.zeros([], tf.float64)
    transitions, transition_peak = _factors(chain.transitions, None)
    start, start_peak = _factors(chain.start, None)
    end, end_peak = _factors(chain.end, None)
    emissions, emission_peak = _factors(chain.emissions, -1)

    both = tf.stack([emissions, chain.reversed(emissions)], 1)
    weights = tf.stack([transitions, tf.transpose(transitions)])
    states = scan_steps(
        lambda state, emission: tf.matmul(state, weights) * emission,
        both[0] * tf.stack([start, end])[:, tf.newaxis],
        both,
        rescale=lambda state: _normalised(state)[0],
    )
    forward, forward_sum = _normalised(states[:, 0])
    backward, backward_sum = _normalised(chain.reversed(states[:, 1]))

    # Weight of coming to tag j at t, before its emission, relative to the sum over the tags at t - 1.
    arriving = tf.concat([tf.zeros_like(forward[:1]) + start, tf.matmul(forward[:-1], transitions)], 0)
    joint = arriving * backward
    share = tf.reduce_sum(joint, -1, keepdims=True)
    marginals = tf.where(chain.real, tf.math.divide_no_nan(joint, share), zero)
    onward = tf.where(chain.real, tf.math.divide_no_nan(backward, share), zero)
    counts = transitions * tf.einsum("tbi,tbj->bij", forward[:-1], onward[1:])

    gain = tf.reduce_sum(arriving * emissions, -1, keepdims=True)
    ending = tf.reduce_sum(forward * end, -1, keepdims=True)
    logs = tf.where(chain.real, tf.math.log(gain) + emission_peak + transition_peak, zero)
    logs += tf.where(chain.last, tf.math.log(ending) + start_peak + end_peak - transition_peak, zero)

    # False for NaN too, and where no allowed path is left: the exact recursion then ranks the forbidden ones.
    fit = (share >= _SMALLEST_SHARE) & (tf.minimum(forward_sum, backward_sum) >= _SMALLEST_SUM)
    fit = tf.reduce_all(fit | tf.logical_not(chain.real))
    return (tf.reduce_sum(logs, [0, 2]), marginals, counts), fit


def _factors(scores: tf.Tensor, axis: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores as factors of at most 1, and the score that is 1."""
    peak = tf.reduce_max(scores, axis, keepdims=axis is not None)
    return tf.exp(scores - peak), peak


def _normalised(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """States that sum to 1, and what they summed to."""
    total = tf.reduce_sum(states, -1, keepdims=True)
    return tf.math.divide_no_nan(states, total), total


def _exact_posterior(chain: Chain) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Posterior with time first, in log space."""
    zero = tf.zeros([], tf.float64)
    forward, backward = log_messages(chain)
    sums = tf.reduce_logsumexp(forward + chain.end, -1, keepdims=True)
    log_partition = tf.reduce_sum(tf.where(chain.last, sums, zero), [0, 2])
    marginals = tf.where(chain.real, tf.nn.softmax(forward + backward - chain.emissions), zero)

    # A loop, so that memory does not grow by [K, K] a step.
    def add(counts: tf.Tensor, step: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        before, after, real = step
        scores = before[:, :, tf.newaxis] + chain.transitions + after[:, tf.newaxis, :]
        pairs = tf.exp(scores - log_partition[:, tf.newaxis, tf.newaxis])
        return counts + tf.where(real[:, :, tf.newaxis], pairs, zero)

    tags = tf.shape(chain.transitions)[0]
    none = tf.zeros([tf.shape(chain.length)[0], tags, tags], tf.float64)
    counts = tf.foldl(add, (forward[:-1], backward[1:], chain.real[1:]), initializer=none)
    return log_partition, marginals, counts
