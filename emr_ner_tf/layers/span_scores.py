"""The probability under a CRF that a span is a mention: the `score` of every entity."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers.forward_backward import (
    FORBIDDEN,
    Chain,
    Messages,
    Potentials,
    log_messages,
    make_chain,
    scaled_messages,
)


class SpanTensors(Protocol):
    """Spans of a batch of records, int32 [M] each.

    Attributes:
        record: row of the batch.
        start: first position.
        end: position after the last one.
        label: index of the label in the table.
    """

    record: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    label: tf.Tensor


def span_log_probability(potentials: Potentials, spans: SpanTensors, table: TagTable) -> tf.Tensor:
    """Computes the log-probability that each span is exactly a mention of its label.

    This is the log of the sum of P(path) over all paths that have the label's first tag at the span's start, its inner
    tags, its last tag, and then any tag but the one that would extend the mention; the tags elsewhere are free. It is
    the product of the forward message at the span's start, the factors within the span, and the backward messages at
    the position after it, divided by the sum over all paths.

    The factors of inner positions are a difference of two cumulative sums over the record, so that the cost of a span
    does not depend on its length.

    Args:
        potentials: potentials of the records.
        spans: M spans. A span that is empty, or does not lie within its record, has log-probability `FORBIDDEN`.
        table: the K tags.

    Returns:
        float32 [M], at least `FORBIDDEN`.
    """
    chain = make_chain(potentials.prepared())
    scaled, within = scaled_messages(chain)
    span = _clamp(spans, chain.positions.length, len(table.labels))
    one = span.end - span.start == 1
    zero = tf.zeros([], tf.float64)

    middle, follower = _tag_ids(table.middle), _tag_ids(table.follower)
    first = tf.where(one, _of_label(table.single, span), _of_label(table.first, span))
    inner, last = tf.gather(middle, span.label), _of_label(table.last, span)
    final_tag = tf.where(one, first, last)
    before, after, log_partition = tf.cond(
        within,
        lambda: _log_messages_around(scaled, span, first, tf.math.log),
        lambda: _log_messages_around(log_messages(chain), span, first, tf.identity),
    )

    def emission(time: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(chain.emissions, tf.stack([_row(chain, span, time), tag], 1))

    def transition(tag: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(chain.transitions, tf.stack([tag, following], 1))

    # The tag at the start, the inner tags, the last tag.
    result = before + emission(span.start, first)
    cumulative = _cumulative_inner(chain, middle)
    inner_tags = span.end - span.start - 2
    between = tf.gather_nd(cumulative, tf.stack([span.record, span.end - 1, span.label], 1))
    between -= tf.gather_nd(cumulative, tf.stack([span.record, span.start + 1, span.label], 1))
    steps = tf.where(
        inner_tags > 0, transition(first, inner) + transition(inner, last), transition(first, last)
    )
    steps += tf.cast(tf.maximum(inner_tags - 1, 0), tf.float64) * transition(inner, inner)
    result += tf.where(one, zero, between + steps + emission(span.end - 1, last))
    # The end.
    others = tf.range(tf.size(chain.start)) != tf.gather(follower, span.label)[:, tf.newaxis]
    following = tf.gather(chain.transitions, final_tag) + after
    following += tf.gather(chain.emissions, _row(chain, span, span.end))
    following = tf.reduce_logsumexp(tf.where(others, following, tf.constant(-np.inf, tf.float64)), -1)
    result += tf.where(span.end < span.record_length, following, tf.gather(chain.end, final_tag))

    # Rounding may exceed log 1 by a little.
    result = tf.clip_by_value(result - log_partition, tf.constant(FORBIDDEN, tf.float64), zero)
    return tf.cast(tf.where(span.valid, result, FORBIDDEN), tf.float32)


class _ClampedSpans(NamedTuple):
    """Spans whose every index can be gathered; those that were not valid point to the first position of record 0.

    Attributes:
        valid: bool [M], whether the span was not empty, lay within its record, and had a label of the table.
        record: as in `SpanTensors`.
        start: as in `SpanTensors`.
        end: as in `SpanTensors`.
        label: as in `SpanTensors`.
        record_length: int32 [M], length of the span's record.
    """

    valid: tf.Tensor
    record: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    label: tf.Tensor
    record_length: tf.Tensor


def _clamp(spans: SpanTensors, length: tf.Tensor, num_labels: int) -> _ClampedSpans:
    valid = (spans.record >= 0) & (spans.record < tf.shape(length)[0])
    valid &= (spans.label >= 0) & (spans.label < num_labels)
    record = tf.where(valid, spans.record, 0)
    label = tf.where(valid, spans.label, 0)
    # A zero is appended because a batch without records has nothing to gather from.
    record_length = tf.gather(tf.concat([length, [0]], 0), record)
    valid &= (spans.start >= 0) & (spans.start < spans.end) & (spans.end <= record_length)
    start, end = tf.where(valid, spans.start, 0), tf.where(valid, spans.end, 1)
    return _ClampedSpans(valid, record, start, end, label, record_length)


def _tag_ids(tags: Sequence[int]) -> tf.Tensor:
    return tf.constant(np.asarray(tags, np.int32))


def _of_label(tags: Sequence[int], span: _ClampedSpans) -> tf.Tensor:
    """Returns int32 [M], the entry of each span's label in a column of the table."""
    return tf.gather(_tag_ids(tags), span.label)


def _row(chain: Chain, span: _ClampedSpans, time: tf.Tensor) -> tf.Tensor:
    """Returns int32 [M], the row of the chain's emissions at a time of each span's record, or the last one."""
    steps = chain.positions.steps
    inside = (time < span.record_length) & span.valid
    return tf.where(inside, span.record * steps + time, tf.size(chain.positions.length) * steps)


def _log_messages_around(
    messages: Messages, span: _ClampedSpans, first: tf.Tensor, log: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gathers the logs of the messages that a span needs.

    Args:
        messages: messages of the chain.
        span: the spans.
        first: int32 [M], the tag at the start of each span.
        log: from the values of the messages to their logs.

    Returns:
        The forward messages float64 [M] of `first` at the start of each span, the backward messages [M, K] at the
        position after it, any value if that is not in the record, and the log-partition [M] of its record.
    """
    start = tf.stack([span.start, tf.zeros_like(span.start), span.record], 1)
    end = tf.stack([tf.maximum(span.record_length - 1 - span.end, 0), tf.ones_like(span.end), span.record], 1)
    before = log(tf.gather_nd(messages.values, tf.concat([start, first[:, tf.newaxis]], 1)))
    before += tf.gather_nd(messages.log_scale, start)
    after = log(tf.gather_nd(messages.values, end)) + tf.gather_nd(messages.log_scale, end)[:, tf.newaxis]
    log_partition = tf.gather(messages.log_partition, span.record)
    return before, after, log_partition


def _cumulative_inner(chain: Chain, middle: tf.Tensor) -> tf.Tensor:
    """Returns the sums of the inner tags' emissions before each position.

    Args:
        chain: the potentials.
        middle: int32 [L], the inner tag of each label.

    Returns:
        float64 [B, T + 2, L].
    """
    emissions = tf.gather(tf.gather(chain.emissions, middle, axis=-1), chain.positions.in_order)
    return tf.pad(tf.cumsum(emissions, 1), [[0, 0], [1, 1], [0, 0]])
