"""The epoch's plan: every window once, the same for the same arguments, within its budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.training.batching import plan_epoch

_LENGTHS = st.lists(st.integers(1, 254), min_size=1, max_size=300)


@given(lengths=_LENGTHS, seed=st.integers(0, 99), epoch=st.integers(0, 9), batch_size=st.integers(1, 40))
def test_every_window_once(lengths, seed, epoch, batch_size):
    plan = plan_epoch(np.array(lengths), seed=seed, epoch=epoch, batch_size=batch_size)
    assert sorted(np.concatenate(plan.batches).tolist()) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in plan.batches)


@given(lengths=_LENGTHS, budget=st.integers(1, 5000))
def test_token_budget(lengths, budget):
    lengths = np.array(lengths)
    plan = plan_epoch(lengths, seed=1, epoch=0, batch_size=10, token_budget=budget)
    assert sorted(np.concatenate(plan.batches).tolist()) == list(range(len(lengths)))
    for batch in plan.batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_function_of_seed_and_epoch():
    lengths = np.arange(1, 200)

    def flat(seed, epoch):
        plan = plan_epoch(lengths, seed=seed, epoch=epoch, batch_size=7)
        return np.concatenate(plan.batches).tolist()

    assert flat(1, 0) == flat(1, 0)
    assert flat(1, 0) != flat(1, 1)
    assert flat(1, 0) != flat(2, 0)


@given(lengths=_LENGTHS, always=st.integers(0, 300), drawn=st.integers(0, 300), epoch=st.integers(0, 9))
def test_windows_that_are_drawn(lengths, always, drawn, epoch):
    lengths, always = np.array(lengths), min(always, len(lengths))
    plan = plan_epoch(lengths, seed=1, epoch=epoch, batch_size=4, always=always, drawn=drawn)
    found = sorted(index for batch in plan.batches for index in batch.tolist())
    assert found[:always] == list(range(always))
    assert len(found) == len(set(found)) == always + min(drawn, len(lengths) - always)


def test_other_windows_are_drawn_in_each_epoch():
    def drawn(epoch):
        plan = plan_epoch(np.full(100, 9), seed=1, epoch=epoch, batch_size=8, always=10, drawn=30)
        return {index for batch in plan.batches for index in batch.tolist()} - set(range(10))

    assert drawn(0) == drawn(0)
    assert len(drawn(0) & drawn(1)) < 30


def test_padding_share_is_measured():
    lengths = np.array([10, 10, 4, 4])
    plan = plan_epoch(lengths, seed=1, epoch=0, batch_size=4)
    assert plan.padding_share == pytest.approx(1 - 28 / 40)
    assert plan_epoch(lengths, seed=1, epoch=0, batch_size=2).padding_share == 0
