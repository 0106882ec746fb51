"""The input steps on literals."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.training.examples import Examples
from emr_ner_tf.training.input_pipeline import DistributedBatches, shard_batches, training_dataset

_EXAMPLES = Examples(
    token_ids=np.array([11, 12, 13, 21, 31, 32], np.int32),
    tag_ids=np.array([1, 2, 2, 0, 3, 4], np.int32),
    offsets=np.array([0, 3, 4, 6], np.int64),
)


def test_shards_of_two_replicas():
    batches = [np.array([2, 0, 1]), np.array([1])]
    rows = [(r.numpy().tolist(), int(n)) for r, n in shard_batches(batches, replicas=2, first=0, count=2)]
    assert rows == [([2, 1], 3), ([0], 3), ([1], 1), ([], 1)]


def test_shards_of_the_second_worker():
    batches = [np.array([2, 0, 1]), np.array([1])]
    rows = [(r.numpy().tolist(), int(n)) for r, n in shard_batches(batches, replicas=2, first=1, count=1)]
    assert rows == [([0], 3), ([], 1)]


def test_windows_are_padded_and_an_empty_shard_has_length_0():
    dataset = training_dataset(
        _EXAMPLES, [np.array([0, 1]), np.array([2])], pad_id=9, replicas=2, first=0, count=2
    )
    batches = [[value.numpy().tolist() for value in batch] for batch in dataset]
    assert batches == [
        [[[11, 12, 13]], [[1, 2, 2]], [3], 2.0],
        [[[21]], [[0]], [1], 2.0],
        [[[31, 32]], [[3, 4]], [2], 1.0],
        [[[9]], [[0]], [0], 1.0],
    ]


def test_one_replica_pads_to_the_longest():
    dataset = training_dataset(_EXAMPLES, [np.array([1, 0])], pad_id=9, replicas=1, first=0, count=1)
    tokens, tags, length, size = next(iter(dataset))
    assert tokens.numpy().tolist() == [[21, 9, 9], [11, 12, 13]]
    assert tags.numpy().tolist() == [[0, 0, 0], [1, 2, 2]]
    assert length.numpy().tolist() == [1, 3]
    assert size.numpy() == 2.0


def test_targets_are_padded_with_the_windows():
    targets = np.arange(12, dtype=np.float16).reshape(6, 2)
    examples = dataclasses.replace(_EXAMPLES, targets=targets)
    dataset = training_dataset(examples, [np.array([1, 2])], pad_id=9, replicas=2, first=0, count=2)
    found = [batch[-1].numpy().tolist() for batch in dataset]
    assert found == [[[[6, 7]]], [[[8, 9], [10, 11]]]]
    (batch,) = training_dataset(examples, [np.array([0, 1])], pad_id=9, replicas=1, first=0, count=1)
    assert batch[-1].numpy().tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [0, 0], [0, 0]]]


@pytest.mark.parametrize(
    "strategy", [tf.distribute.OneDeviceStrategy("/cpu:0"), tf.distribute.MirroredStrategy(["/cpu:0"])]
)
def test_batches_are_those_of_the_strategys_own_data_set(strategy):
    make = functools.partial(
        training_dataset, _EXAMPLES, [np.array([0, 1]), np.array([2]), np.array([2, 0])], pad_id=9
    )
    own = strategy.distribute_datasets_from_function(lambda _: make(replicas=1, first=0, count=1))
    batches = DistributedBatches(strategy, make)
    assert batches.element_spec == own.element_spec
    # Twice: each iteration begins anew.
    for _ in range(2):
        found = [tf.nest.map_structure(strategy.experimental_local_results, batch) for batch in batches]
        expected = [tf.nest.map_structure(strategy.experimental_local_results, batch) for batch in own]
        assert len(found) == 3
        for a, b in zip(found, expected, strict=True):
            for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
                np.testing.assert_array_equal(x, y)


def test_batches_end_without_waiting_for_a_tuner(monkeypatch):
    """A data set that is tuned waits for the tuner when it ends; none of those that are iterated is."""
    made = []
    iterate = tf.data.Dataset.__iter__
    monkeypatch.setattr(tf.data.Dataset, "__iter__", lambda dataset: made.append(dataset) or iterate(dataset))
    batches = DistributedBatches(
        tf.distribute.OneDeviceStrategy("/cpu:0"),
        functools.partial(training_dataset, _EXAMPLES, [np.array([0, 1])], pad_id=9),
    )
    assert len(list(batches)) == 1
    assert [dataset.options().autotune.enabled for dataset in made] == [False]
