"""The input of masked characters and sentence pairs, as steps from data set to data set."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.models.tagger import SpecialTokens
from emr_ner_tf.pretraining.masking import NO_LABEL, Masked
from emr_ner_tf.pretraining.sentence_pairs import Pairs
from emr_ner_tf.training.input_pipeline import dense_shape, prefetch, shard_batches


def pretraining_dataset(
    masked: Masked,
    pairs: Pairs,
    batches: Sequence[np.ndarray],
    special: SpecialTokens,
    *,
    replicas: int,
    first: int,
    count: int,
) -> tf.data.Dataset:
    """Returns the batches of an epoch in their order.

    Args:
        masked: masked text of the epoch.
        pairs: windows of the epoch.
        batches: window indices of each step, all replicas together.
        special: ids of the special tokens.
        replicas: number of replicas of the whole run.
        first: index of the first replica of this worker.
        count: number of replicas of this worker.

    Returns:
        For each step and each replica of this worker `token_ids int32 [B, T], segment_ids int32 [B, T],
        labels int32 [B, T], length int32 [B], other int32 [B], masked float32, paired float32`: `labels` is -1 where
        nothing is to be predicted, `length` counts special tokens, `other` is as in `Pairs`, and the last two count
        the labels and the pairs of the step over all replicas. A part without a window is one row of length 0.
    """
    labelled = np.concatenate([[0], np.cumsum(masked.labels != NO_LABEL)])
    of_window = (
        labelled[pairs.a_end] - labelled[pairs.a_start] + labelled[pairs.b_end] - labelled[pairs.b_start]
    )
    totals = np.array(
        [(of_window[batch].sum(), (pairs.other[batch] >= 0).sum()) for batch in batches], np.float32
    ).reshape(-1, 2)
    dataset = tf.data.Dataset.zip(
        (
            shard_batches(batches, replicas=replicas, first=first, count=count),
            tf.data.Dataset.from_tensor_slices(np.repeat(totals, count, axis=0)),
        )
    )
    return prefetch(rows(dataset, masked, pairs, special))


def rows(dataset: tf.data.Dataset, masked: Masked, pairs: Pairs, special: SpecialTokens) -> tf.data.Dataset:
    """Maps elements `((indices, size), totals)` to padded rows, the elements of `pretraining_dataset`."""
    tokens, labels = tf.constant(masked.token_ids), tf.constant(masked.labels)
    a_start, a_end, b_start, b_end, others = map(tf.constant, pairs)

    @tf.autograph.experimental.do_not_convert
    def to_rows(share: tuple[tf.Tensor, tf.Tensor], totals: tf.Tensor):
        indices, _ = share
        first = tf.ragged.range(tf.gather(a_start, indices), tf.gather(a_end, indices))
        second = tf.ragged.range(tf.gather(b_start, indices), tf.gather(b_end, indices))
        other = tf.gather(others, indices)
        last = tf.cast(other >= 0, tf.int64)

        def joined(values: tf.Tensor, begin: int, end: int) -> tf.RaggedTensor:
            one = tf.ones_like(indices, tf.int32)[:, tf.newaxis]
            ends = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(last)], end), last)
            return tf.concat(
                [one * begin, tf.gather(values, first), one * end, tf.gather(values, second), ends], axis=1
            )

        token_rows = joined(tokens, special.cls, special.sep)
        shape, length = dense_shape(token_rows)
        missing = shape[0] - token_rows.nrows()
        begin_second = tf.pad(tf.cast(first.row_lengths(), tf.int32) + 2, [[0, missing]])
        place = tf.range(tf.cast(shape[1], tf.int32))[tf.newaxis, :]
        segment = (place >= begin_second[:, tf.newaxis]) & (place < length[:, tf.newaxis])
        return (
            token_rows.to_tensor(special.pad, shape=shape),
            tf.cast(segment, tf.int32),
            joined(labels, NO_LABEL, NO_LABEL).to_tensor(NO_LABEL, shape=shape),
            length,
            tf.pad(other, [[0, missing]], constant_values=-1),
            totals[0],
            totals[1],
        )

    return dataset.map(to_rows, num_parallel_calls=1, deterministic=True)
