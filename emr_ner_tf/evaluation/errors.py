"""The errors of a record by kind: how each annotated mention without an exact match pairs with a prediction.

Each false negative and each false positive belongs to exactly one error, so the kinds add up to both counts.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.scoring import overlaps

MISSED, SPURIOUS = "missed", "spurious"
BOUNDARY, LABEL, BOUNDARY_AND_LABEL = "boundary", "label", "boundary and label"
KINDS = (MISSED, SPURIOUS, BOUNDARY, LABEL, BOUNDARY_AND_LABEL)
# Of two possible pairs, the one whose kind comes first here is formed.
_PAIRS = (LABEL, BOUNDARY, BOUNDARY_AND_LABEL)


class Error(NamedTuple):
    """One error of a record.

    Attributes:
        kind: one of `KINDS`.
        gold: the annotated mention, a false negative; None if the prediction is spurious.
        predicted: the predicted mention, a false positive; None if the annotated mention is missed.
    """

    kind: str
    gold: Entity | None
    predicted: Entity | None

    @property
    def start(self) -> int:
        """First character of the error."""
        return min(entity.start for entity in (self.gold, self.predicted) if entity)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of the annotated and of the predicted mention, without repetition."""
        return tuple(dict.fromkeys(entity.label for entity in (self.gold, self.predicted) if entity))


class Matching(NamedTuple):
    """The mentions of a record, paired one to one.

    Attributes:
        matches: exact matches, each as the annotated and the predicted mention.
        errors: everything else, in the order of the text.
    """

    matches: list[tuple[Entity, Entity]]
    errors: list[Error]


def match_mentions(gold: Document, predicted: Document) -> Matching:
    """Pairs the mentions of a record one to one.

    Exact matches come first. Of the mentions that are left, pairs with the same boundaries are formed first (kind
    "label"), then overlapping pairs with the same label ("boundary"), then other overlapping pairs ("boundary and
    label"); within a kind, the pair with the most common characters comes first, then the first in the text. An
    annotated mention without a partner is "missed", a prediction without one is "spurious".

    Args:
        gold: annotated document.
        predicted: the same document with the predicted mentions.
    """
    left, matches = collections.defaultdict(list), []
    for entity in predicted.entities:
        left[entity].append(entity)
    wanted = []
    for entity in gold.entities:
        if left[entity]:
            matches.append((entity, left[entity].pop(0)))
        else:
            wanted.append(entity)
    found = sorted(entity for entities in left.values() for entity in entities)
    pairs = _pairs(wanted, found)
    errors = [Error(kind, wanted[i], found[j]) for kind, i, j in pairs]
    paired_wanted, paired_found = {i for _, i, _ in pairs}, {j for _, _, j in pairs}
    errors += [Error(MISSED, one, None) for i, one in enumerate(wanted) if i not in paired_wanted]
    errors += [Error(SPURIOUS, None, one) for j, one in enumerate(found) if j not in paired_found]
    return Matching(matches, sorted(errors, key=lambda error: (error.start, KINDS.index(error.kind))))


def kind_counts(errors: Iterable[Error]) -> Mapping[str, int]:
    """Returns the number of errors of each kind, in the order of `KINDS`."""
    counts = collections.Counter(error.kind for error in errors)
    return {kind: counts[kind] for kind in KINDS}


def kinds_by_label(
    errors: Iterable[Error], labels: Sequence[str]
) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Counts false negatives by their annotated label, and false positives by their predicted label.

    Returns:
        For each label, `fn` and `fp`, each with the number of every kind; they add up to the false negatives and
        false positives of the label.
    """
    counts = {label: {side: dict.fromkeys(KINDS, 0) for side in ("fn", "fp")} for label in labels}
    for error in errors:
        for side, entity in (("fn", error.gold), ("fp", error.predicted)):
            if entity is not None:
                counts[entity.label][side][error.kind] += 1
    return counts


def confusion(matchings: Iterable[Matching], labels: Sequence[str]) -> list[list[int]]:
    """Counts the pairs of an annotated and a predicted label, over exact matches and errors.

    Returns:
        [L + 1][L + 1]: a row for each annotated label, a column for each predicted label. The last row has spurious
        predictions, the last column missed mentions. A row of a label adds up to its annotated mentions, a column to
        its predicted ones. An error of kind "boundary" is on the diagonal.
    """
    place = {label: i for i, label in enumerate(labels)}
    table = [[0] * (len(labels) + 1) for _ in range(len(labels) + 1)]
    for matching in matchings:
        pairs = [*matching.matches, *((error.gold, error.predicted) for error in matching.errors)]
        for gold, predicted in pairs:
            row, column = (len(labels) if one is None else place[one.label] for one in (gold, predicted))
            table[row][column] += 1
    return table


def _pairs(wanted: Sequence[Entity], found: Sequence[Entity]) -> list[tuple[str, int, int]]:
    """Forms the pairs of overlapping mentions: (kind, index in `wanted`, index in `found`)."""
    spans = ([(entity.start, entity.end) for entity in entities] for entities in (wanted, found))
    candidates = []
    for i, near in enumerate(overlaps(*spans)):
        for j in near:
            one, other = wanted[i], found[j]
            kind = _kind(one, other)
            common = min(one.end, other.end) - max(one.start, other.start)
            candidates.append((_PAIRS.index(kind), -common, i, j))
    pairs, used = [], (set(), set())
    for order, _, i, j in sorted(candidates):
        if i not in used[0] and j not in used[1]:
            pairs.append((_PAIRS[order], i, j))
            used[0].add(i)
            used[1].add(j)
    return pairs


def _kind(gold: Entity, predicted: Entity) -> str:
    if (gold.start, gold.end) == (predicted.start, predicted.end):
        return LABEL
    return BOUNDARY if gold.label == predicted.label else BOUNDARY_AND_LABEL
