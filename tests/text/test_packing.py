"""Greedy packing: every item once and in order, within the limits, and no batch could take one more item."""

from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.text.packing import map_by_length, pack_sorted

LENGTHS = st.lists(st.integers(0, 300), max_size=60).map(sorted)


@given(lengths=LENGTHS, budget=st.integers(0, 3000), max_items=st.integers(1, 12))
def test_batches_partition_the_items_and_are_as_large_as_the_limits_allow(lengths, budget, max_items):
    batches = list(pack_sorted(lengths, budget=budget, max_items=max_items))
    assert [i for batch in batches for i in batch] == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_items
        assert len(batch) == 1 or len(batch) * lengths[batch[-1]] <= budget
        following = batch.stop
        if following < len(lengths) and len(batch) < max_items:
            assert (len(batch) + 1) * lengths[following] > budget


@given(lengths=LENGTHS, max_items=st.integers(1, 12))
def test_without_a_budget_only_the_number_of_items_counts(lengths, max_items):
    sizes = [len(batch) for batch in pack_sorted(lengths, max_items=max_items)]
    whole, rest = divmod(len(lengths), max_items)
    assert sizes == [max_items] * whole + [rest] * bool(rest)


@given(lengths=LENGTHS)
def test_without_any_limit_there_is_one_batch(lengths):
    assert list(pack_sorted(lengths)) == [range(len(lengths))] * bool(lengths)


def test_an_item_over_the_budget_is_alone():
    assert list(pack_sorted([2, 3, 9, 9], budget=6)) == [range(2), range(2, 3), range(3, 4)]


@given(lengths=st.lists(st.integers(0, 300), max_size=60), budget=st.integers(0, 3000))
def test_results_come_in_the_order_of_the_items(lengths, budget):
    batches, counted = [], []

    def double(members):
        batches.append([lengths[i] for i in members])
        return [2 * lengths[i] for i in members]

    found = map_by_length(double, lengths, budget=budget, on_progress=counted.append)
    assert found == [2 * length for length in lengths]
    assert [length for batch in batches for length in batch] == sorted(lengths)
    assert counted == list(map(len, batches))
    assert all(len(batch) == 1 or len(batch) * batch[-1] <= budget for batch in batches)
