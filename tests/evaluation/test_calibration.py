"""Reliability and thresholds by hand, and against a naive count."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.calibration import (
    best_threshold,
    expected_calibration_error,
    probabilities,
    reliability,
    threshold_scores,
)
from emr_ner_tf.evaluation.errors import match_mentions

SCORES = np.array([0.95, 0.9, 0.9, 0.55, 0.2, 1.0])
CORRECT = np.array([True, True, False, True, False, True])


def test_reliability_by_hand():
    bins = {each.low: each for each in reliability(SCORES, CORRECT)}
    assert len(bins) == 10
    assert [each.predictions for each in bins.values()] == [0, 0, 1, 0, 0, 1, 0, 0, 0, 4]
    last = bins[0.9]
    assert last.probability == pytest.approx((0.95 + 0.9 + 0.9 + 1) / 4)
    assert last.correct == pytest.approx(3 / 4)
    expected = (0.2 * 1 + 0.45 * 1 + abs(3.75 / 4 - 0.75) * 4) / 6
    assert expected_calibration_error(list(bins.values())) == pytest.approx(expected)


def test_probabilities_that_are_right_have_no_error():
    scores = np.repeat([0.25, 0.75], 4)
    correct = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    assert expected_calibration_error(reliability(scores, correct)) == 0
    assert expected_calibration_error([]) == 0


def test_thresholds_by_hand():
    found = threshold_scores(SCORES, CORRECT, support=5)
    assert found.threshold.tolist() == [0.2, 0.55, 0.9, 0.95, 1.0]
    assert found.precision == pytest.approx([4 / 6, 4 / 5, 3 / 4, 1, 1])
    assert found.recall == pytest.approx([4 / 5, 4 / 5, 3 / 5, 2 / 5, 1 / 5])
    assert found.f1 == pytest.approx([8 / 11, 8 / 10, 6 / 9, 4 / 7, 2 / 6])
    assert found.best == 1


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.99, 1.0]), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 5),
)
def test_thresholds_against_a_naive_count(drawn, missed):
    scores, correct = np.array([s for s, _ in drawn]), np.array([c for _, c in drawn])
    support = int(correct.sum()) + missed
    found = threshold_scores(scores, correct, support)
    assert found.threshold.tolist() == sorted(set(scores.tolist()))
    for threshold, precision, recall, f1 in zip(*found, strict=True):
        kept = [right for score, right in drawn if score >= threshold]
        assert precision == pytest.approx(sum(kept) / len(kept))
        assert recall == pytest.approx(sum(kept) / support if support else 0)
        assert f1 == pytest.approx(2 * sum(kept) / (len(kept) + support))
    assert found.f1[found.best] == max(found.f1)


def test_probabilities_of_matchings():
    text = "头痛头痛"
    gold = Document("1", text, [Entity(0, 2, "症状"), Entity(2, 4, "症状")])
    found = Document("1", text, [Entity(0, 2, "症状", 0.9), Entity(2, 3, "症状", 0.4)])
    scores, correct = probabilities([match_mentions(gold, found)])
    assert scores.tolist() == [0.9, 0.4]
    assert correct.tolist() == [True, False]
    # One prediction without a probability, such as one of a dictionary, and there is nothing to say.
    without = Document("1", text, [Entity(0, 2, "症状", 0.9), Entity(2, 3, "症状")])
    assert probabilities([match_mentions(gold, without)]) is None
    assert probabilities([match_mentions(gold, Document("1", text))]) is None


def test_the_best_threshold_is_between_two_predictions():
    text = "头痛发热咳嗽"
    gold = [Document("1", text, [Entity(0, 2, "症状"), Entity(4, 6, "症状")])]
    found = [
        Document("1", text, [Entity(0, 2, "症状", 0.9), Entity(2, 4, "症状", 0.4), Entity(4, 6, "症状", 0.5)])
    ]
    best = best_threshold(gold, found)
    assert best is not None
    assert (best.threshold, best.f1, best.f1_of_all) == (pytest.approx(0.45), 1.0, pytest.approx(0.8))
    # Where everything is right, everything is kept.
    assert best_threshold(gold[:1], [Document("1", text, [Entity(0, 2, "症状", 0.3)])]).threshold == 0
    assert best_threshold(gold, [Document("1", text)]) is None


def test_the_best_threshold_is_short():
    # 0.5 is shorter than 0.45, and so near to one of the two that it is not between them.
    assert threshold_scores(np.array([0.4, 0.5]), np.array([False, True]), 1).best_threshold == 0.45
    # Rounded to four digits, it would be 1 and keep nothing.
    found = threshold_scores(np.array([0.99993, 0.99995, 0.99999]), np.array([False, True, True]), 2)
    assert found.best_threshold == 0.99994


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=12))
@example([(float(np.nextafter(np.float32(1), np.float32(0))), False), (1.0, True)])
@example([(float(np.nextafter(np.float32(0.5), np.float32(0))), False), (0.5, True)])
@example([(0.0, False), (float(np.nextafter(np.float32(0), np.float32(1))), True)])
def test_the_best_threshold_as_it_is_printed_keeps_what_scores_best(drawn):
    scores, correct = np.array([s for s, _ in drawn]), np.array([c for _, c in drawn])
    found = threshold_scores(scores, correct, int(correct.sum()))
    printed = str(found.best_threshold)
    expected = (scores >= found.threshold[found.best]).tolist()
    assert (scores >= float(printed)).tolist() == expected
    assert (scores.astype(np.float32) >= np.float32(printed)).tolist() == expected
