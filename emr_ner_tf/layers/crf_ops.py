"""The linear-chain conditional random field (eq. 12-14) as pure functions of `Potentials`.

A record is its first `length` positions, so a mask with gaps or padding on the left cannot be expressed. The score
`FORBIDDEN` forbids a transition. Potentials are cast to float32, whatever their type; sums over time are float64, so
that long records lose no precision.
"""

from typing import Any

import tensorflow as tf

from emr_ner_tf.layers.crf_viterbi import viterbi
from emr_ner_tf.layers.forward_backward import (
    FORBIDDEN,
    Chain,
    Messages,
    Potentials,
    log_messages,
    log_ratios,
    make_chain,
    scaled_messages,
)

__all__ = [
    "FORBIDDEN",
    "Potentials",
    "cross_entropy",
    "log_partition",
    "marginals",
    "negative_log_likelihood",
    "path_score",
    "viterbi",
]


def path_score(potentials: Potentials, tag_ids: tf.Tensor) -> tf.Tensor:
    """Computes the score of given paths (eq. 12).

    Args:
        potentials: potentials of the records.
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
        potentials: potentials of the records.
        tag_ids: int [B, T], as for `path_score`. Each forbidden step of a path adds about -`FORBIDDEN` to its loss; the
            loss and its gradient stay finite.

    Returns:
        float32 [B]; 0, with no gradient, where `length` is 0.
    """
    total = _log_partition(potentials)
    return tf.cast(total - _path_score(potentials, tag_ids), tf.float32)


def cross_entropy(potentials: Potentials, targets: tf.Tensor, tag_ids: tf.Tensor) -> tf.Tensor:
    """Computes the cross-entropy of the field against another one, whose marginals and best path are given.

    The loss is log Z - E[score]. The expectation of the emissions is exact, since it only needs the marginals; that of
    the transitions is approximated by the best path. The gradient with respect to the emissions is the marginals of
    this field minus `targets`, which is 0 if both are equal. If `targets` is a path with probability 1, the loss is the
    `negative_log_likelihood` of that path.

    Args:
        potentials: potentials of the records.
        targets: float [B, T, K], the other field's marginals; any value in the padding.
        tag_ids: int [B, T], as for `path_score`.

    Returns:
        float32 [B]; 0, with no gradient, where `length` is 0.
    """
    total = _log_partition(potentials)
    without = potentials._replace(emissions=tf.zeros_like(potentials.emissions))
    emissions, length, *_ = potentials.prepared()
    real = tf.sequence_mask(length, tf.shape(emissions)[1])[:, :, tf.newaxis]
    # Replaced before the product: 0 times NaN is NaN.
    emissions, targets = (tf.where(real, tf.cast(each, tf.float32), 0.0) for each in (emissions, targets))
    expected = tf.reduce_sum(tf.cast(tf.reduce_sum(emissions * targets, -1), tf.float64), -1)
    return tf.cast(total - _path_score(without, tag_ids) - expected, tf.float32)


def marginals(potentials: Potentials) -> tf.Tensor:
    """Computes the probability of each tag at each position.

    Returns:
        float32 [B, T, K]; 0 in the padding.
    """
    chain = make_chain(potentials.prepared())
    scaled, within = scaled_messages(chain)
    weight = tf.ones_like(chain.shift)
    probability = tf.cond(
        within,
        lambda: _scaled_posterior(chain, scaled, weight)[0],
        lambda: _log_posterior(chain, log_messages(chain), weight)[0],
    )
    return tf.cast(probability, tf.float32)


def _path_score(potentials: Potentials, tag_ids: tf.Tensor) -> tf.Tensor:
    """Returns float64 [B]."""
    emissions, length, transitions, start, end = potentials.prepared()
    position = tf.range(tf.shape(emissions)[1])
    real = position < length[:, tf.newaxis]
    last = position == length[:, tf.newaxis] - 1
    tag_ids = tf.where(real, tf.cast(tag_ids, tf.int32), 0)
    tags = tf.shape(transitions)[0]
    cells = tf.range(tf.size(tag_ids)) * tags + tf.reshape(tag_ids, [-1])
    chosen = tf.reshape(tf.gather(tf.reshape(emissions, [-1]), cells), tf.shape(tag_ids))
    steps = tag_ids[:, :-1] * tags + tag_ids[:, 1:]

    def total(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.where(counted, tf.cast(values, tf.float64), tf.zeros([], tf.float64)), 1)

    return (
        total(chosen, real)
        + total(tf.gather(tf.reshape(transitions, [-1]), steps), real[:, 1:])
        + total(tf.gather(start, tag_ids[:, :1]), real[:, :1])
        + total(tf.gather(end, tag_ids), last)
    )


