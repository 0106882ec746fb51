"""The CRF's functions against the enumeration of every path (eq. 12-14), in numpy."""

import itertools
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import Potentials

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa

NO_DEADLINE = {"deadline": None}
FORBIDDEN = crf_ops.FORBIDDEN


class Case(NamedTuple):
    emissions: np.ndarray
    length: np.ndarray
    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray
    tag_ids: np.ndarray

    @property
    def potentials(self):
        return Potentials(*self[:5])


def numbers(scale):
    # Few values, so that ties and zeros are common.
    return st.integers(-8, 8).map(lambda n: np.float32(n * scale / 8))


@st.composite
def cases(draw, forbid=False):
    batch, steps, tags = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    scale = draw(st.sampled_from([1.0, 5.0, 60.0, 110.0, 900.0, 20000.0]))

    def array(*shape):
        return draw(hnp.arrays(np.float32, shape, elements=numbers(scale)))

    potentials = [array(tags, tags), array(tags), array(tags)]
    if forbid:
        for values in potentials:
            values[draw(hnp.arrays(bool, values.shape))] = FORBIDDEN
    length = draw(hnp.arrays(np.int32, (batch,), elements=st.integers(0, steps)))
    tag_ids = draw(hnp.arrays(np.int32, (batch, steps), elements=st.integers(0, tags - 1)))
    return Case(array(batch, steps, tags), length, *potentials, tag_ids)


def random_case(batch, steps, tags, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)

    def real(*shape):
        return (rng.normal(size=shape) * scale).astype(np.float32)

    length = rng.integers(2, steps + 1, batch).astype(np.int32)
    tag_ids = rng.integers(0, tags, (batch, steps)).astype(np.int32)
    return Case(real(batch, steps, tags), length, real(tags, tags), real(tags), real(tags), tag_ids)


def paths_of(case, row):
    """Every path over one record, [K^n, n], and its score by eq. 12, in float64."""
    n, tags = int(case.length[row]), len(case.start)
    paths = np.array(list(itertools.product(range(tags), repeat=n)), int).reshape(tags**n, n)
    if n == 0:
        return paths, np.zeros(1)
    scores = case.start[paths[:, 0]].astype(float) + case.end[paths[:, -1]]
    for t in range(n):
        scores += case.emissions[row, t, paths[:, t]]
    for t in range(1, n):
        scores += case.transitions[paths[:, t - 1], paths[:, t]]
    return paths, scores


def log_sum(scores):
    return scores.max() + np.log(np.exp(scores - scores.max()).sum())


def brute_loss(case):
    loss = np.zeros(len(case.length))
    for row, n in enumerate(case.length):
        paths, scores = paths_of(case, row)
        gold = scores[(paths == case.tag_ids[row, :n]).all(1)][0]
        loss[row] = log_sum(scores) - gold
    return loss


def near(actual, expected):
    """To 1e-4, or to the last digits of a float32."""
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-4)


FLOATS = tf.TensorSpec([None, None, None], tf.float32)
ROWS = tf.TensorSpec([None], tf.int32)
SQUARE = tf.TensorSpec([None, None], tf.float32)
VECTOR = tf.TensorSpec([None], tf.float32)
TAGS = tf.TensorSpec([None, None], tf.int32)


@tf.function(input_signature=[FLOATS, ROWS, SQUARE, VECTOR, VECTOR, TAGS])
def everything(emissions, length, transitions, start, end, tag_ids):
    """Every function, and the gradients of the loss, in one graph that knows no shape."""
    potentials = Potentials(emissions, length, transitions, start, end)
    with tf.GradientTape() as tape:
        sources = [emissions, transitions, start, end]
        tape.watch(sources)
        loss = crf_ops.negative_log_likelihood(potentials, tag_ids)
        # Weights that differ by row show a gradient that forgets what came from above.
        total = tf.reduce_sum(loss * tf.cast(1 + tf.range(tf.shape(loss)[0]), tf.float32))
    decoded, score = crf_ops.viterbi(potentials)
    return {
        "log_partition": crf_ops.log_partition(potentials),
        "path_score": crf_ops.path_score(potentials, tag_ids),
        "loss": loss,
        "tag_ids": decoded,
        "score": score,
        "marginals": crf_ops.marginals(potentials),
        "gradients": tape.gradient(total, sources),
    }


