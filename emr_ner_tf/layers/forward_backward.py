"""Forward and backward messages of a linear-chain CRF, in float64, and the posterior that follows from them.

Both directions run in one loop, and each iteration of the loop unrolls several time steps: with few tags the cost is
the number of kernels, not their arithmetic. Two recursions compute the same posterior. The scaled one works in
probability space with one matrix product per step; the exact one uses log-sum-exp and takes over when the potentials
differ by more than the scaled one can represent.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Score of a forbidden transition. Its exponential is 0, its multiples are finite, and no difference of emissions that
# float16 can represent outweighs it. It is not -inf, so that a forbidden gold path still has a finite loss, and a
# record without an allowed path still has a best path.
FORBIDDEN = -1e6

_STEPS_PER_ITERATION = 8
# In probability space a value below 2e-308 is rounded to 0. As long as the states of each step sum to _MIN_SUM or more,
# such a value is less than 1e-100 of the sum. As long as the paths through each step have at least _MIN_FRACTION of
# the weight that all pairs of a prefix and a suffix would have, it is less than 1e-20 of the weight of all paths.
_MIN_SUM = 1e-200
_MIN_FRACTION = 1e-80


class Potentials(NamedTuple):
    """Scores of a linear-chain CRF for a batch: B records, T positions, K tags. Every function of the CRF takes one.

    Attributes:
        emissions: float [B, T, K], score of each tag at each position. Positions from `length` on are padding; they are
            never read and may hold anything, NaN included.
        length: int [B], positions of each record; a value outside 0 to T is clipped.
        transitions: float [K, K], score of going from the tag of the row to the tag of the column.
        start: float [K], score of each tag at the first position.
        end: float [K], score of each tag at the last position.
    """

    emissions: tf.Tensor
    length: tf.Tensor
    transitions: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor

    def as_float32(self) -> "Potentials":
        """Returns the same scores as float32."""
        return Potentials(
            tf.cast(self.emissions, tf.float32),
            self.length,
            tf.cast(self.transitions, tf.float32),
            tf.cast(self.start, tf.float32),
            tf.cast(self.end, tf.float32),
        )


class Posterior(NamedTuple):
    """The quantities that training and marginals need; all are 0 for a record of length 0.

    Attributes:
        log_partition: float64 [B], log of the sum over all paths (the denominator of eq. 13).
        marginals: float32 [B, T, K], probability of each tag; 0 in the padding.
        transition_counts: float32 [B, K, K], expected number of times that tag j follows tag i.
    """

    log_partition: tf.Tensor
    marginals: tf.Tensor
    transition_counts: tf.Tensor


class Chain(NamedTuple):
    """Potentials in the layout of the recursions: float64, time first, and at least one time step.

    Attributes:
        emissions: [T, B, K], 0 in the padding.
        real: bool [T, B, 1], False in the padding.
        length: int32 [B], clipped to 0 to T.
        transitions: as in `Potentials`.
        start: as in `Potentials`.
        end: as in `Potentials`.
    """

    emissions: tf.Tensor
    real: tf.Tensor
    length: tf.Tensor
    transitions: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor

    @property
    def last(self) -> tf.Tensor:
        """bool [T, B, 1], True at the last real position of each record."""
        position = tf.range(tf.shape(self.emissions)[0])
        return (position[:, tf.newaxis] == self.length - 1)[:, :, tf.newaxis]

    def reversed(self, values: tf.Tensor) -> tf.Tensor:
        """Returns [T, B, K] values with the real part of each record reversed in time."""
        return tf.reverse_sequence(values, self.length, seq_axis=0, batch_axis=1)


def make_chain(potentials: Potentials) -> Chain:
    """Converts potentials to the layout of the recursions."""
    emissions, length, transitions, start, end = potentials
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
    """Computes a recursion: `state[0] = first` and `state[t] = step(state[t - 1], inputs[t])`.

    Args:
        step: maps a state and an input to the next state, which has the same shape and dtype.
        first: state at time 0; it already includes `inputs[0]`.
        inputs: [T, ...], T at least 1.
        rescale: applied once every few steps to the state that the next step starts from; the returned states are not
            rescaled.

    Returns:
        The states, [T, ...].
    """
    steps = tf.shape(inputs)[0] - 1
    # At least one iteration: stacking an empty TensorArray needs a shape that a graph may not know.
    iterations = tf.maximum((steps + _STEPS_PER_ITERATION - 1) // _STEPS_PER_ITERATION, 1)
    shape = tf.shape(inputs)[1:]
    missing = tf.zeros(tf.concat([[iterations * _STEPS_PER_ITERATION - steps], shape], 0), inputs.dtype)
    blocks = tf.reshape(
        tf.concat([inputs[1:], missing], 0), tf.concat([[iterations, _STEPS_PER_ITERATION], shape], 0)
    )

    def iteration(index: tf.Tensor, state: tf.Tensor, states: tf.TensorArray):
        block = []
        for value in tf.unstack(tf.gather(blocks, index), num=_STEPS_PER_ITERATION):
            state = step(state, value)
            block.append(state)
        return index + 1, rescale(state), states.write(index, tf.stack(block))

    states = tf.TensorArray(first.dtype, size=iterations)
    unknown = tf.TensorShape([None] * first.shape.rank)
    index = tf.zeros([], tf.int32)
    _, _, states = tf.while_loop(
        lambda index, *_: index < iterations,
        iteration,
        (index, first, states),
        shape_invariants=(index.shape, unknown, tf.TensorShape(None)),
    )
    later = tf.reshape(states.stack(), tf.concat([[iterations * _STEPS_PER_ITERATION], tf.shape(first)], 0))
    return tf.concat([first[tf.newaxis], later[:steps]], 0)


def log_messages(chain: Chain) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes forward and backward messages in log space.

    Returns:
        Two float64 [T, B, K]: the log-sum over all prefixes that end with tag k at t, and the log-sum over all suffixes
        that begin with tag k at t. The emission at t is included in both.
    """
    both = tf.stack([chain.emissions, chain.reversed(chain.emissions)], 1)
    # Rows are the tag that a step arrives at: the later tag going forward, the earlier tag going backward.
    weights = tf.stack([tf.transpose(chain.transitions), chain.transitions])[:, tf.newaxis]

    def step(state: tf.Tensor, emission: tf.Tensor) -> tf.Tensor:
        scores = state[:, :, tf.newaxis, :] + weights
        peak = tf.reduce_max(scores, -1, keepdims=True)
        total = tf.reduce_sum(tf.exp(scores - peak), -1)
        return emission + tf.squeeze(peak, -1) + tf.math.log(total)

    # No rescaling is needed: float64 sums over 100,000 steps are still exact to 1e-9.
    messages = scan_steps(step, both[0] + tf.stack([chain.start, chain.end])[:, tf.newaxis], both)
    return messages[:, 0], chain.reversed(messages[:, 1])