def _log_partition(potentials: Potentials) -> tf.Tensor:
    """Returns float64 [B]."""

    @tf.custom_gradient
    def function(*tensors: tf.Tensor) -> Any:
        chain = make_chain(Potentials(*tensors))
        some = chain.positions.length > 0
        scaled, within = scaled_messages(chain)
        total = tf.cond(within, lambda: scaled.log_partition, lambda: log_messages(chain).log_partition)

        def gradient(upstream: tf.Tensor) -> tuple:
            weight = tf.where(some, upstream, tf.zeros_like(upstream))
            d_emissions, d_transitions, d_end = tf.cond(
                within,
                lambda: _scaled_posterior(chain, scaled, weight),
                lambda: _log_posterior(chain, log_messages(chain), weight),
            )
            d_emissions = tf.cast(d_emissions, tf.float32)
            d_start = tf.reduce_sum(d_emissions[:, :1], [0, 1])
            # In the order of the fields of `Potentials`.
            return d_emissions, None, tf.cast(d_transitions, tf.float32), d_start, tf.cast(d_end, tf.float32)

        return tf.where(some, total + chain.shift, tf.zeros_like(total)), gradient

    return function(*potentials.prepared())


def _scaled_posterior(
    chain: Chain, messages: Messages, weight: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the posterior from scaled messages.

    Args:
        chain: the potentials.
        messages: messages of the chain.
        weight: float64 [B], a weight for each record.

    Returns:
        Weighted tag probabilities float64 [B, T, K], 0 in the padding, and over all records the sums of the weighted
        transitions [K, K] and last tags [K].
    """
    at, between = (tf.exp(ratio) * weight[:, tf.newaxis] for ratio in log_ratios(chain, messages))
    forward, backward = chain.positions.by_position(messages.values)
    factors = tf.gather(messages.emissions, chain.positions.in_order)
    until, after = forward * factors, factors * backward
    tags = tf.shape(chain.start)[:1]
    pairs = tf.matmul(
        # Each row times the next one; `between` is 0 where a record begins.
        tf.reshape(until, [-1, tags[0]])[:-1],
        tf.reshape(after * between[:, :, tf.newaxis], [-1, tags[0]])[1:],
        transpose_a=True,
    )
    last = tf.linalg.matvec(tf.nn.softmax(messages.last_tag), weight, transpose_a=True)
    return forward * after * at[:, :, tf.newaxis], tf.exp(chain.transitions) * pairs, last


def _log_posterior(
    chain: Chain, messages: Messages, weight: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the posterior from messages in log space."""
    zero = tf.zeros([], tf.float64)
    positions = chain.positions
    forward, backward = positions.by_position(messages.values)
    emissions = tf.gather(messages.emissions, positions.in_order)
    until, after = forward + emissions, emissions + backward
    probability = tf.exp(forward + after - messages.log_partition[:, tf.newaxis, tf.newaxis])
    probability = tf.where(
        positions.real[:, :, tf.newaxis], probability * weight[:, tf.newaxis, tf.newaxis], zero
    )

    # A loop, so that memory does not grow by [K, K] with each step.
    def add(total: tf.Tensor, step: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        before, after, counted = step
        scores = before[:, :, tf.newaxis] + chain.transitions + after[:, tf.newaxis, :]
        pairs = tf.exp(scores - messages.log_partition[:, tf.newaxis, tf.newaxis])
        weighted = tf.where(
            counted[:, tf.newaxis, tf.newaxis], pairs * weight[:, tf.newaxis, tf.newaxis], zero
        )
        return total + tf.reduce_sum(weighted, 0)

    by_time = [tf.transpose(until, [1, 0, 2])[:-1], tf.transpose(after, [1, 0, 2])[1:]]
    real = tf.transpose(positions.real)[1:]
    transitions = tf.foldl(add, (*by_time, real), initializer=tf.zeros_like(chain.transitions))
    last = tf.linalg.matvec(tf.nn.softmax(messages.last_tag), weight, transpose_a=True)
    return probability, transitions, last
