"""The CRF's cross entropy against soft targets: the likelihood at a certain path, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf
from crf_cases import random_case

from emr_ner_tf.layers import crf_ops


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


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_padding_is_never_read(garbage):
    case = random_case(4, 6, 3)._replace(length=np.array([6, 4, 1, 0], np.int32))
    targets = np.full([4, 6, 3], 1 / 3, np.float32)

    def loss_and_gradient():
        emissions = tf.constant(case.emissions)
        with tf.GradientTape() as tape:
            tape.watch(emissions)
            potentials = case.potentials._replace(emissions=emissions)
            loss = crf_ops.cross_entropy(potentials, tf.constant(targets), case.tag_ids)
        return loss, tape.gradient(loss, emissions)

    clean = loss_and_gradient()
    padding = np.arange(6) >= case.length[:, None]
    case.emissions[padding] = targets[padding] = garbage
    for dirty, same in zip(loss_and_gradient(), clean, strict=True):
        np.testing.assert_array_equal(dirty, same)
    assert np.isfinite(clean[0]).all()
