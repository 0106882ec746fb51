"""Converts tags to mentions, and lists of mentions to dense outputs, in TensorFlow operations."""

from typing import NamedTuple

import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable

# `unicode_decode` accepts the 66 noncharacters of Unicode, as it should, but `unicode_encode` refuses them.
_NONCHARACTERS = (
    *range(0xFDD0, 0xFDF0),
    *(plane + low for plane in range(0, 0x110000, 0x10000) for low in (0xFFFE, 0xFFFF)),
)


class Spans(NamedTuple):
    """Mentions of all records, in the order of the records and, within a record, of their starts.

    Attributes:
        record: int32 [M], the row of the record.
        start: int32 [M], first character.
        end: int32 [M], one past the last character.
        label: int32 [M], index in `TagTable.labels`.
    """

    record: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    label: tf.Tensor


def spans_from_tags(tag_ids: tf.Tensor, length: tf.Tensor, table: TagTable) -> Spans:
    """Returns the mentions of tag sequences, valid or not: `TagTable.decode` of each row up to its length.

    Args:
        tag_ids: int32 [B, T].
        length: int32 [B].
        table: the tags.

    Returns:
        The mentions of all records.
    """
    time = tf.shape(tag_ids)[1]
    real = tf.sequence_mask(length, time)
    tag_ids = tf.where(real, tag_ids, 0)
    label = tf.gather(tf.constant(table.label_of), tag_ids)
    goes_on = (
        tf.gather(tf.constant(table.continues), tag_ids[:, :-1])
        & tf.gather(tf.constant(table.inside), tag_ids[:, 1:])
        & (label[:, :-1] == label[:, 1:])
        & real[:, 1:]
    )
    # A run of tags begins and ends where it does not continue. With T=0, nothing is padded.
    edge = tf.zeros([tf.shape(tag_ids)[0], tf.minimum(time, 1)], tf.bool)
    begins = tf.where(real & tf.logical_not(tf.concat([edge, goes_on], axis=1)))
    ends = tf.where(real & tf.logical_not(tf.concat([goes_on, edge], axis=1)))
    opened = tf.gather(tf.constant(table.opens), tf.gather_nd(tag_ids, begins))
    closed = tf.gather(tf.constant(table.closes), tf.gather_nd(tag_ids, ends))
    mention = opened & closed
    begins, ends = tf.boolean_mask(begins, mention), tf.boolean_mask(ends, mention)
    return Spans(
        record=tf.cast(begins[:, 0], tf.int32),
        start=tf.cast(begins[:, 1], tf.int32),
        end=tf.cast(ends[:, 1], tf.int32) + 1,
        label=tf.gather_nd(label, ends),
    )


def surface_forms(code_points: tf.Tensor, spans: Spans) -> tf.Tensor:
    """Returns the text of each mention.

    Args:
        code_points: int32 [B, T], from `characters.decode`.
        spans: mentions within the records.

    Returns:
        string [M], UTF-8; a malformed sequence of the text is U+FFFD.
    """
    ranges = tf.ragged.range(spans.start, spans.end)
    place = tf.range(tf.size(ranges.flat_values))
    # Not `value_rowids()`, which creates a mask of all mentions by the longest mention.
    mention = tf.searchsorted(tf.cast(ranges.row_splits, tf.int32), place, side="right") - 1
    offset = tf.gather(spans.record * tf.shape(code_points)[1], mention)
    codes = tf.gather(tf.reshape(code_points, [-1]), ranges.flat_values + offset)
    # Each character is encoded alone, without the assertions that `validate` would add to the graph.
    one_each = tf.RaggedTensor.from_row_splits(codes, tf.range(tf.size(codes) + 1), validate=False)
    characters = tf.strings.unicode_encode(one_each, "UTF-8", errors="replace")
    in_plane = (codes & 0xFFFE) == 0xFFFE
    in_block = (codes >= 0xFDD0) & (codes <= 0xFDEF)
    which = tf.where(in_plane, 32 + 2 * (codes // 0x10000) + codes % 2, tf.where(in_block, codes - 0xFDD0, 0))
    refused = tf.gather(tf.constant([chr(code).encode() for code in _NONCHARACTERS]), which)
    characters = tf.where(in_plane | in_block, refused, characters)
    return tf.strings.unsorted_segment_join(characters, mention, tf.size(spans.record))


def counts(spans: Spans, batch: tf.Tensor) -> tf.Tensor:
    """Returns the number of mentions in each of `batch` records, int32 [B]."""
    return tf.math.unsorted_segment_sum(tf.ones_like(spans.record), spans.record, batch)


def to_dense(values: tf.Tensor, spans: Spans, batch: tf.Tensor, default: int | float | str) -> tf.Tensor:
    """Arranges values of mentions by record.

    Args:
        values: [M], one value for each mention.
        spans: the mentions.
        batch: number of records, B.
        default: value of the padding.

    Returns:
        [B, E], where E is the largest number of mentions in a record, or 0 without mentions.
    """
    rows = tf.RaggedTensor.from_row_lengths(values, counts(spans, batch), validate=False)
    return rows.to_tensor(default_value=tf.cast(default, values.dtype))
