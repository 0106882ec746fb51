"""Cases of a CRF, all of its functions in one graph, and the enumeration of every path (eq. 12-14), in numpy."""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import Potentials

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
    """Returns every path over one record, [K^n, n], and its score by eq. 12, in float64."""
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


@tf.function(input_signature=[FLOATS, ROWS, SQUARE, VECTOR, VECTOR, TAGS], autograph=False)
def everything(emissions, length, transitions, start, end, tag_ids):
    """Returns every function, and the gradients of the loss, in one graph that knows no shape."""
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
