"""The mentions that one set of predictions finds and another does not, with a paired bootstrap of the F1."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.report import Scores
from emr_ner_tf.evaluation.scoring import exact_counts, score
from emr_ner_tf.evaluation.statistics import Difference, paired_bootstrap

BOTH, ONLY_ONE, ONLY_OTHER, NEITHER = "both", "only_one", "only_other", "neither"


class Disagreement(NamedTuple):
    """A mention that only one side predicts.

    Attributes:
        record: index of the record.
        entity: the mention; with the probability of the side that predicts it, if it has one.
        side: `ONLY_ONE` or `ONLY_OTHER`.
        is_correct: whether it is annotated.
    """

    record: int
    entity: Entity
    side: str
    is_correct: bool


class Comparison(NamedTuple):
    """Two sets of predictions on the same records.

    Attributes:
        name: name of the other set.
        one: exact-match scores of the first set.
        other: exact-match scores of the other set.
        difference: F1 of the first set less that of the other, with its interval and p.
        found: for each label, how many annotated mentions are found by `BOTH`, `ONLY_ONE`, `ONLY_OTHER`, `NEITHER`.
        wrong: for each label, how many wrong predictions are made by `BOTH`, `ONLY_ONE`, `ONLY_OTHER`.
        disagreements: mentions that only one side predicts, in the order of the records.
    """

    name: str
    one: Scores
    other: Scores
    difference: Difference
    found: Mapping[str, Mapping[str, int]]
    wrong: Mapping[str, Mapping[str, int]]
    disagreements: Sequence[Disagreement]

    def to_json(self) -> dict[str, Any]:
        """Returns the scores, the difference and the counts, without mentions."""
        return {
            "name": self.name,
            "exact": self.other.to_json(),
            "difference": self.difference._asdict(),
            "found": self.found,
            "wrong": self.wrong,
        }


def compare(
    gold: Sequence[Document],
    one: Sequence[Document],
    other: Sequence[Document],
    labels: Sequence[str],
    name: str,
) -> Comparison:
    """Compares two sets of predictions by exact matches; in the counts, a mention that is predicted twice counts once.

    Args:
        gold: annotated documents.
        one: the same documents with the predictions of the first set.
        other: the same documents with the predictions of the other set.
        labels: every label that a mention may have.
        name: name of the other set.

    Raises:
        UserError: the documents differ, or a label is not one of `labels`.
    """
    scores = [score(gold, side, labels).exact for side in (one, other)]
    counts = [exact_counts(gold, side, labels).sum(axis=1)[None] for side in (one, other)]
    found = {label: dict.fromkeys((BOTH, ONLY_ONE, ONLY_OTHER, NEITHER), 0) for label in labels}
    wrong = {label: dict.fromkeys((BOTH, ONLY_ONE, ONLY_OTHER), 0) for label in labels}
    disagreements = []
    for record, sides in enumerate(zip(gold, one, other, strict=True)):
        annotated, first, second = ({entity: entity for entity in side.entities} for side in sides)
        for entity in sorted({**annotated, **first, **second}):
            in_one, in_other = entity in first, entity in second
            where = (BOTH if in_other else ONLY_ONE) if in_one else ONLY_OTHER if in_other else NEITHER
            is_correct = entity in annotated
            (found if is_correct else wrong)[entity.label][where] += 1
            if in_one != in_other:
                predicted = first[entity] if in_one else second[entity]
                disagreements.append(Disagreement(record, predicted, where, is_correct))
    return Comparison(name, *scores, paired_bootstrap(*counts), found, wrong, disagreements)
