"""The linear-chain conditional random field (eq. 12-14) as pure functions of `Potentials`.

A record is its first `length` positions, so a mask with gaps or padding on the left cannot be expressed. The score
`FORBIDDEN` forbids a transition. Potentials are cast to float32, whatever their type; sums over time are float64, so
that long records lose no precision.
"""

from typing import Any

import tensorflow as tf

from emr_ner_tf.layers.forward_backward import FORBIDDEN, Potentials, make_chain, posterior, scan_steps

__all__ = [
    "FORBIDDEN",
    "Potentials",
    "log_partition",
    "marginals",
    "negative_log_likelihood",
    "path_score",
    "viterbi",
]


def path_score(potentials: Potentials, tag_ids: tf.Tensor) -> tf.Tensor:
    """Computes the score of given paths (eq. 12).

    Args:
        potentials: of the records.
        tag_ids: int [B, T], 0 to K - 1 within the record; any value in the padding.

    Returns:
        float32 [B]; 0 where `length` is 0.
    """
    return tf.cast(_path_score(potentials, tag_ids), tf.float32)


def log_partition(potentials: Potentials) -> tf.Tensor:
    """Computes the log of the sum of exp(score) over all paths (the denominator of eq. 13).

    Its gradient is the posterior (tag marginals and expected transitions), so the recursion is not differentiated step
    by step. It has no second derivative.

    Returns:
        float32 [B]; 0 where `length` is 0.
    """
    return tf.cast(_log_partition(potentials), tf.float32)


def negative_log_likelihood(potentials: Potentials, tag_ids: tf.Tensor) -> tf.Tensor:
    """Computes the negative log-likelihood of given paths (eq. 13).

    Args:
        potentials: of the records.
        tag_ids: int [B, T], as for `path_score`. Each forbidden step of a path adds about -`FORBIDDEN` to its loss; the
            loss and its gradient stay finite.

    Returns:
        float32 [B]; 0, with no gradient, where `length` is 0.
    """
    total = _log_partition(potentials)
    return tf.cast(total - _path_score(potentials, tag_ids), tf.float32)


def marginals(potentials: Potentials) -> tf.Tensor:
    """Computes the probability of each tag at each position.

    Returns:
        float32 [B, T, K]; 0 in the padding.
    """
    return posterior(_prepare(potentials)).marginals


def viterbi(potentials: Potentials) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the path with the highest score (eq. 14).

    Among paths with equal scores it returns the one whose last tag is the lowest; if these are equal too, the tag
    before it decides, and so on.

    Returns:
        Tag ids int32 [B, T], 0 in the padding, and their score float32 [B], 0 where `length` is 0.
    """
    chain = make_chain(_prepare(potentials))
    arriving = tf.transpose(chain.transitions)
    best = scan_steps(
        lambda state, emission: tf.reduce_max(state[:, tf.newaxis, :] + arriving, -1) + emission,
        chain.emissions[0] + chain.start,
        chain.emissions,
    )
    # Backtracking starts at the end of each record. There are no back-pointers: each step repeats the comparison.
    backward = chain.reversed(best)
    last = backward[0] + chain.end
    steps = scan_steps(
        lambda tag, state: tf.argmax(state + tf.gather(arriving, tag), -1, tf.int32),
        tf.argmax(last, -1, tf.int32),
        backward,
    )
    tag_ids = tf.transpose(tf.where(chain.real, chain.reversed(steps[:, :, tf.newaxis]), 0)[:, :, 0])
    score = tf.where(chain.length > 0, tf.reduce_max(last, -1), tf.zeros([], tf.float64))
    return tag_ids[:, : tf.shape(potentials.emissions)[1]], tf.cast(score, tf.float32)


def _path_score(potentials: Potentials, tag_ids: tf.Tensor) -> tf.Tensor:
    """Returns float64 [B]."""
    emissions, length, transitions, start, end = _prepare(potentials)
    position = tf.range(tf.shape(emissions)[1])
    real = position < length[:, tf.newaxis]
    last = position == length[:, tf.newaxis] - 1
    tag_ids = tf.where(real, tf.cast(tag_ids, tf.int32), 0)
    # Selected with a mask, because the gradient of a batched gather fails on an empty batch.
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


def _log_partition(potentials: Potentials) -> tf.Tensor:
    """Returns float64 [B]."""

    @tf.custom_gradient
    def function(*tensors: tf.Tensor) -> Any:
        prepared = Potentials(*tensors)
        result = posterior(prepared)

        def gradient(upstream: tf.Tensor) -> tuple:
            weight = tf.cast(upstream, tf.float32)[:, tf.newaxis, tf.newaxis]
            d_emissions = result.marginals * weight
            last = tf.one_hot(prepared.length - 1, tf.shape(d_emissions)[1])[:, :, tf.newaxis]
            # In the order of the fields of `Potentials`.
            return (
                d_emissions,
                None,
                tf.reduce_sum(result.transition_counts * weight, 0),
                tf.reduce_sum(d_emissions[:, :1], [0, 1]),
                tf.reduce_sum(d_emissions * last, [0, 1]),
            )

        return result.log_partition, gradient

    return function(*_prepare(potentials))


def _prepare(potentials: Potentials) -> Potentials:
    """Returns the potentials as float32, with lengths clipped to 0 to T."""
    steps = tf.shape(potentials.emissions)[1]
    length = tf.clip_by_value(tf.cast(potentials.length, tf.int32), 0, steps)
    return potentials._replace(length=length).as_float32()
