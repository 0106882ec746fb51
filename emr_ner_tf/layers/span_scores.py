"""Probability under a CRF that a span is a mention: its `score` in every output."""

from typing import Protocol

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers.forward_backward import FORBIDDEN, log_messages, make_chain


class SpanTensors(Protocol):
    """Spans of several records, int32 [M] each.

    Attributes:
        record: row of the batch.
        start: first position.
        end: position after the last.
        label: index of the label in the table.
    """

    record: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    label: tf.Tensor


def span_log_probability(
    emissions: tf.Tensor,
    length: tf.Tensor,
    transitions: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    spans: SpanTensors,
    table: TagTable,
) -> tf.Tensor:
    """Log-probability that exactly this span is a mention of its label.

    It is the sum of P(path) over every path that has the label's first tag at the span's start, its tags
    inside, its last tag, and then not the tag that would make the mention longer; the rest of it is free.
    Given the tag at t, the tags after it do not depend on those before: so it is one marginal and a product
    of conditional probabilities, those inside a mention taken from one cumulated sum over the record.

    Args:
        emissions: float [B, T, K].
        length: int [B].
        transitions: float [K, K].
        start: float [K].
        end: float [K].
        spans: M of them; one that is empty or not inside its record has log-probability `FORBIDDEN`.
        table: of the K tags.

    Returns:
        float32 [M].
    """
    potentials = (tf.cast(values, tf.float32) for values in (emissions, transitions, start, end))
    emissions, transitions, start, end = potentials
    chain = make_chain(emissions, length, transitions, start, end)
    forward, backward = log_messages(chain)
    first, middle, last, single, follower = (
        tf.constant(np.asarray(tags, np.int32))
        for tags in (table.first, table.middle, table.last, table.single, table.follower)
    )

    steps, batch = tf.shape(forward)[0], tf.shape(forward)[1]
    fits = (spans.record >= 0) & (spans.record < batch)
    fits &= (spans.label >= 0) & (spans.label < len(table.labels))
    record = tf.where(fits, spans.record, 0)
    label = tf.where(fits, spans.label, 0)
    # A batch of no records has no spans, and nothing to gather from.
    longest = tf.gather(tf.concat([chain.length, [0]], 0), record)
    fits &= (spans.start >= 0) & (spans.start < spans.end) & (spans.end <= longest)
    begin = tf.where(fits, spans.start, 0)
    stop = tf.where(fits, spans.end, 1)

    def at(values: tf.Tensor, time: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(values, tf.stack([tf.clip_by_value(time, 0, steps - 1), record, tag], 1))

    def continuation_log_prob(time: tf.Tensor, tag: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
        """Log P(`following` at `time` | `tag` just before)."""
        before = at(backward, time - 1, tag) - at(chain.emissions, time - 1, tag)
        weight = tf.gather_nd(chain.transitions, tf.stack([tag, following], 1))
        return weight + at(backward, time, following) - before

    one = stop - begin == 1
    two = stop - begin == 2
    opening = tf.where(one, tf.gather(single, label), tf.gather(first, label))
    inside, closing = tf.gather(middle, label), tf.gather(last, label)
    zero = tf.zeros([], tf.float64)

    unary = tf.nn.log_softmax(forward + backward - chain.emissions)
    result = at(unary, begin, opening)
    second = tf.where(two, closing, inside)
    result += tf.where(one, zero, continuation_log_prob(begin + 1, opening, second))
    inner = _cumulated_inside(chain.emissions, backward, chain.transitions, middle)
    between = at(inner, stop - 2, label) - at(inner, begin + 1, label)
    result += tf.where(one | two, zero, between + continuation_log_prob(stop - 1, inside, closing))

    ending = tf.where(one, opening, closing)
    longer = tf.gather(follower, label)
    other = tf.range(tf.shape(chain.transitions)[0]) != longer[:, tf.newaxis]
    after = tf.gather_nd(backward, tf.stack([tf.minimum(stop, steps - 1), record], 1))
    onward = tf.gather(chain.transitions, ending) + after
    onward = tf.reduce_logsumexp(tf.where(other, onward, tf.constant(-np.inf, tf.float64)), -1)
    left = onward - at(backward, stop - 1, ending) + at(chain.emissions, stop - 1, ending)
    result += tf.where((longer >= 0) & (stop < longest), left, zero)
    return tf.cast(tf.where(fits, tf.minimum(result, zero), tf.constant(FORBIDDEN, tf.float64)), tf.float32)


def _cumulated_inside(
    emissions: tf.Tensor, backward: tf.Tensor, transitions: tf.Tensor, middle: tf.Tensor
) -> tf.Tensor:
    """Sums over time of log P(a label's middle tag at t | the same at t - 1), float64 [T, B, L]."""
    weight = tf.gather_nd(transitions, tf.stack([middle, middle], 1))
    messages = tf.gather(backward, middle, axis=-1)
    before = (messages - tf.gather(emissions, middle, axis=-1))[:-1]
    steps = weight + messages[1:] - before
    return tf.concat([tf.zeros_like(messages[:1]), tf.cumsum(steps, 0)], 0)
