"""Every row: two logical CPUs take the step of one, and eight records are learnt without a fault."""

import numpy as np
import pytest
from workers import Worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker():
    with Worker("replicas.py") as worker:
        yield worker


@pytest.fixture(scope="module")
def outcome(worker, row):
    return worker.ask(row)


def test_two_replicas_equal_one(outcome):
    assert outcome["replicas"] == 2
    moved = 0.0
    for before, one, two in zip(outcome["before"], outcome["one"], outcome["two"], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
        moved = max(moved, np.abs(one - before).max())
    assert moved > 1e-3


def test_overfits_eight_records(outcome):
    assert outcome["f1"] == 1.0, f"after {outcome['steps']} steps"
