"""The CRF's functions with padding, empty records, wrong lengths, long records, other precisions, and in graphs."""

import numpy as np
import pytest
import tensorflow as tf
from crf_cases import everything, log_sum, random_case

from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import Potentials


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

    @tf.function(autograph=False)
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
        graph = tf.function(function, autograph=False).get_concrete_function().graph
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
