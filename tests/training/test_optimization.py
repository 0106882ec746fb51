"""AdamW against its equations in NumPy; the schedule and clipping on literals."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.config import base_config
from emr_ner_tf.training.optimization import WarmupDecay, build_optimizer, clip_by_global_norm


def _adamw(values, gradients, rates, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m = v = np.zeros_like(values)
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        corrected = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        values = values - rate * decay * values
        values = values - corrected * m / (np.sqrt(v) + epsilon)
    return values


def test_rates_and_decay_by_variable():
    config = base_config()
    config.optimizer.weight_decay = 0.5
    config.optimizer.warmup_fraction = 0.5
    config.optimizer.decay = "linear"
    start = np.array([1.0, -2.0, 3.0], np.float32)
    kernel, head, bias = (
        tf.Variable(start, name=name) for name in ("dense/kernel", "head/kernel", "dense/bias")
    )
    optimizer = build_optimizer(config.optimizer, [([kernel, bias], 0.01), ([head], 0.1)], 4, "float32")
    gradients = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable) for variable in (kernel, head, bias)])
    factors = np.array([0.5, 1.0, 1.0, 0.5])
    np.testing.assert_allclose(kernel, _adamw(start, gradients, 0.01 * factors, 0.5), rtol=1e-5)
    np.testing.assert_allclose(head, _adamw(start, gradients, 0.1 * factors, 0.5), rtol=1e-5)
    np.testing.assert_allclose(bias, _adamw(start, gradients, 0.01 * factors, 0.0), rtol=1e-5)


def test_schedule():
    schedule = WarmupDecay(10, 4, "linear")
    found = [float(schedule(tf.constant(step))) for step in range(11)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])
    constant = WarmupDecay(10, 0, "none")
    assert [float(constant(tf.constant(step))) for step in (0, 9, 99)] == [1, 1, 1]


def test_clipping():
    gradients = [tf.constant([3.0]), tf.constant([[4.0]])]
    clipped, norm = clip_by_global_norm(gradients, 1.0)
    assert float(norm) == pytest.approx(5.0)
    assert [float(tf.reduce_sum(g)) for g in clipped] == pytest.approx([0.6, 0.8])
    small, _ = clip_by_global_norm(gradients, 10.0)
    assert [float(tf.reduce_sum(g)) for g in small] == pytest.approx([3.0, 4.0])
    off, _ = clip_by_global_norm(gradients, 0.0)
    assert off is gradients
