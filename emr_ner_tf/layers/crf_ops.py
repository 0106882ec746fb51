"""The linear-chain conditional random field (eq. 12-14) as pure functions of potentials and lengths.

Each takes `emissions` [B, T, K], `length` [B], `transitions` [K, K] (from row to column), `start` [K] and
`end` [K]. A record is its first `length` positions, and what the padding holds is never read: a mask with a
gap, or padding on the left, cannot be asked for. A transition is forbidden by the score `FORBIDDEN`.
Potentials are taken as float32, whatever comes in; sums over time are float64, so that long records lose
nothing.
"""

from typing import Any

import tensorflow as tf

from emr_ner_tf.layers.forward_backward import FORBIDDEN, make_chain, posterior, scan_steps

__all__ = ["FORBIDDEN", "log_partition", "marginals", "negative_log_likelihood", "path_score", "viterbi"]


def path_score(
    emissions: tf.Tensor,
    length: tf.Tensor,
    transitions: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    tag_ids: tf.Tensor,
) -> tf.Tensor:
    """Score of given paths (eq. 12).

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].
        tag_ids: int [B, T], 0 to K - 1 in the record and anything in the padding.

    Returns:
        float32 [B]; 0 where `length` is 0.
    """
    return tf.cast(_path_score(emissions, length, transitions, start, end, tag_ids), tf.float32)


def log_partition(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """Log of the sum of exp(score) over all paths (the denominator of eq. 13).

    Its gradient is the posterior itself (tag marginals and expected transitions): no tape runs through the
    recursion, and there is no second derivative.

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].

    Returns:
        float32 [B]; 0 where `length` is 0.
    """
    return tf.cast(_log_partition(emissions, length, transitions, start, end), tf.float32)


def negative_log_likelihood(
    emissions: tf.Tensor,
    length: tf.Tensor,
    transitions: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    tag_ids: tf.Tensor,
) -> tf.Tensor:
    """Negative log-likelihood of given paths (eq. 13).

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].
        tag_ids: int [B, T], as for `path_score`. A path that is forbidden has a loss of about -`FORBIDDEN`
            for each forbidden step: large, finite, and with a finite gradient.

    Returns:
        float32 [B]; 0, and without a gradient, where `length` is 0.
    """
    total = _log_partition(emissions, length, transitions, start, end)
    return tf.cast(total - _path_score(emissions, length, transitions, start, end, tag_ids), tf.float32)


def marginals(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """Probability of each tag at each position.

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].

    Returns:
        float32 [B, T, K]; 0 in the padding.
    """
    return posterior(*_float32(emissions, length, transitions, start, end)).marginals


def viterbi(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The path of highest score (eq. 14).

    Among equals the path whose last tag is the lowest, then the one before it, and so on.

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].

    Returns:
        Tag ids int32 [B, T], 0 in the padding, and their score float32 [B], 0 where `length` is 0.
    """
    chain = make_chain(*_float32(emissions, length, transitions, start, end))
    arriving = tf.transpose(chain.transitions)
    best = scan_steps(
        lambda state, emission: tf.reduce_max(state[:, tf.newaxis, :] + arriving, -1) + emission,
        chain.emissions[0] + chain.start,
        chain.emissions,
    )
    # Backwards from each row's own end. No pointers are kept: a step repeats the sums that were compared.
    backward = chain.reversed(best)
    last = backward[0] + chain.end
    steps = scan_steps(
        lambda tag, state: tf.argmax(state + tf.gather(arriving, tag), -1, tf.int32),
        tf.argmax(last, -1, tf.int32),
        backward,
    )
    tag_ids = tf.transpose(tf.where(chain.real, chain.reversed(steps[:, :, tf.newaxis]), 0)[:, :, 0])
    score = tf.where(chain.length > 0, tf.reduce_max(last, -1), tf.zeros([], tf.float64))
    return tag_ids[:, : tf.shape(emissions)[1]], tf.cast(score, tf.float32)


def _path_score(
    emissions: tf.Tensor,
    length: tf.Tensor,
    transitions: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    tag_ids: tf.Tensor,
) -> tf.Tensor:
    """float64 [B]."""
    emissions, length, transitions, start, end = _float32(emissions, length, transitions, start, end)
    position = tf.range(tf.shape(emissions)[1])
    real = position < length[:, tf.newaxis]
    last = position == length[:, tf.newaxis] - 1
    tag_ids = tf.where(real, tf.cast(tag_ids, tf.int32), 0)
    # A selection, since the gradient of a batched gather fails on an empty batch.
    tags = tf.shape(transitions)[0]
    chosen = (tf.range(tags) == tag_ids[:, :, tf.newaxis]) & real[:, :, tf.newaxis]
    steps = tag_ids[:, :-1] * tags + tag_ids[:, 1:]

    def total(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.where(counted, tf.cast(values, tf.float64), tf.zeros([], tf.float64)), 1)

    return (
        total(tf.reduce_sum(tf.where(chosen, emissions, 0.0), -1), real)
        + total(tf.gather(tf.reshape(transitions, [-1]), steps), real[:, 1:])
        + total(tf.gather(start, tag_ids[:, :1]), real[:, :1])
        + total(tf.gather(end, tag_ids), last)
    )


def _log_partition(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """float64 [B]."""

    @tf.custom_gradient
    def function(*potentials: tf.Tensor) -> Any:
        result = posterior(*potentials)

        def gradient(upstream: tf.Tensor) -> tuple:
            weight = tf.cast(upstream, tf.float32)[:, tf.newaxis, tf.newaxis]
            d_emissions = result.marginals * weight
            last = tf.one_hot(potentials[1] - 1, tf.shape(d_emissions)[1])[:, :, tf.newaxis]
            return (
                d_emissions,
                None,
                tf.reduce_sum(result.transition_counts * weight, 0),
                tf.reduce_sum(d_emissions[:, :1], [0, 1]),
                tf.reduce_sum(d_emissions * last, [0, 1]),
            )

        return result.log_partition, gradient

    return function(*_float32(emissions, length, transitions, start, end))


def _float32(
    emissions: tf.Tensor, length: tf.Tensor, transitions: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Potentials as float32, and lengths within 0 to T."""
    length = tf.clip_by_value(tf.cast(length, tf.int32), 0, tf.shape(emissions)[1])
    potentials = (tf.cast(values, tf.float32) for values in (emissions, transitions, start, end))
    emissions, transitions, start, end = potentials
    return emissions, length, transitions, start, end