def posterior(potentials: Potentials) -> Posterior:
    """Computes the log-partition, tag marginals and expected transitions by forward-backward.

    Source: Rabiner, "A tutorial on hidden Markov models", 1989, section V.A (scaling).
    """
    chain = make_chain(potentials)
    fast, exact_enough = _scaled_posterior(chain)
    log_partition, marginals, counts = tf.cond(exact_enough, lambda: fast, lambda: _exact_posterior(chain))
    marginals = tf.transpose(marginals, [1, 0, 2])[:, : tf.shape(potentials.emissions)[1]]
    return Posterior(log_partition, tf.cast(marginals, tf.float32), tf.cast(counts, tf.float32))


def _scaled_posterior(chain: Chain) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the posterior (time first), computed in probability space, and whether its rounding is negligible."""
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

    # Weight of arriving at tag j at t, before its emission, relative to the sum over the tags at t - 1.
    arriving = tf.concat([tf.zeros_like(forward[:1]) + start, tf.matmul(forward[:-1], transitions)], 0)
    joint = arriving * backward
    fraction = tf.reduce_sum(joint, -1, keepdims=True)
    marginals = tf.where(chain.real, tf.math.divide_no_nan(joint, fraction), zero)
    scaled_backward = tf.where(chain.real, tf.math.divide_no_nan(backward, fraction), zero)
    counts = transitions * tf.einsum("tbi,tbj->bij", forward[:-1], scaled_backward[1:])

    gain = tf.reduce_sum(arriving * emissions, -1, keepdims=True)
    ending = tf.reduce_sum(forward * end, -1, keepdims=True)
    logs = tf.where(chain.real, tf.math.log(gain) + emission_peak + transition_peak, zero)
    logs += tf.where(chain.last, tf.math.log(ending) + start_peak + end_peak - transition_peak, zero)

    # Also False for NaN, and for a record without an allowed path: the exact recursion then ranks the forbidden paths.
    precise = (fraction >= _MIN_FRACTION) & (tf.minimum(forward_sum, backward_sum) >= _MIN_SUM)
    precise = tf.reduce_all(precise | tf.logical_not(chain.real))
    return (tf.reduce_sum(logs, [0, 2]), marginals, counts), precise


def _factors(scores: tf.Tensor, axis: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the scores as factors of at most 1, and the score whose factor is 1."""
    peak = tf.reduce_max(scores, axis, keepdims=axis is not None)
    return tf.exp(scores - peak), peak


def _normalised(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the states scaled to sum to 1, and their sum before scaling."""
    total = tf.reduce_sum(states, -1, keepdims=True)
    return tf.math.divide_no_nan(states, total), total


def _exact_posterior(chain: Chain) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the posterior (time first), computed in log space."""
    zero = tf.zeros([], tf.float64)
    forward, backward = log_messages(chain)
    sums = tf.reduce_logsumexp(forward + chain.end, -1, keepdims=True)
    log_partition = tf.reduce_sum(tf.where(chain.last, sums, zero), [0, 2])
    marginals = tf.where(chain.real, tf.nn.softmax(forward + backward - chain.emissions), zero)

    # A loop, so that memory does not grow by [K, K] with each step.
    def add(counts: tf.Tensor, step: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        before, after, real = step
        scores = before[:, :, tf.newaxis] + chain.transitions + after[:, tf.newaxis, :]
        pairs = tf.exp(scores - log_partition[:, tf.newaxis, tf.newaxis])
        return counts + tf.where(real[:, :, tf.newaxis], pairs, zero)

    tags = tf.shape(chain.transitions)[0]
    none = tf.zeros([tf.shape(chain.length)[0], tags, tags], tf.float64)
    counts = tf.foldl(add, (forward[:-1], backward[1:], chain.real[1:]), initializer=none)
    return log_partition, marginals, counts
