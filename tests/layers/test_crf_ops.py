"""The CRF's functions against the enumeration of every path (eq. 12-14), finite differences and tensorflow-addons."""

import warnings

import numpy as np
import pytest
from crf_cases import FORBIDDEN, brute_loss, cases, check, everything, log_sum, paths_of, random_case
from hypothesis import given, settings

from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import Potentials

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa


@settings(max_examples=60)
@given(cases())
def test_equals_the_enumeration_of_every_path(case):
    check(case)


@settings(max_examples=60)
@given(cases(forbid=True))
def test_forbidden_transitions_take_no_probability_and_are_not_decoded(case):
    out = check(case)
    for row, n in enumerate(case.length):
        _, scores = paths_of(case, row)
        if n and scores.max() > FORBIDDEN / 2:  # some path is allowed
            decoded = out["tag_ids"][row, :n]
            assert case.start[decoded[0]] != FORBIDDEN
            assert case.end[decoded[-1]] != FORBIDDEN
            assert (case.transitions[decoded[:-1], decoded[1:]] != FORBIDDEN).all()


@settings(max_examples=25)
@given(cases(forbid=True))
def test_gradient_is_expected_less_gold_counts(case):
    out = everything(*case)
    expected = [np.zeros(values.shape) for values in (case.emissions, case.transitions, case.start, case.end)]
    for row, n in enumerate(case.length):
        if n == 0:
            continue
        paths, scores = paths_of(case, row)
        gold = (paths == case.tag_ids[row, :n]).all(1)
        for path, share in zip(paths, (np.exp(scores - log_sum(scores)) - gold) * (row + 1), strict=True):
            np.add.at(expected[0], (row, np.arange(n), path), share)
            np.add.at(expected[1], (path[:-1], path[1:]), share)
            expected[2][path[0]] += share
            expected[3][path[-1]] += share
    for actual, wanted in zip(out["gradients"], expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_gradient_equals_finite_differences():
    case = random_case(3, 4, 3)._replace(length=np.array([4, 1, 0], np.int32))
    out = everything(*case)
    weight = np.arange(1, 4)
    for name, actual in zip(("emissions", "transitions", "start", "end"), out["gradients"], strict=True):
        values = getattr(case, name).astype(float)
        for index in np.ndindex(*values.shape):
            up, down = values.copy(), values.copy()
            up[index] += 1e-4
            down[index] -= 1e-4
            losses = [brute_loss(case._replace(**{name: moved})) @ weight for moved in (up, down)]
            assert actual.numpy()[index] == pytest.approx((losses[0] - losses[1]) / 2e-4, abs=1e-4)


def test_a_forbidden_gold_path_has_a_large_finite_loss_and_finite_gradients():
    case = random_case(2, 5, 4)
    case.transitions[0, 1] = FORBIDDEN
    case = case._replace(
        tag_ids=np.array([[0, 1, 0, 1, 2], [0, 1, 1, 1, 1]], np.int32), length=np.array([5, 3])
    )
    out = everything(*case)
    np.testing.assert_allclose(out["loss"] / -FORBIDDEN, [2, 1], rtol=1e-3)
    for gradient in out["gradients"]:
        assert np.isfinite(gradient).all()


def test_with_every_transition_forbidden_nothing_is_nan():
    case = random_case(2, 5, 4)
    case.transitions[:] = FORBIDDEN
    out = check(case)
    np.testing.assert_allclose(out["marginals"][0].sum(-1), np.arange(5) < case.length[0], atol=1e-5)


def test_ties_go_to_the_lowest_tag():
    zeros = np.zeros([2, 5, 3], np.float32)
    potentials = Potentials(zeros, [5, 2], np.zeros([3, 3]), np.zeros(3), np.zeros(3))
    tag_ids, score = crf_ops.viterbi(potentials)
    np.testing.assert_array_equal(tag_ids, np.zeros([2, 5]))
    np.testing.assert_array_equal(score, [0, 0])


def with_boundaries(case):
    """Emissions with the start and end scores in them, as tensorflow-addons wants them."""
    emissions = case.emissions.copy()
    emissions[:, 0] += case.start
    emissions[np.arange(len(case.length)), case.length - 1] += case.end
    return emissions


def test_equals_tensorflow_addons_where_that_is_right():
    case = random_case(6, 40, 13)
    out = everything(*case)
    emissions = with_boundaries(case)
    likelihood, _ = tfa.text.crf_log_likelihood(emissions, case.tag_ids, case.length, case.transitions)
    np.testing.assert_allclose(out["loss"], -likelihood, rtol=1e-5)
    tag_ids, score = tfa.text.crf_decode(emissions, case.transitions, case.length)
    np.testing.assert_array_equal(out["tag_ids"], tag_ids)
    np.testing.assert_allclose(out["score"], score, rtol=1e-5)
