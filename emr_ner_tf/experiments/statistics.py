"""Means over seeds, and whether the difference of two systems on the same records is real."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Spread(NamedTuple):
    """Mean and sample standard deviation; None where there is one value only."""

    mean: float
    sd: float | None


class Difference(NamedTuple):
    """A difference in F1 and what a paired bootstrap says of it.

    Attributes:
        difference: of the mean F1 over seeds, in the unit of F1 (0 to 1).
        low: 2.5th percentile over resamples.
        high: 97.5th percentile.
        p: two-sided: twice the smaller share of resamples on either side of 0, 0 itself on both; at most 1.
    """

    difference: float
    low: float
    high: float
    p: float


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation (n - 1) of values, one for each seed."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd)


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of summed counts (eq. 15-17).

    Args:
        counts: [..., 3]: true positives, false positives, false negatives.

    Returns:
        float64 [...]; 0 where there is neither a mention nor a prediction.
    """
    counts = np.asarray(counts, np.float64)
    total = 2 * counts[..., 0] + counts[..., 1] + counts[..., 2]
    return 2 * counts[..., 0] / np.where(total > 0, total, 1)


def paired_bootstrap(
    one: np.ndarray, other: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Resamples records, the same ones for both systems, and looks at the difference of micro F1.

    It says how far the difference hangs on which records were scored. How it would change with other seeds it says
    only as far as seeds are averaged.

    Args:
        one: int [S, N, 3], counts of N records under S seeds.
        other: int [S', N, 3], of the same records in the same order.
        resamples: how many.
        seed: the same seed gives the same resamples.

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
    # Counting the sample itself in, so that no p is 0.
    p = min(1.0, 2 * (side + 1) / (resamples + 1))
    difference = f1(one.sum(axis=1)).mean() - f1(other.sum(axis=1)).mean()
    return Difference(float(difference), float(low), float(high), float(p))
