"""The two recursions of forward-backward, against a third in numpy with log-sum-exp throughout."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.layers import crf_ops, forward_backward
from emr_ner_tf.layers.forward_backward import FORBIDDEN, Potentials


def log_sum(values, axis):
    peak = np.max(values, axis, keepdims=True)
    return np.squeeze(peak + np.log(np.sum(np.exp(values - peak), axis, keepdims=True)), axis)


def reference(emissions, transitions, start, end):
    """Returns log-partition, marginals [n, K] and transition counts [K, K] of one record, in float64."""
    emissions, transitions = emissions.astype(float), transitions.astype(float)
    forward, backward = [start + emissions[0]], [end + emissions[-1]]
    for t in range(1, len(emissions)):
        forward.append(emissions[t] + log_sum(forward[-1][:, None] + transitions, 0))
        backward.append(emissions[-1 - t] + log_sum(backward[-1][None, :] + transitions, 1))
    backward.reverse()
    total = log_sum(forward[-1] + end, 0)
    marginals = np.exp(np.array(forward) + np.array(backward) - emissions - total)
    counts = np.zeros_like(transitions)
    for before, after in zip(forward[:-1], backward[1:], strict=True):
        counts += np.exp(before[:, None] + transitions + after - total)
    return total, marginals, counts


def problem(seed, steps, tags, scale, forbid):
    rng = np.random.default_rng(seed)
    emissions = rng.uniform(-scale / 2, scale / 2, [2, steps, tags]).astype(np.float32)
    weights = [rng.uniform(-scale / 2, scale / 2, shape) for shape in ([tags, tags], [tags], [tags])]
    for values in weights:
        values[rng.random(values.shape) < forbid] = FORBIDDEN
    length = rng.integers(1, steps + 1, 2).astype(np.int32)
    return emissions, length, *(values.astype(np.float32) for values in weights)


@tf.function(reduce_retracing=True, autograph=False)
def posterior(*potentials):
    """Returns log-partition float64 [B], marginals [B, T, K], and the transitions of all records together [K, K]."""
    potentials = Potentials(*map(tf.convert_to_tensor, potentials))
    with tf.GradientTape() as tape:
        tape.watch(potentials.transitions)
        total = crf_ops._log_partition(potentials)
    return total, crf_ops.marginals(potentials), tape.gradient(total, potentials.transitions)


@tf.function(reduce_retracing=True, autograph=False)
def fits(*potentials):
    return forward_backward.scaled_messages(forward_backward.make_chain(Potentials(*potentials).prepared()))[
        1
    ]


# Up to scales at which products of probabilities come near to the smallest float64, and beyond.
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 30),
    tags=st.integers(1, 6),
    scale=st.sampled_from([1.0, 30.0, 80.0, 103.0, 104.0, 150.0, 1e3, 1e5]),
    forbid=st.sampled_from([0.0, 0.3, 0.6]),
)
def test_equals_log_sum_exp(seed, steps, tags, scale, forbid):
    emissions, length, *weights = problem(seed, steps, tags, scale, forbid)
    log_partition, actual, transitions = posterior(emissions, length, *weights)
    for row, n in enumerate(length):
        total, marginals, counts = reference(emissions[row, :n], *weights)
        np.testing.assert_allclose(log_partition[row], total, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(actual[row, :n], marginals, atol=1e-5)
        assert not actual.numpy()[row, n:].any()
        transitions -= counts
    np.testing.assert_allclose(transitions, np.zeros([tags, tags]), atol=2e-4)


def test_ordinary_potentials_take_the_fast_recursion():
    emissions, length, transitions, start, end = problem(0, 256, 13, 40.0, 0.0)
    transitions[np.arange(13) % 2 == 1, 0] = FORBIDDEN
    assert fits(emissions, length, transitions, start, end)
    emissions[np.arange(256) >= length[:, None]] = np.nan  # the padding slows nothing down
    assert fits(emissions, length, transitions, start, end)
    assert not fits(emissions, length, transitions, np.full_like(start, np.nan), end)
    emissions[0, 0] = np.nan
    assert not fits(emissions, length, transitions, start, end)


def check_against_reference(emissions, *weights, fast):
    potentials = (emissions[np.newaxis], np.array([len(emissions)], np.int32), *weights)
    assert bool(fits(*potentials)) == fast
    log_partition, actual, transitions = posterior(*potentials)
    total, marginals, counts = reference(emissions, *weights)
    np.testing.assert_allclose(log_partition, [total], rtol=1e-9)
    np.testing.assert_allclose(actual[0], marginals, atol=1e-5)
    np.testing.assert_allclose(transitions, counts, atol=1e-4)


ALONE = np.where(np.eye(3), 0, FORBIDDEN).astype(np.float32)  # each tag is followed by itself only
NOTHING = np.zeros(3, np.float32)


@pytest.mark.parametrize("gap", [1.0, 4.0, 20.0, 50.0, 90.0, 1000.0])
def test_a_tag_that_fades_and_comes_back_is_not_rounded_away(gap):
    """One tag loses early, one late by as much, and a third as it goes, which is more in all."""
    emissions = np.zeros([40, 3], np.float32)
    emissions[:20, 1] = -gap
    emissions[20:, 0] = -gap
    emissions[:, 2] = -0.6 * gap
    check_against_reference(emissions, ALONE, NOTHING, NOTHING, fast=gap < 50)


@pytest.mark.parametrize("where", ["emission", "start", "transition", "end"])
@pytest.mark.parametrize("low", [-100, -340, -800])
def test_one_very_low_score_is_not_taken_for_forbidden(where, low):
    """Tags 0 then 1 lose `low` at one place; tag 2, never next to them, a little more in all."""
    emissions = np.zeros([40, 3], np.float32)
    emissions[:, 2] = (low - 1) / 40
    transitions = np.full([3, 3], FORBIDDEN, np.float32)
    transitions[[0, 1, 2], [1, 1, 2]] = 0
    start, end = np.array([0, FORBIDDEN, 0], np.float32), np.zeros(3, np.float32)
    if where == "emission":
        emissions[0, 0] = low
    elif where == "start":
        start[0] = low
    elif where == "transition":
        transitions[0, 1] = low
    else:
        end[1] = low
    check_against_reference(emissions, transitions, start, end, fast=low > -800)


@pytest.mark.parametrize("loss", [20.0, 300.0, 707.6, 708.4, 900.0])
def test_low_scores_at_every_step_of_a_turn(loss):
    """The best tag at each step cannot be reached; of the others one is just below the other."""
    emissions = np.zeros([9, 3], np.float32)
    emissions[:, 0] = -loss / 9
    emissions[:, 2] = -(loss + 1.3) / 9
    edge = np.array([0, FORBIDDEN, 0], np.float32)
    check_against_reference(emissions, ALONE, edge, edge, fast=loss <= 300)


@pytest.mark.parametrize("gap", [5.0, 50.0])
def test_a_tag_that_fades_from_both_ends_is_not_rounded_away(gap):
    """One tag loses early and late, the other more than that in between: only the two ends together show it."""
    emissions = np.full([120, 3], -2 * gap, np.float32)
    emissions[:, [0, 2]] = 0
    emissions[40:80, 0] = -gap
    emissions[:40, 2] = emissions[80:, 2] = -0.4 * gap
    check_against_reference(emissions, ALONE, NOTHING, NOTHING, fast=gap < 10)


@pytest.mark.parametrize("steps", [1, 2, 8, 9, 10, 17])
def test_messages_at_lengths_around_one_iteration_of_the_loop(steps):
    """Both recursions give the same messages, and their scales the same probabilities."""
    emissions, length, *weights = problem(1, steps, 4, 9.0, 0.2)
    chain = forward_backward.make_chain(Potentials(emissions, length, *weights).prepared())
    scaled, within = forward_backward.scaled_messages(chain)
    logs = forward_backward.log_messages(chain)
    assert within
    np.testing.assert_allclose(scaled.log_partition, logs.log_partition, rtol=1e-12, atol=1e-12)
    with np.errstate(divide="ignore"):
        actual = np.log(scaled.values) + scaled.log_scale.numpy()[..., np.newaxis]
    real = np.arange(len(actual))[:, None, None] < length
    real = np.broadcast_to(real, actual.shape[:-1])
    reachable = np.where(logs.values > np.float64(FORBIDDEN / 2), logs.values, -np.inf)
    np.testing.assert_allclose(np.exp(actual[real]), np.exp(reachable[real]), rtol=1e-9, atol=1e-200)
