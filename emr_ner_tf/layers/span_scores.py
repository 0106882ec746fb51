"""The probability under a CRF that a span is a mention: the `score` of every entity."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers.forward_backward import FORBIDDEN, Chain, Potentials, log_messages, make_chain


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
    tags, its last tag, and then any tag but the one that would extend the mention; the tags elsewhere are free.

    In a linear chain the tags after position t, given the tag at t, do not depend on the tags before t. The sum
    therefore factors into the marginal of the first tag and one conditional probability for each later position:

        P(span) = P(first) * P(second | first) * P(inner | inner) ... * P(last | inner) * P(not extended | last)

    The product over inner positions is a difference of two cumulative sums of logs over the record, so that the cost of
    a span does not depend on its length.

    Args:
        potentials: of the records.
        spans: M spans. A span that is empty, or does not lie within its record, has log-probability `FORBIDDEN`.
        table: the K tags.

    Returns:
        float32 [M].
    """
    chain = make_chain(potentials.as_float32())
    forward, backward = log_messages(chain)
    span = _clamp(spans, chain.length, len(table.labels))
    one = span.end - span.start == 1
    two = span.end - span.start == 2
    zero = tf.zeros([], tf.float64)

    middle, follower = _tag_ids(table.middle), _tag_ids(table.follower)
    first = tf.where(one, _of_label(table.single, span), _of_label(table.first, span))
    inner, last = tf.gather(middle, span.label), _of_label(table.last, span)
    second = tf.where(two, last, inner)

    def continuation(time: tf.Tensor, tag: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
        """Returns log P(`following` at `time` | `tag` at `time` - 1)."""
        suffixes_after_tag = _at(backward, time - 1, span, tag) - _at(chain.emissions, time - 1, span, tag)
        transition = tf.gather_nd(chain.transitions, tf.stack([tag, following], 1))
        return transition + _at(backward, time, span, following) - suffixes_after_tag

    # The tag at the start, the second tag, the inner tags up to the last but one, the last tag, and the end.
    result = _at(tf.nn.log_softmax(forward + backward - chain.emissions), span.start, span, first)
    result += tf.where(one, zero, continuation(span.start + 1, first, second))
    cumulative = _cumulative_inner(chain.emissions, backward, chain.transitions, middle)
    between = _at(cumulative, span.end - 2, span, span.label) - _at(
        cumulative, span.start + 1, span, span.label
    )
    result += tf.where(one | two, zero, between + continuation(span.end - 1, inner, last))
    final_tag = tf.where(one, first, last)
    extending = tf.gather(follower, span.label)
    not_extended = _log_not_extended(chain, backward, span, final_tag, extending)
    result += tf.where((extending >= 0) & (span.end < span.record_length), not_extended, zero)

    # Rounding may exceed log 1 by a little.
    result = tf.where(span.valid, tf.minimum(result, zero), tf.constant(FORBIDDEN, tf.float64))
    return tf.cast(result, tf.float32)


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


def _at(values: tf.Tensor, time: tf.Tensor, span: _ClampedSpans, column: tf.Tensor) -> tf.Tensor:
    """Returns [M] entries of [T, B, ...] values at a time and column of each span's record; time is clipped."""
    time = tf.clip_by_value(time, 0, tf.shape(values)[0] - 1)
    return tf.gather_nd(values, tf.stack([time, span.record, column], 1))


def _cumulative_inner(
    emissions: tf.Tensor, backward: tf.Tensor, transitions: tf.Tensor, middle: tf.Tensor
) -> tf.Tensor:
    """Returns the cumulative sums over time of log P(inner tag of a label at t | the same tag at t - 1).

    Args:
        emissions: float64 [T, B, K].
        backward: float64 [T, B, K], the backward messages.
        transitions: float64 [K, K].
        middle: int32 [L], the inner tag of each label.

    Returns:
        float64 [T, B, L]; 0 at the first position.
    """
    transition = tf.gather_nd(transitions, tf.stack([middle, middle], 1))
    messages = tf.gather(backward, middle, axis=-1)
    suffixes_after_tag = (messages - tf.gather(emissions, middle, axis=-1))[:-1]
    steps = transition + messages[1:] - suffixes_after_tag
    return tf.concat([tf.zeros_like(messages[:1]), tf.cumsum(steps, 0)], 0)


def _log_not_extended(
    chain: Chain, backward: tf.Tensor, span: _ClampedSpans, final_tag: tf.Tensor, extending: tf.Tensor
) -> tf.Tensor:
    """Returns log P(the tag after the span does not extend the mention | the span's final tag), float64 [M].

    Args:
        chain: the potentials.
        backward: float64 [T, B, K], the backward messages.
        span: the spans.
        final_tag: int32 [M], the tag at the last position of each span.
        extending: int32 [M], the tag that would extend the mention.
    """
    others = tf.range(tf.shape(chain.transitions)[0]) != extending[:, tf.newaxis]
    time = tf.minimum(span.end, tf.shape(backward)[0] - 1)
    scores = tf.gather(chain.transitions, final_tag) + tf.gather_nd(
        backward, tf.stack([time, span.record], 1)
    )
    scores = tf.where(others, scores, tf.constant(-np.inf, tf.float64))
    last = span.end - 1
    return (
        tf.reduce_logsumexp(scores, -1)
        - _at(backward, last, span, final_tag)
        + _at(chain.emissions, last, span, final_tag)
    )
