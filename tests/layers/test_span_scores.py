"""The probability of a span against the enumeration of every path."""

import functools
import itertools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers.crf_ops import FORBIDDEN, Potentials, marginals
from emr_ner_tf.layers.span_scores import span_log_probability


class Spans(NamedTuple):
    record: object
    start: object
    end: object
    label: object


TABLES = {
    "BIO, one label": TagTable(("x",), "BIO"),
    "BIO, two labels": TagTable(("x", "y"), "BIO"),
    "BIOES, one label": TagTable(("x",), "BIOES"),
}


def holding(names, start, end, label, scheme):
    """Returns which rows of tags, as strings, hold exactly the mention of `label` from start to end."""
    size = end - start
    if scheme == "BIO":
        wanted = [f"B-{label}"] + [f"I-{label}"] * (size - 1)
    elif size == 1:
        wanted = [f"S-{label}"]
    else:
        wanted = [f"B-{label}"] + [f"I-{label}"] * (size - 2) + [f"E-{label}"]
    holds = (names[:, start:end] == wanted).all(1)
    if scheme == "BIO" and end < names.shape[1]:
        holds &= names[:, end] != f"I-{label}"
    return holds


def brute_force(table, emissions, weights, spans):
    """Returns P(span) over every path of one record of n positions, for spans of (start, end, label)."""
    transitions, start, end = weights
    n = len(emissions)
    paths = np.array(list(itertools.product(range(table.num_tags), repeat=n)), int)
    scores = emissions[range(n), paths].astype(float).sum(1) + start[paths[:, 0]] + end[paths[:, -1]]
    for t in range(1, n):
        scores += transitions[paths[:, t - 1], paths[:, t]]
    chance = np.exp(scores - scores.max())
    names = np.array(table.tags)[paths]
    return [chance[holding(names, *span, table.scheme)].sum() / chance.sum() for span in spans]


def weights_of(table, rng, scale, constrained):
    weights = [
        rng.normal(size=shape) * scale for shape in ([table.num_tags] * 2, table.num_tags, table.num_tags)
    ]
    if constrained:
        for values, allowed in zip(
            weights, (table.allowed, table.allowed_start, table.allowed_end), strict=True
        ):
            values[~allowed] = FORBIDDEN
    return [values.astype(np.float32) for values in weights]


def columns(spans):
    record, start, end, label = np.array(spans, np.int32).reshape(-1, 4).T
    return Spans(*(tf.constant(values) for values in (record, start, end, label)))


@functools.cache
def graph_of(table):
    """Returns the function in a graph that knows no shape."""
    floats = [tf.TensorSpec([None] * rank) for rank in (3, 2, 1, 1)]
    integers = tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[floats[0], integers, *floats[1:], *[integers] * 4], autograph=False)
    def graph(emissions, length, transitions, start, end, *spans):
        potentials = Potentials(emissions, length, transitions, start, end)
        return span_log_probability(potentials, Spans(*spans), table)

    return graph


def probability(emissions, length, weights, spans, table):
    length = np.array(length, np.int32)
    return np.exp(graph_of(table)(emissions, length, *weights, *columns(spans)))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.5, 3.0, 200.0]), constrained=st.booleans())
def test_every_span_of_a_short_record(table, seed, scale, constrained):
    rng = np.random.default_rng(seed)
    length = [4, rng.integers(1, 4), 0]
    emissions = (rng.normal(size=[3, 4, table.num_tags]) * scale).astype(np.float32)
    weights = weights_of(table, rng, scale, constrained)
    spans, wanted = [], []
    for record, n in enumerate(length):
        emissions[record, n:] = np.nan
        edges = [(start, end) for start in range(n) for end in range(start + 1, n + 1)]
        for label, name in enumerate(table.labels):
            spans += [(record, *edge, label) for edge in edges]
            if n:
                named = [(*edge, name) for edge in edges]
                wanted += brute_force(table, emissions[record, :n], weights, named)
    actual = probability(emissions, length, weights, spans, table)
    np.testing.assert_allclose(actual, wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4), (0, 0), (2, 0), (0, 3)])
def test_no_spans(shape):
    table = TABLES["BIO, two labels"]
    weights = weights_of(table, np.random.default_rng(0), 1.0, True)
    emissions = np.zeros([*shape, table.num_tags], np.float32)
    assert probability(emissions, [shape[1]] * shape[0], weights, [], table).shape == (0,)


def test_a_span_outside_its_record_has_no_probability():
    table = TABLES["BIO, two labels"]
    weights = weights_of(table, np.random.default_rng(0), 1.0, True)
    wrong = [(0, 1, 1, 0), (0, 2, 1, 0), (0, -1, 2, 0), (0, 1, 4, 0), (1, 0, 1, 0), (2, 0, 1, 0)]
    wrong += [(0, 0, 1, 2), (0, 0, 1, -1)]
    actual = probability(np.zeros([2, 4, 5], np.float32), [3, 0], weights, [*wrong, (0, 0, 1, 0)], table)
    np.testing.assert_array_equal(actual[:-1], np.zeros(len(wrong)))
    assert actual[-1] > 0


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_exact_far_into_a_record_of_100_000(table):
    """A short piece shut off on both sides by O has the probabilities that it has alone."""
    rng = np.random.default_rng(3)
    steps, at, size = 100_000, 99_950, 4
    weights = weights_of(table, rng, 1.0, True)
    emissions = (rng.normal(size=[1, steps, table.num_tags]) * 4).astype(np.float32)
    emissions[0, [at - 1, at + size], 0] += 200
    edges = [(start, end) for start in range(size) for end in range(start + 1, size + 1)]
    spans = [(0, at + start, at + end, 0) for start, end in edges]
    actual = probability(emissions, [steps], weights, spans, table)
    piece = emissions[0, at - 1 : at + size + 1]
    wanted = brute_force(table, piece, weights, [(start + 1, end + 1, "x") for start, end in edges])
    np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_spans_that_begin_at_a_position_add_up_to_its_marginal():
    table = TABLES["BIO, two labels"]
    rng = np.random.default_rng(5)
    steps, begin = 20_000, 400
    weights = weights_of(table, rng, 1.0, False)
    emissions = rng.normal(size=[1, steps, table.num_tags]).astype(np.float32)
    # Tags that continue for thousands of positions, so that much of the sum is in very long mentions.
    weights[0][table.middle[1], table.middle[1]] += 12
    spans = [(0, begin, end, 1) for end in range(begin + 1, steps + 1)]
    actual = probability(emissions, [steps], weights, spans, table)
    wanted = marginals(Potentials(emissions, [steps], *weights))[0, begin, table.first[1]]
    assert actual[5000:].sum() > 0.1 * wanted
    assert actual.sum() == pytest.approx(float(wanted), rel=1e-4)
