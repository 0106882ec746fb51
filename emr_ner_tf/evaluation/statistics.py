"""Means over seeds, intervals of scores, and the significance of the difference of two systems on the same records."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
_PERCENTILES = (2.5, 97.5)
# Numbers that are drawn at once, of 8 bytes each.
_MAX_DRAWS = 1 << 20


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
        p: two-sided: twice the smaller fraction of resamples on either side of 0, with 0 on both sides; at most 1, and
            with N records at least 2^(1 - N), the least of a sign test.
    """

    difference: float
    low: float
    high: float
    p: float


def spread(values: Sequence[float]) -> Spread:
    """Returns the mean and the standard deviation (n - 1) of values, one for each seed."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd)


def precision_recall_f1(counts: np.ndarray) -> np.ndarray:
    """Returns the precision, recall and F1 of counts (eq. 15-17).

    Args:
        counts: [..., 3]: true positives, false positives, false negatives.

    Returns:
        float64 [..., 3]; 0 where a denominator is 0.
    """
    hits, false_positives, false_negatives = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    predicted, support = hits + false_positives, hits + false_negatives
    pairs = ((hits, predicted), (hits, support), (2 * hits, predicted + support))
    return np.stack([top / np.where(bottom > 0, bottom, 1) for top, bottom in pairs], axis=-1)


def f1(counts: np.ndarray) -> np.ndarray:
    """Returns the F1 of counts [..., 3], as `precision_recall_f1`."""
    return precision_recall_f1(counts)[..., 2]


def bootstrap_intervals(counts: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Resamples records and returns 95 % intervals of precision, recall and F1 (percentiles).

    Args:
        counts: int [N, G, 3], counts of N records in G groups, such as labels.
        resamples: number of resamples.
        seed: random seed.

    Returns:
        float64 [G, 3, 2]: the 2.5th and the 97.5th percentile of the precision, recall and F1 of each group.
    """
    counts = np.asarray(counts)
    drawn = _resampled(counts.reshape(len(counts), -1), resamples, seed)
    scores = precision_recall_f1(drawn.reshape(resamples, *counts.shape[1:]))
    return np.moveaxis(np.percentile(scores, _PERCENTILES, axis=0), 0, -1)


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
    systems = np.concatenate([one, other])
    sums = _resampled(np.moveaxis(systems, 1, 0).reshape(records, -1), resamples, seed)
    scores = f1(np.moveaxis(sums.reshape(resamples, len(systems), 3), 1, 0))
    drawn = scores[: len(one)].mean(axis=0) - scores[len(one) :].mean(axis=0)
    low, high = np.percentile(drawn, _PERCENTILES)
    side = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    # The sample itself is counted, so that p is never 0. Resamples of one record are all the same, and of a few nearly
    # so, which decides nothing.
    p = min(1.0, max(2 * (side + 1) / (resamples + 1), 2.0 ** (1 - records)))
    difference = f1(one.sum(axis=1)).mean() - f1(other.sum(axis=1)).mean()
    return Difference(float(difference), float(low), float(high), float(p))


def _resampled(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draws records with replacement and returns the sums of their counts.

    Args:
        counts: int [N, M], M counts of N records.
        resamples: number of resamples, of N records each.
        seed: random seed.

    Returns:
        int64 [resamples, M].
    """
    random = np.random.Generator(np.random.Philox(seed))
    records = len(counts)
    at_once = max(1, _MAX_DRAWS // records)
    sums = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        times = random.multinomial(records, np.full(records, 1 / records), size=size)
        sums.append(times @ counts)
    return np.concatenate(sums)
