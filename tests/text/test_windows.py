"""Windows against a plain reading of the rule, one record at a time, and stitching against a plain loop."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.text.windows import map_windows, plan_windows

# (size, overlap, slack): no overlap, no slack, neither, the tightest, ordinary ones.
SHAPES = [(5, 0, 2), (6, 3, 0), (4, 0, 0), (1, 0, 0), (6, 3, 2), (10, 4, 3), (16, 1, 9)]
WIDTH = 3


def windows_of(breaks, size, overlap, slack, shift_last=True):
    """(start, end) of each window of one record."""
    total = len(breaks)
    if total == 0:
        return []
    windows, start = [], 0
    while start + size < total:
        end = start + size
        for token in range(end - 1, end - 1 - slack, -1):
            if breaks[token]:
                end = token + 1
                break
        windows.append((start, end))
        start = end - overlap
    windows.append((max(0, total - size) if shift_last else start, total))
    return windows


def owner_of(token, windows, total):
    """The window in which the token is farthest from an edge, the later one where equal."""
    best, found = -1, None
    for which, (start, end) in enumerate(windows):
        if start <= token < end:
            left = total if start == 0 else token - start
            right = total if end == total else end - 1 - token
            if min(left, right) >= best:
                best, found = min(left, right), which
    return found


def naive_map(rows, breaks, size, overlap, slack):
    """What `encode` gives for each token in the window that owns it."""
    time = max(map(len, rows), default=0)
    stitched = np.zeros((len(rows), time, WIDTH), np.float32)
    for record, row in enumerate(rows):
        windows = windows_of(breaks[record], size, overlap, slack)
        for token in range(len(row)):
            start, end = windows[owner_of(token, windows, len(row))]
            stitched[record, token] = row[token], token - start, sum(row[start:end])
    return stitched


def encode(values, length):
    """Each token's id, its place in the window, and the sum of the window's ids."""
    place = tf.zeros_like(values) + tf.range(tf.shape(values)[1])
    total = tf.reduce_sum(values, axis=1, keepdims=True) + tf.zeros_like(values)
    # Padding that were stitched would show.
    padding = ~tf.sequence_mask(length, tf.shape(values)[1], dtype=tf.bool)[:, :, tf.newaxis]
    outputs = tf.cast(tf.stack([values, place, total], axis=2), tf.float32)
    return tf.where(padding, np.nan, outputs)


def dense(rows, padding):
    time = max(map(len, rows), default=0)
    return np.array([[*row, *[padding] * (time - len(row))] for row in rows]).reshape(len(rows), time)


@functools.cache
def graph(shape, token_budget=None, shift_last=True):
    size, overlap, slack = shape
    lengths = tf.TensorSpec([None], tf.int32)
    flags = tf.TensorSpec([None, None], tf.bool)
    if token_budget is None:

        def plan(length, breakable):
            return plan_windows(
                length, breakable, size=size, overlap=overlap, slack=slack, shift_last=shift_last
            )

        return tf.function(plan, input_signature=[lengths, flags])

    def run(values, length, breakable):
        return map_windows(
            encode,
            values,
            length,
            breakable,
            size=size,
            overlap=overlap,
            slack=slack,
            token_budget=token_budget,
            width=WIDTH,
        )

    return tf.function(run, input_signature=[tf.TensorSpec([None, None], tf.int32), lengths, flags])


def tensors(breaks):
    length = tf.constant([len(row) for row in breaks], tf.int32, shape=[len(breaks)])
    # What stands in the padding must not matter.
    return length, tf.constant(dense(breaks, True), tf.bool)


records = st.lists(st.lists(st.booleans(), max_size=45), max_size=4)


@given(breaks=records, shape=st.sampled_from(SHAPES), shift_last=st.booleans())
@settings(max_examples=150, deadline=None)
def test_plan(breaks, shape, shift_last):
    plan = graph(shape, shift_last=shift_last)(*tensors(breaks))
    assert all(field.dtype == tf.int32 for field in plan)
    record, start, length, own_start, own_length = (field.numpy().tolist() for field in plan)
    expected = [
        (which, *window) for which, row in enumerate(breaks) for window in windows_of(row, *shape, shift_last)
    ]
    assert [(r, s, s + n) for r, s, n in zip(record, start, length, strict=True)] == expected
    owners = [[] for _ in breaks]
    for r, s, n in zip(record, own_start, own_length, strict=True):
        assert s == len(owners[r])
        owners[r] += [len(set(owners[r]))] * n
    for which, row in enumerate(breaks):
        windows = windows_of(row, *shape, shift_last)
        # A window that owns nothing would break the count above, and would be waste.
        assert owners[which] == [owner_of(token, windows, len(row)) for token in range(len(row))]


def test_plan_on_literals():
    breaks = np.zeros((2, 12), bool)
    breaks[0, [3, 7]] = True
    plan = plan_windows(tf.constant([12, 3]), tf.constant(breaks), size=6, overlap=2, slack=3)
    # Tokens 3 and 7 end windows; the last one begins where it would anyway.
    assert [field.numpy().tolist() for field in plan] == [
        [0, 0, 0, 1],
        [0, 2, 6, 0],
        [4, 6, 6, 3],
        [0, 3, 7, 0],
        [3, 4, 5, 3],
    ]


def test_training_windows_hold_every_token_once():
    breaks = np.zeros((1, 23), bool)
    breaks[0, [8, 9, 15]] = True
    plan = plan_windows(tf.constant([23]), tf.constant(breaks), size=10, overlap=0, slack=4, shift_last=False)
    assert plan.start.numpy().tolist() == plan.own_start.numpy().tolist() == [0, 10, 20]
    assert plan.length.numpy().tolist() == plan.own_length.numpy().tolist() == [10, 10, 3]


@given(
    breaks=records,
    shape=st.sampled_from(SHAPES[2:6]),
    token_budget=st.sampled_from([1, 17, 1000]),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_map_equals_a_plain_loop(breaks, shape, token_budget, seed):
    random = np.random.default_rng(seed)
    rows = [random.integers(1, 500, len(row)).tolist() for row in breaks]
    length, flags = tensors(breaks)
    values = tf.constant(dense(rows, 777), tf.int32)
    stitched = graph(shape, token_budget)(values, length, flags)
    assert stitched.dtype == tf.float32
    np.testing.assert_array_equal(stitched, naive_map(rows, breaks, *shape))


def test_micro_batches_keep_to_the_budget_and_to_their_longest():
    seen = []

    def look(values, length):
        seen.append((values.shape[0], values.shape[1], length.numpy().tolist()))
        return tf.zeros([*values.shape, 1])

    length = tf.constant([3, 9, 0, 2, 6, 30])
    breakable = tf.zeros([6, 30], tf.bool)
    map_windows(
        look,
        tf.ones([6, 30], tf.int32),
        length,
        breakable,
        size=10,
        overlap=2,
        slack=0,
        token_budget=20,
        width=1,
    )
    # 30 tokens are four windows of ten: 0-10, 8-18, 16-26, and the last moved left, 20-30.
    assert seen == [(2, 10, [10, 10]), (2, 10, [10, 10]), (2, 9, [9, 6]), (2, 3, [3, 2])]


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (3, 0), (3, 7)])
@pytest.mark.parametrize("eager", [True, False])
def test_no_token_at_all(shape, eager):
    run = graph((6, 3, 2), 17)
    run = run.python_function if eager else run
    values, length = tf.zeros(shape, tf.int32), tf.zeros(shape[:1], tf.int32)
    stitched = run(values, length, tf.zeros(shape, tf.bool))
    assert stitched.shape == (*shape, WIDTH)
    assert not stitched.numpy().any()
    plan = graph((6, 3, 2))
    plan = (plan.python_function if eager else plan)(length, tf.zeros(shape, tf.bool))
    assert [field.shape for field in plan] == [(0,)] * 5


def test_eager_equals_graph():
    random = np.random.default_rng(0)
    rows = [random.integers(1, 500, size).tolist() for size in (33, 0, 6, 50)]
    breaks = [(random.random(len(row)) < 0.2).tolist() for row in rows]
    length, flags = tensors(breaks)
    values = tf.constant(dense(rows, 0), tf.int32)
    run = graph((10, 4, 3), 17)
    np.testing.assert_array_equal(run(values, length, flags), run.python_function(values, length, flags))


def test_a_record_of_100_000_tokens_beside_short_ones():
    shape = (254, 64, 32)
    random = np.random.default_rng(1)
    rows = [random.integers(1, 9, size).tolist() for size in (5, 100_000, 300)]
    breaks = [(random.random(len(row)) < 0.05).tolist() for row in rows]
    length, flags = tensors(breaks)
    stitched = graph(shape, 8192)(tf.constant(dense(rows, 0), tf.int32), length, flags).numpy()
    for record, row in enumerate(rows):
        windows = windows_of(breaks[record], *shape)
        # The owner of each token by comparing every pair of neighbours, the rule being local.
        owner = 0
        for token in range(len(row)):
            while owner + 1 < len(windows) and owner_of(token, windows[owner : owner + 2], len(row)) == 1:
                owner += 1
            start, end = windows[owner]
            if token % 97 == 0 or token in (start, end - 1):
                assert stitched[record, token].tolist() == [row[token], token - start, sum(row[start:end])]
        assert not stitched[record, len(row) :].any()
    np.testing.assert_array_equal(stitched[1, :, 0], rows[1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 5, "overlap": 3, "slack": 2},
        {"size": 5, "overlap": -1, "slack": 2},
        {"size": 5, "overlap": 2, "slack": -1},
        {"size": 0, "overlap": 0, "slack": 0},
    ],
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=f"got size={wrong['size']}, overlap={wrong['overlap']}"):
        plan_windows(tf.constant([3]), tf.zeros([1, 3], tf.bool), **wrong)


@pytest.mark.parametrize(("token_budget", "width"), [(0, 1), (1, 0)])
def test_budgets_that_cannot_be(token_budget, width):
    with pytest.raises(ValueError, match=f"got token_budget={token_budget}, width={width}"):
        map_windows(
            encode,
            tf.zeros([1, 3], tf.int32),
            tf.constant([3]),
            tf.zeros([1, 3], tf.bool),
            size=4,
            overlap=1,
            slack=1,
            token_budget=token_budget,
            width=width,
        )


def test_outputs_of_another_width_are_refused_when_traced():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="not compatible"):
        map_windows(
            encode,
            tf.zeros([1, 3], tf.int32),
            tf.constant([3]),
            tf.zeros([1, 3], tf.bool),
            size=4,
            overlap=1,
            slack=1,
            token_budget=9,
            width=WIDTH + 1,
        )
