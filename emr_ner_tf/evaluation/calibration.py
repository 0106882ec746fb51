"""The calibration of the probabilities of predictions: reliability, and the effect of a threshold."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.data.document import Document
from emr_ner_tf.evaluation.errors import Matching, match_mentions

BINS = 10
# Digits that tell any two numbers of 64 bits between 0.1 and 1 apart.
_MAX_DIGITS = 17


class Bin(NamedTuple):
    """Predictions whose probability is in one of the equal parts of [0, 1].

    Attributes:
        low: lower end of the part.
        high: upper end of the part.
        predictions: number of predictions.
        probability: their mean probability; 0 without predictions.
        correct: the fraction of them that are exact matches; 0 without predictions.
    """

    low: float
    high: float
    predictions: int
    probability: float
    correct: float


class Thresholds(NamedTuple):
    """Scores of the predictions with at least a given probability.

    Attributes:
        threshold: float64 [T], ascending; the first one keeps all predictions.
        precision: float64 [T].
        recall: float64 [T].
        f1: float64 [T].
    """

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def best(self) -> int:
        """Index of the threshold with the highest F1; the lowest threshold among equals."""
        return int(np.argmax(self.f1))

    @property
    def best_threshold(self) -> float:
        """A short number that keeps the same predictions as the threshold with the highest F1; 0 if it keeps all."""
        best = self.best
        return _between(*map(float, self.threshold[best - 1 : best + 1])) if best else 0.0


class BestThreshold(NamedTuple):
    """The threshold with the highest exact-match F1.

    Attributes:
        threshold: about half way between the probability of the last prediction that is kept and that of the next one;
            0 if all are kept.
        f1: exact-match F1 of the predictions with at least this probability.
        f1_of_all: exact-match F1 of all predictions.
    """

    threshold: float
    f1: float
    f1_of_all: float


def probabilities(matchings: Iterable[Matching]) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the probability of each prediction, and whether it is an exact match.

    Returns:
        float64 [P] and bool [P]; None if there is no prediction, or one without a probability.
    """
    pairs = []
    for matching in matchings:
        pairs += [(predicted.score, True) for _, predicted in matching.matches]
        pairs += [(error.predicted.score, False) for error in matching.errors if error.predicted is not None]
    if not pairs or any(score is None for score, _ in pairs):
        return None
    scores, correct = zip(*pairs, strict=True)
    return np.array(scores, np.float64), np.array(correct, bool)


def reliability(scores: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Groups predictions by their probability.

    Args:
        scores: float [P], probabilities.
        correct: bool [P], whether the prediction is an exact match.
        bins: number of equal parts of [0, 1]; a probability on a border belongs to the upper part, 1 to the last.
    """
    parts = np.minimum((np.asarray(scores) * bins).astype(int), bins - 1)
    result = []
    for part in range(bins):
        chosen = parts == part
        count = int(chosen.sum())
        means = (float(np.mean(scores[chosen])), float(np.mean(correct[chosen]))) if count else (0.0, 0.0)
        result.append(Bin(part / bins, (part + 1) / bins, count, *means))
    return result


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Returns the mean difference between probability and fraction of correct predictions, weighted by predictions.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
    """
    total = sum(each.predictions for each in bins)
    return sum(each.predictions * abs(each.probability - each.correct) for each in bins) / max(total, 1)


def threshold_scores(scores: np.ndarray, correct: np.ndarray, support: int) -> Thresholds:
    """Returns precision, recall and F1 for every threshold that makes a difference.

    Args:
        scores: float [P], probabilities; at least one.
        correct: bool [P], whether the prediction is an exact match.
        support: number of annotated mentions.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(correct[order])
    # Predictions with the same probability are kept or left out together.
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))[::-1]
    hits, kept = hits[last], last + 1.0
    return Thresholds(ordered[last], hits / kept, hits / max(support, 1), 2 * hits / (kept + support))


def best_threshold(gold: Sequence[Document], predicted: Sequence[Document]) -> BestThreshold | None:
    """Finds the threshold on the probability of a mention that gives the highest exact-match F1.

    Args:
        gold: annotated documents.
        predicted: the same documents, in the same order, with the predicted mentions and their probabilities.

    Returns:
        The threshold, or None if there is no prediction, or one without a probability.
    """
    matchings = [match_mentions(*pair) for pair in zip(gold, predicted, strict=True)]
    found = probabilities(matchings)
    if found is None:
        return None
    scores = threshold_scores(*found, sum(len(document.entities) for document in gold))
    return BestThreshold(scores.best_threshold, float(scores.f1[scores.best]), float(scores.f1[0]))


def _between(low: float, high: float) -> float:
    """Returns the shortest decimal near the middle of two probabilities, which keeps `high` and leaves out `low`.

    It does so in float32, too, in which a model compares. Where no short decimal does, it is `high`.
    """
    middle, most = (low + high) / 2, (high - low) / 4
    for digits in range(1, _MAX_DIGITS):
        short = round(middle, digits)
        if abs(short - middle) <= most and np.float32(low) < np.float32(short) <= np.float32(high):
            return short
    return high
