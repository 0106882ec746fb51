"""The steps of the training input, each a pure function from data set to data set, and their way to the replicas."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.training.examples import Examples


def worker_shard(context: tf.distribute.InputContext) -> dict[str, int]:
    """Returns the replicas of this worker, as arguments of `shard_batches`; all workers have the same number."""
    replicas = context.num_replicas_in_sync
    count = replicas // context.num_input_pipelines
    return {"replicas": replicas, "first": context.input_pipeline_id * count, "count": count}


class DistributedBatches:
    """The batches of a data set, with the part of each replica on its device.

    The distributed data set of a strategy would autotune its part on each device, whatever the options say. The end of
    an epoch would then wait for the thread of the tuner, which sleeps for up to a minute.

    Args:
        strategy: strategy of the run.
        make: returns the data set, given the arguments `replicas`, `first` and `count` of `shard_batches`.

    Attributes:
        element_spec: specification of a batch.
    """

    def __init__(self, strategy: tf.distribute.Strategy, make: Callable[..., tf.data.Dataset]) -> None:
        def make_share(context: tf.distribute.InputContext) -> tf.data.Dataset:
            self._share = make(**worker_shard(context))
            return self._share

        self._strategy = strategy
        self.element_spec = strategy.distribute_datasets_from_function(make_share).element_spec

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self._share)
        while True:
            try:
                batch = self._strategy.experimental_distribute_values_from_function(lambda _: next(rows))
            except StopIteration:
                return
            yield batch


def shard_batches(batches: Sequence[np.ndarray], *, replicas: int, first: int, count: int) -> tf.data.Dataset:
    """Returns the window indices of each replica's part of each batch, batch by batch, replica by replica.

    Args:
        batches: window indices of each step, all replicas together.
        replicas: number of replicas of the whole run.
        first: index of the first replica of this worker.
        count: number of replicas of this worker.

    Returns:
        Elements `(indices int64 [n], global_size int64)`; a part is empty if the batch has fewer windows than replicas.
    """
    rows = [
        (batch[replica::replicas], len(batch)) for batch in batches for replica in range(first, first + count)
    ]
    flat = np.concatenate([row for row, _ in rows] or [np.zeros(0, np.int64)]).astype(np.int64)
    ragged = tf.RaggedTensor.from_row_lengths(flat, np.array([len(row) for row, _ in rows], np.int64))
    sizes = np.array([size for _, size in rows], np.int64)
    # A part without windows still has one row, of length 0, because not all kernels accept an empty batch.
    return tf.data.Dataset.from_tensor_slices((ragged, sizes))


def parse(dataset: tf.data.Dataset, examples: Examples) -> tf.data.Dataset:
    """Maps window indices to windows.

    Returns:
        Elements `(token_ids, tag_ids)` ragged int32 [n, (t)], the batch's global size, and, if the examples have
        targets, ragged float16 [n, (t), K].
    """
    token_ids = tf.constant(examples.token_ids)
    tag_ids = tf.constant(examples.tag_ids)
    targets = [] if examples.targets is None else [tf.constant(examples.targets)]
    offsets = tf.constant(examples.offsets)

    @tf.autograph.experimental.do_not_convert
    def gather(indices: tf.Tensor, size: tf.Tensor):
        starts = tf.gather(offsets, indices)
        limits = tf.gather(offsets, indices + 1)
        places = tf.ragged.range(starts, limits)
        return (
            tf.gather(token_ids, places),
            tf.gather(tag_ids, places),
            size,
            *(tf.gather(values, places) for values in targets),
        )

    return dataset.map(gather, num_parallel_calls=1, deterministic=True)


def pad(dataset: tf.data.Dataset, pad_id: int) -> tf.data.Dataset:
    """Converts ragged windows to dense ones; a part without windows becomes one row of length 0.

    Returns:
        Elements `token_ids int32 [B, T], tag_ids int32 [B, T], length int32 [B], global_size float32`, and
        `targets float16 [B, T, K]` if the examples have targets.
    """

    @tf.autograph.experimental.do_not_convert
    def to_dense(tokens: tf.RaggedTensor, tags: tf.RaggedTensor, size: tf.Tensor, *targets: tf.RaggedTensor):
        shape, length = dense_shape(tokens)
        return (
            tokens.to_tensor(pad_id, shape=shape),
            tags.to_tensor(0, shape=shape),
            length,
            tf.cast(size, tf.float32),
            *(values.to_tensor(0, shape=tf.concat([shape, values.shape[2:]], 0)) for values in targets),
        )

    return dataset.map(to_dense, num_parallel_calls=1, deterministic=True)


def dense_shape(rows: tf.RaggedTensor, *, least: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the size of a replica's windows as a dense tensor; without a window, it has one row of length 0.

    Args:
        rows: [B, None].
        least: minimum number of columns.

    Returns:
        Numbers of rows and columns, int64 [2], and the length of each row, int32.
    """
    height = tf.maximum(rows.nrows(), 1)
    width = tf.maximum(rows.bounding_shape(axis=1, out_type=tf.int64), least)
    length = tf.pad(rows.row_lengths(), [[0, height - rows.nrows()]])
    return tf.stack([height, width]), tf.cast(length, tf.int32)


def training_dataset(
    examples: Examples, batches: Sequence[np.ndarray], *, pad_id: int, replicas: int, first: int, count: int
) -> tf.data.Dataset:
    """Returns the data set after all steps: shard, parse, pad, prefetch."""
    dataset = shard_batches(batches, replicas=replicas, first=first, count=count)
    return prefetch(pad(parse(dataset, examples), pad_id))


def prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Prepares a few batches in advance; the last step of every input."""
    options = tf.data.Options()
    # All parallelism is fixed, so there is nothing to tune. With the tuner, the end of an epoch would wait for its
    # thread, which sleeps for up to a minute.
    options.autotune.enabled = False
    return dataset.prefetch(4).with_options(options)
