"""Windows against a plain reading of the rule, one record at a time, and stitching against a plain loop."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.text.windows import map_windows, plan_windows

# (size, overlap, slack): no overlap, no slack, neither, the tightest, ordinary ones.
SHAPES = [(5, 0, 2), (6, 3, 0), (4, 0, 0), (1, 0, 0), (6, 3, 2), (10, 4, 3), (16, 1, 9)]
WIDTH = 3


def windows_of(breaks, size, overlap, slack):
    """Returns (start, end, own_start, own_end) of each window of one record."""
    total = len(breaks)
    if total <= size:
        return [(0, total, 0, total)] if total else []
    count = math.ceil((total - overlap) / (size - overlap - slack))
    longest, shortest = math.ceil((total - overlap) / count), (total - overlap) // count
    reach = max(0, min((size - overlap - longest) // 2, (shortest - 1) // 2, slack))
    before = overlap // 2
    cuts = [0]
    for index in range(1, count):
        equal = index * (total - overlap) // count + before
        places = [cut for cut in range(equal - reach, equal + reach + 1) if breaks[cut - 1]]
        cuts.append(min(places, key=lambda cut: (abs(cut - equal), -cut), default=equal))
    cuts.append(total)
    return [
        (cut - before if cut else 0, end + overlap - before if end < total else total, cut, end)
        for cut, end in itertools.pairwise(cuts)
    ]


def naive_map(rows, breaks, size, overlap, slack):
    """Returns what `encode` gives for each token in the window that owns it."""
    time = max(map(len, rows), default=0)
    stitched = np.zeros((len(rows), time, WIDTH), np.float32)
    for record, row in enumerate(rows):
        for start, end, own_start, own_end in windows_of(breaks[record], size, overlap, slack):
            for token in range(own_start, own_end):
                stitched[record, token] = row[token], token - start, sum(row[start:end])
    return stitched


def encode(values, length):
    """Returns each token's id, its place in the window, and the sum of the window's ids."""
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
def graph(shape, token_budget=None):
    size, overlap, slack = shape
    lengths = tf.TensorSpec([None], tf.int32)
    flags = tf.TensorSpec([None, None], tf.bool)
    if token_budget is None:

        def plan(length, breakable):
            return plan_windows(length, breakable, size=size, overlap=overlap, slack=slack)

        return tf.function(plan, input_signature=[lengths, flags], autograph=False)

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

    return tf.function(
        run, input_signature=[tf.TensorSpec([None, None], tf.int32), lengths, flags], autograph=False
    )


def tensors(breaks):
    length = tf.constant([len(row) for row in breaks], tf.int32, shape=[len(breaks)])
    # The content of the padding must not matter.
    return length, tf.constant(dense(breaks, True), tf.bool)


records = st.lists(st.lists(st.booleans(), max_size=45), max_size=4)


@given(breaks=records, shape=st.sampled_from(SHAPES))
@settings(max_examples=150, deadline=None)
def test_plan(breaks, shape):
    size, overlap, _ = shape
    plan = graph(shape)(*tensors(breaks))
    assert all(field.dtype == tf.int32 for field in plan)
    found = [
        (record, start, start + length, own_start, own_start + own_length)
        for record, start, length, own_start, own_length in zip(
            *(f.numpy().tolist() for f in plan), strict=True
        )
    ]
    assert found == [
        (which, *window) for which, row in enumerate(breaks) for window in windows_of(row, *shape)
    ]
    for which, row in enumerate(breaks):
        windows = [window[1:] for window in found if window[0] == which]
        # Every token has one owner, and every window owns some.
        owned = [token for *_, own_start, own_end in windows for token in range(own_start, own_end)]
        assert owned == list(range(len(row)))
        for start, end, own_start, own_end in windows:
            assert 0 <= start <= own_start < own_end <= end <= len(row)
            assert end - start <= size
        for (_, end, *_), (start, *_) in itertools.pairwise(windows):
            assert end - start == overlap
        if len(windows) > 1:
            lengths = [end - start for start, end, *_ in windows]
            assert max(lengths) - min(lengths) <= 2 * shape[2] + 1


def test_plan_on_literals():
    breaks = np.zeros((2, 22), bool)
    breaks[0, [7, 9, 13, 16]] = True
    plan = plan_windows(tf.constant([22, 3]), tf.constant(breaks), size=10, overlap=2, slack=2)
    # Equal cuts are before tokens 6, 11 and 16: room for one step, so only the last two find a breakable token.
    assert [field.numpy().tolist() for field in plan] == [
        [0, 0, 0, 0, 1],
        [0, 5, 9, 16, 0],
        [7, 6, 9, 6, 3],
        [0, 6, 10, 17, 0],
        [6, 4, 7, 5, 3],
    ]


def test_training_windows_hold_every_token_once():
    breaks = np.zeros((1, 23), bool)
    breaks[0, [8, 9, 15]] = True
    plan = plan_windows(tf.constant([23]), tf.constant(breaks), size=12, overlap=0, slack=4)
    assert plan.start.numpy().tolist() == plan.own_start.numpy().tolist() == [0, 9, 16]
    assert plan.length.numpy().tolist() == plan.own_length.numpy().tolist() == [9, 7, 7]


def test_a_plan_of_a_text_whose_products_exceed_32_bits():
    plan = plan_windows(tf.constant([3_000_000]), tf.zeros([1, 1], tf.bool), size=254, overlap=32, slack=0)
    ends = (plan.own_start + plan.own_length).numpy()
    assert ends[-1] == 3_000_000
    assert (plan.own_start.numpy()[1:] == ends[:-1]).all()
    assert plan.length.numpy().max() == 254


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
    # 30 tokens are four windows of nine: 0-9, 7-16, 14-23 and 21-30.
    assert seen == [(2, 9, [9, 9]), (2, 9, [9, 9]), (2, 9, [9, 6]), (2, 3, [3, 2])]


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
    shape = (254, 32, 16)
    random = np.random.default_rng(1)
    rows = [random.integers(1, 9, size).tolist() for size in (5, 100_000, 300)]
    breaks = [(random.random(len(row)) < 0.05).tolist() for row in rows]
    length, flags = tensors(breaks)
    stitched = graph(shape, 8192)(tf.constant(dense(rows, 0), tf.int32), length, flags).numpy()
    for record, row in enumerate(rows):
        for start, end, own_start, own_end in windows_of(breaks[record], *shape):
            for token in {own_start, own_end - 1}:
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
