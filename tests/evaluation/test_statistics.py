"""Means over seeds, intervals and the paired bootstrap, against enumeration of every resample."""

import itertools
import tracemalloc

import numpy as np
import pytest

from emr_ner_tf.evaluation.statistics import (
    bootstrap_intervals,
    f1,
    paired_bootstrap,
    precision_recall_f1,
    spread,
)


def _micro_f1(records):
    tp, fp, fn = (sum(record[k] for record in records) for k in range(3))
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def test_spread():
    assert spread([0.5]) == (0.5, None)
    mean, sd = spread([0.8, 0.9, 1.0])
    assert mean == pytest.approx(0.9)
    assert sd == pytest.approx(0.1)


def test_f1():
    assert f1(np.array([[3, 1, 2], [0, 0, 0], [0, 4, 0]])) == pytest.approx([6 / 9, 0.0, 0.0])


def test_precision_recall_f1():
    found = precision_recall_f1(np.array([[3, 1, 2], [0, 0, 0], [0, 4, 0]]))
    assert found[0] == pytest.approx([3 / 4, 3 / 5, 6 / 9])
    assert not found[1:].any()


def test_intervals_against_every_resample():
    records = [[(5, 1, 0), (1, 1, 1)], [(2, 2, 1), (0, 0, 0)], [(0, 1, 4), (2, 0, 1)], [(3, 0, 1), (0, 2, 0)]]
    found = bootstrap_intervals(np.array(records), resamples=40_000)
    assert found.shape == (2, 3, 2)
    for group in (0, 1):
        drawn = [
            precision_recall_f1(np.sum([records[i][group] for i in picks], axis=0))
            for picks in itertools.product(range(4), repeat=4)
        ]
        for score, percents in itertools.product(range(3), ((0, 2.5), (1, 97.5))):
            end, percent = percents
            near = np.percentile(np.array(drawn)[:, score], [percent - 0.7, percent + 0.7])
            assert near[0] - 1e-9 <= found[group, score, end] <= near[1] + 1e-9
    assert (
        bootstrap_intervals(np.array(records), resamples=100)
        == bootstrap_intervals(np.array(records), resamples=100)
    ).all()


def test_against_every_resample():
    one = [[(5, 1, 0), (2, 2, 1), (0, 1, 4), (3, 0, 1)], [(4, 1, 1), (3, 2, 0), (1, 1, 3), (2, 0, 2)]]
    other = [[(4, 2, 1), (3, 1, 0), (0, 0, 4), (2, 1, 2)]]
    drawn = []
    for picks in itertools.product(range(4), repeat=4):
        means = [np.mean([_micro_f1([seed[i] for i in picks]) for seed in system]) for system in (one, other)]
        drawn.append(means[0] - means[1])
    drawn = np.array(drawn)
    side = min(np.mean(drawn <= 1e-12), np.mean(drawn >= -1e-12))
    found = paired_bootstrap(np.array(one), np.array(other), resamples=40_000)
    assert found.difference == pytest.approx(
        (_micro_f1(one[0]) + _micro_f1(one[1])) / 2 - _micro_f1(other[0]), abs=1e-12
    )
    assert found.p == pytest.approx(2 * side, abs=0.02)
    # A percentile of few values may fall on either neighbour.
    for value, percent in ((found.low, 2.5), (found.high, 97.5)):
        near = np.percentile(drawn, [percent - 0.7, percent + 0.7])
        assert near[0] - 1e-9 <= value <= near[1] + 1e-9


def test_no_difference_and_a_plain_one():
    counts = np.array([[(3, 1, 1), (2, 0, 1), (4, 2, 2)]] * 2)
    assert paired_bootstrap(counts, counts, resamples=200) == (0.0, 0.0, 0.0, 1.0)
    better = np.array([[(10, 0, 0)] * 30])
    worse = np.array([[(6, 2, 4)] * 30])
    found = paired_bootstrap(better, worse, resamples=999)
    assert found.low == pytest.approx(found.difference)
    assert found.low > 0
    assert found.p == pytest.approx(2 / 1000)


@pytest.mark.parametrize(("records", "p"), [(1, 1.0), (2, 0.5), (5, 1 / 16), (60, 2 / 1000)])
def test_few_records_decide_nothing(records, p):
    better, worse = (np.array([[counts] * records]) for counts in ((10, 0, 0), (6, 2, 4)))
    assert paired_bootstrap(better, worse, resamples=999).p == pytest.approx(p)


def test_pairing_matters():
    # One mention more in every record, of records that differ much: unpaired, the spread of records would drown it.
    sizes = np.random.default_rng(3).integers(5, 60, size=80)
    other = np.stack([sizes, sizes // 3, sizes], axis=1)
    one = other + np.array([1, 0, -1])
    found = paired_bootstrap(one[np.newaxis], other[np.newaxis])
    assert found.low > 0
    assert found.p < 0.01
    assert paired_bootstrap(one[np.newaxis], other[np.newaxis]) == found


def test_many_records_are_drawn_in_parts_with_the_same_results():
    records, resamples = 12_000, 800
    random = np.random.default_rng(0)
    one, other = random.integers(0, 4, (3, records, 3)), random.integers(0, 5, (2, records, 3))
    tracemalloc.start()
    try:
        found = paired_bootstrap(one, other, resamples=resamples, seed=5)
        intervals = bootstrap_intervals(np.moveaxis(one, 0, 1), resamples=resamples, seed=5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All numbers at once.
    times = np.random.Generator(np.random.Philox(5)).multinomial(
        records, np.full(records, 1 / records), size=resamples
    )
    assert peak < 0.5 * times.nbytes
    drawn = f1(times @ one).mean(axis=0) - f1(times @ other).mean(axis=0)
    assert (found.low, found.high) == tuple(np.percentile(drawn, [2.5, 97.5]))
    ends = np.percentile(precision_recall_f1(times @ one), [2.5, 97.5], axis=1)
    assert (intervals == np.moveaxis(ends, 0, -1)).all()
