"""The input of ELMo's language model: windows of text between [CLS] and [SEP]."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.pretraining.corpus import Text
from emr_ner_tf.training.input_pipeline import dense_shape, prefetch, shard_batches


def window_bounds(text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Returns the start and the end of each window in `text.token_ids`, both int64 [N]."""
    windows = text.windows
    return windows.piece_starts[windows.first], windows.piece_starts[windows.end]


def language_model_dataset(
    text: Text, batches: Sequence[np.ndarray], *, replicas: int, first: int, count: int
) -> tf.data.Dataset:
    """Returns each replica's part of each batch, batch by batch, replica by replica.

    Args:
        text: the passages.
        batches: window indices of each step, all replicas together.
        replicas: number of replicas of the whole run.
        first: index of the first replica of this worker.
        count: number of replicas of this worker.

    Returns:
        Elements `token_ids int32 [B, T], length int32 [B], predictions float32`: `length` counts [CLS] and [SEP], and
        `predictions` counts those of one direction over all replicas. A part without a window is one row of length 0.
    """
    vocabulary = text.vocabulary
    starts, ends = window_bounds(text)
    predictions = np.array([(ends[batch] - starts[batch] + 1).sum() for batch in batches], np.float32)
    tokens, starts, ends = tf.constant(text.token_ids), tf.constant(starts), tf.constant(ends)

    @tf.autograph.experimental.do_not_convert
    def to_rows(share: tuple[tf.RaggedTensor, tf.Tensor], predictions: tf.Tensor):
        indices, _ = share
        places = tf.ragged.range(tf.gather(starts, indices), tf.gather(ends, indices))
        one = tf.ones_like(indices, tf.int32)[:, tf.newaxis]
        rows = tf.concat(
            [one * vocabulary.cls_id, tf.gather(tokens, places), one * vocabulary.sep_id], axis=1
        )
        shape, length = dense_shape(rows, least=2)
        return rows.to_tensor(vocabulary.pad_id, shape=shape), length, predictions

    of_share = tf.data.Dataset.from_tensor_slices(np.repeat(predictions, count))
    dataset = shard_batches(batches, replicas=replicas, first=first, count=count)
    dataset = tf.data.Dataset.zip((dataset, of_share))
    return prefetch(dataset.map(to_rows, num_parallel_calls=1, deterministic=True))