def check(case):
    """Compares everything with the enumeration, and returns it."""
    out = tf.nest.map_structure(lambda x: x.numpy(), everything(*case))
    for row, n in enumerate(case.length):
        paths, scores = paths_of(case, row)
        gold = scores[(paths == case.tag_ids[row, :n]).all(1)][0]
        near(out["log_partition"][row], log_sum(scores))
        near(out["path_score"][row], gold)
        near(out["loss"][row], log_sum(scores) - gold)
        near(out["score"][row], scores.max())
        decoded = out["tag_ids"][row]
        assert not decoded[n:].any()
        # The path itself, not only its score: among equals any.
        near(scores[(paths == decoded[:n]).all(1)][0], scores.max())
        chance = np.exp(scores - log_sum(scores))
        for t in range(len(decoded)):
            by_tag = [chance[paths[:, t] == k].sum() if t < n else 0.0 for k in range(len(case.start))]
            np.testing.assert_allclose(out["marginals"][row, t], by_tag, atol=1e-5)
    for gradient in out["gradients"]:
        assert np.isfinite(gradient).all()
    return out


@settings(max_examples=60, **NO_DEADLINE)
@given(cases())
def test_equals_the_enumeration_of_every_path(case):
    check(case)


@settings(max_examples=60, **NO_DEADLINE)
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


@settings(max_examples=25, **NO_DEADLINE)
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


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 3e38])
def test_padding_is_never_read(garbage):
    case = random_case(4, 6, 3)._replace(length=np.array([6, 4, 1, 0], np.int32))
    padding = np.arange(6) >= case.length[:, None]
    case.emissions[padding] = 0
    case.tag_ids[padding] = 0
    clean = everything(*case)
    case.emissions[padding] = garbage
    case.tag_ids[padding] = -100
    for dirty, same in zip(tf.nest.flatten(everything(*case)), tf.nest.flatten(clean), strict=True):
        np.testing.assert_array_equal(dirty, same)
    assert not clean["gradients"][0].numpy()[padding].any()


@pytest.mark.parametrize("extra", [1, 7, 40])
def test_more_padding_changes_nothing(extra):
    case = random_case(3, 6, 4)
    wider = case._replace(
        emissions=np.pad(case.emissions, [(0, 0), (0, extra), (0, 0)], constant_values=5),
        tag_ids=np.pad(case.tag_ids, [(0, 0), (0, extra)]),
    )
    short, long = everything(*case), everything(*wider)
    for name in ("log_partition", "loss", "score", "path_score"):
        np.testing.assert_allclose(short[name], long[name], rtol=1e-6)
    np.testing.assert_array_equal(short["tag_ids"], long["tag_ids"][:, :6])
    np.testing.assert_allclose(short["marginals"], long["marginals"][:, :6], atol=1e-6)
    for ours, theirs in zip(short["gradients"][1:], long["gradients"][1:], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("batch", "steps"), [(0, 0), (0, 4), (3, 0), (2, 1), (2, 4)])
def test_records_without_a_character(batch, steps):
    case = random_case(1, 2, 3)
    out = everything(
        np.ones([batch, steps, 3], np.float32),
        np.zeros([batch], np.int32),
        *case[2:5],
        np.zeros([batch, steps], np.int32),
    )
    for name in ("log_partition", "path_score", "loss", "score"):
        np.testing.assert_array_equal(out[name], np.zeros(batch))
    np.testing.assert_array_equal(out["tag_ids"], np.zeros([batch, steps]))
    np.testing.assert_array_equal(out["marginals"], np.zeros([batch, steps, 3]))
    for gradient in out["gradients"]:
        assert not gradient.numpy().any()


