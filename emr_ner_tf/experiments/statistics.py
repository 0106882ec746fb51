"""Means over seeds, and the significance of the difference of two systems on the same records."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Spread(NamedTuple):
    """Mean and sample standard deviation, which is None for a single value."""

    mean: float
    sd: float | None


class Difference(NamedTuple):
    """A difference in F1 with the result of a paired bootstrap.

    Attributes:
        difference: difference of the mean F1 over seeds, from -1 to 1.
        low: 2.5th percentile over resamples.
        high: 97.5th percentile over resamples.
        p: two-sided: twice the smaller fraction of resamples on either side of 0, with 0 on both sides; at most 1.
    """

    difference: float
    low: float
    high: float
    p: float


def spread(values: Sequence[float]) -> Spread:
    """Returns the mean and the standard deviation (n - 1) of values, one for each seed."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd)


def f1(counts: np.ndarray) -> np.ndarray:
    """Returns the F1 of counts (eq. 15-17).

    Args:
        counts: [..., 3]: true positives, false positives, false negatives.

    Returns:
        float64 [...]; 0 if there is neither a mention nor a prediction.
    """
    counts = np.asarray(counts, np.float64)
    total = 2 * counts[..., 0] + counts[..., 1] + counts[..., 2]
    return 2 * counts[..., 0] / np.where(total > 0, total, 1)


def paired_bootstrap(
    one: np.ndarray, other: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Resamples records, the same ones for both systems, and computes the difference of micro F1.

    The result shows how much the difference depends on the scored records. It covers the variation between seeds only
    as far as seeds are averaged.

    Args:
        one: int [S, N, 3], counts of N records with S seeds.
        other: int [S', N, 3], counts of the same records in the same order.
        resamples: number of resamples.
        seed: random seed.

    Source: Berg-Kirkpatrick, Burkett, Klein, "An Empirical Investigation of Statistical Significance in NLP" (2012);
    interval and p by percentiles (Efron and Tibshirani 1993, chapter 13).
    """
    one, other = np.asarray(one), np.asarray(other)
    records = one.shape[1]
    assert other.shape[1:] == one.shape[1:] == (records, 3)
    random = np.random.Generator(np.random.Philox(seed))
    times = random.multinomial(records, np.full(records, 1 / records), size=resamples)

    def resampled(counts: np.ndarray) -> np.ndarray:
        return f1(times @ counts).mean(axis=0)

    drawn = resampled(one) - resampled(other)
    low, high = np.percentile(drawn, [2.5, 97.5])
    side = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    # The sample itself is counted, so that p is never 0.
    p = min(1.0, 2 * (side + 1) / (resamples + 1))
    difference = f1(one.sum(axis=1)).mean() - f1(other.sum(axis=1)).mean()
    return Difference(float(difference), float(low), float(high), float(p))