def test_a_length_out_of_range_counts_as_the_nearest():
    case = random_case(2, 4, 3)
    wrong = everything(*case._replace(length=np.array([9, -2], np.int32)))
    right = everything(*case._replace(length=np.array([4, 0], np.int32)))
    for ours, theirs in zip(tf.nest.flatten(wrong), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_ties_go_to_the_lowest_tag():
    zeros = np.zeros([2, 5, 3], np.float32)
    potentials = Potentials(zeros, [5, 2], np.zeros([3, 3]), np.zeros(3), np.zeros(3))
    tag_ids, score = crf_ops.viterbi(potentials)
    np.testing.assert_array_equal(tag_ids, np.zeros([2, 5]))
    np.testing.assert_array_equal(score, [0, 0])


@pytest.mark.parametrize("scale", [2.0, 300.0])
def test_eager_equals_graph(scale):
    case = random_case(3, 11, 5, scale=scale)
    graph = everything(*case)
    eager = everything.python_function(*(tf.constant(values) for values in case))
    for ours, theirs in zip(tf.nest.flatten(eager), tf.nest.flatten(graph), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)


def test_constants_and_a_second_call_in_a_graph():
    case = random_case(2, 5, 3)
    outside = [tf.constant(values) for values in case]
    emissions = tf.Variable(case.emissions)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            _, length, _, start, end, tag_ids = outside
            potentials = Potentials(emissions, length, case.transitions, start, end)
            loss = crf_ops.negative_log_likelihood(potentials, tag_ids)
        return tape.gradient(loss, emissions)

    first = gradient()
    unweighted = everything(*case)["gradients"][0] / np.arange(1, 3)[:, None, None]
    np.testing.assert_allclose(first, unweighted, atol=1e-6)
    emissions.assign(emissions + 1.0)  # the same for each tag, so the same gradient
    np.testing.assert_allclose(gradient(), first, atol=1e-6)


def test_variables_in_eager_mode():
    case = random_case(2, 5, 3)
    variables = {name: tf.Variable(value) for name, value in case._asdict().items()}
    with tf.GradientTape() as tape:
        tag_ids = variables.pop("tag_ids")
        loss = crf_ops.negative_log_likelihood(Potentials(**variables), tag_ids)
    sources = [variables[name] for name in ("transitions", "start", "end")]
    weighted = case._replace(length=np.array([case.length[0], 0], np.int32))
    first = everything(*weighted)["gradients"][1:]
    weighted = case._replace(length=np.array([0, case.length[1]], np.int32))
    second = everything(*weighted)["gradients"][1:]
    for actual, one, two in zip(tape.gradient(loss, sources), first, second, strict=True):
        np.testing.assert_allclose(actual, one + two / 2, atol=1e-5)


def test_the_gradient_adds_no_loop():
    """Apart from the exact recursion, which is in a branch of its own."""
    case = [tf.constant(values) for values in random_case(2, 20, 3)]

    def loops(function):
        graph = tf.function(function).get_concrete_function().graph
        return sum(node.type in ("While", "StatelessWhile") for node in graph.get_operations())

    def loss():
        return crf_ops.negative_log_likelihood(Potentials(*case[:5]), case[5])

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(case[0])
            value = loss()
        return tape.gradient(value, case[0])

    assert loops(gradient) == loops(loss) == 1


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_other_precisions_are_taken_as_float32(dtype):
    case = random_case(2, 30, 4, scale=4.0)
    rounded = Potentials(
        tf.cast(case.emissions, dtype), case.length, *(tf.cast(values, dtype) for values in case[2:5])
    )
    same = Potentials(*(tf.cast(values, tf.float32) for values in rounded))._replace(length=case.length)
    for function in (crf_ops.log_partition, crf_ops.marginals, crf_ops.viterbi):
        pairs = zip(tf.nest.flatten(function(rounded)), tf.nest.flatten(function(same)), strict=True)
        for ours, theirs in pairs:
            assert ours.dtype in (tf.float32, tf.int32)
            np.testing.assert_array_equal(ours, theirs)


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


def test_a_long_record():
    case = random_case(1, 20_000, 5, scale=3.0)._replace(length=np.array([20_000], np.int32))
    out = everything(*case)
    score = total = case.start + case.emissions[0, 0].astype(float)
    for emission in case.emissions[0, 1:]:
        step = case.transitions + total[:, None]
        total = emission + step.max(0) + np.log(np.exp(step - step.max(0)).sum(0))
        score = emission + (case.transitions + score[:, None]).max(0)
    np.testing.assert_allclose(out["log_partition"], [log_sum(total + case.end)], rtol=1e-7)
    np.testing.assert_allclose(out["score"], [(score + case.end).max()], rtol=1e-7)
    path_score = crf_ops.path_score(case.potentials, out["tag_ids"])
    np.testing.assert_allclose(path_score, out["score"], rtol=1e-7)
    np.testing.assert_allclose(out["marginals"].numpy().sum(-1), 1, atol=1e-5)
    # A float32 of this size has steps of 0.008, so the loss must not be the difference of two of them.
    own = out["gradients"][0].numpy()[0]
    np.testing.assert_allclose(own.sum(-1), 0, atol=1e-5)


def test_the_loss_of_a_long_record_keeps_its_small_digits():
    steps, tags = 20_000, 3
    rng = np.random.default_rng(1)
    gold = rng.integers(0, tags, steps)
    emissions = rng.normal(size=(1, steps, tags)).astype(np.float32)
    emissions[0, np.arange(steps), gold] += 15
    zeros = np.zeros([tags, tags], np.float32), np.zeros(tags, np.float32), np.zeros(tags, np.float32)
    loss = crf_ops.negative_log_likelihood(Potentials(emissions, [steps], *zeros), gold[None])
    # Without transitions every position is on its own.
    apart = emissions[0].astype(float) - emissions[0, np.arange(steps), gold].astype(float)[:, None]
    np.testing.assert_allclose(loss, [np.log(np.exp(apart).sum(1)).sum()], rtol=1e-5)


def test_cross_entropy_of_a_certain_path_is_the_likelihood_s():
    case = random_case(3, 7, 4)
    targets = np.eye(4, dtype=np.float32)[case.tag_ids]
    found = crf_ops.cross_entropy(case.potentials, tf.constant(targets), case.tag_ids)
    np.testing.assert_allclose(
        found, crf_ops.negative_log_likelihood(case.potentials, case.tag_ids), atol=1e-4
    )


def test_the_gradient_of_the_cross_entropy_is_the_difference_of_the_marginals():
    case, teacher = random_case(3, 7, 4), random_case(3, 7, 4, seed=1)
    targets = crf_ops.marginals(teacher.potentials._replace(length=tf.constant(case.length)))
    variables = [tf.Variable(getattr(case, name)) for name in ("emissions", "transitions")]

    def loss_of(function):
        with tf.GradientTape() as tape:
            potentials = case.potentials._replace(emissions=variables[0], transitions=variables[1])
            loss = function(potentials)
        return loss, tape.gradient(loss, variables)

    _, (emissions, transitions) = loss_of(lambda p: crf_ops.cross_entropy(p, targets, case.tag_ids))
    _, (_, certain) = loss_of(lambda p: crf_ops.negative_log_likelihood(p, case.tag_ids))
    own = crf_ops.marginals(case.potentials)
    real = (np.arange(7) < np.array(case.length)[:, None])[..., None]
    np.testing.assert_allclose(emissions, (own - targets) * real, atol=1e-5)
    np.testing.assert_allclose(transitions, certain, atol=1e-5)
    # Whose own marginals are the targets has nothing to learn from them.
    _, (none, _) = loss_of(lambda p: crf_ops.cross_entropy(p, own, case.tag_ids))
    np.testing.assert_allclose(none, np.zeros_like(none), atol=1e-5)
