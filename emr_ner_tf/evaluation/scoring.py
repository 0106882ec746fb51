"""Exact and relaxed match of predicted mentions with annotated ones, on character spans of whole records.

A mention is a triple (start, end, label). An exact match has the same triple; a relaxed match has the same label and at
least one common character. Both are one to one: no mention is matched twice, so that neither one long prediction over
three mentions nor three predictions on one mention count as more than one match.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.record_error import describe_name
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.report import Counts, Report, Scores

Span = tuple[int, int]


def seen_mentions(documents: Iterable[Document]) -> frozenset[tuple[str, str]]:
    """Returns every pair (surface form, label) of the mentions of `documents`."""
    return frozenset(
        (document.mention(entity), entity.label) for document in documents for entity in document.entities
    )


def score(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    labels: Sequence[str],
    seen_mentions: Iterable[tuple[str, str]] | None = None,
) -> Report:
    """Scores predictions against annotation.

    Args:
        gold: annotated documents.
        predicted: the same documents, in the same order, with the predicted mentions.
        labels: every label that a mention may have, in the order of the report.
        seen_mentions: (surface form, label) pairs of the training documents; with them, exact matches are also
            counted separately for seen and unseen mentions. An annotated or predicted mention is seen if its form
            occurs in training with the same label. The denominator of the precision on unseen mentions is therefore
            the number of predictions with unseen forms.

    Returns:
        The counts, from which the report computes precision, recall and F1.

    Raises:
        UserError: the two sides have different documents or another order, or a label is not one of `labels`.
    """
    _check_pairs(gold, predicted)
    known = None if seen_mentions is None else frozenset(seen_mentions)
    exact = {label: [0, 0, 0] for label in labels}
    relaxed = {label: [0, 0, 0] for label in labels}
    seen = {label: [0, 0, 0] for label in labels}
    unseen = {label: [0, 0, 0] for label in labels}
    for one, other in zip(gold, predicted, strict=True):
        gold_spans = _spans_by_label(one, labels, "annotated")
        found_spans = _spans_by_label(other, labels, "predicted")
        for label in labels:
            wanted, found = gold_spans[label], found_spans[label]
            _count(exact[label], wanted, found)
            matched = relaxed_matches(wanted, found)
            _add(relaxed[label], matched, len(found) - matched, len(wanted) - matched)
            if known is not None:
                is_seen = {span: (one.text[slice(*span)], label) in known for span in {*wanted, *found}}
                _count(seen[label], *([s for s in spans if is_seen[s]] for spans in (wanted, found)))
                _count(unseen[label], *([s for s in spans if not is_seen[s]] for spans in (wanted, found)))
    return Report(
        records=len(gold),
        exact=_scores(exact),
        relaxed=_scores(relaxed),
        seen=None if known is None else _scores(seen),
        unseen=None if known is None else _scores(unseen),
    )


def exact_counts(
    gold: Sequence[Document], predicted: Sequence[Document], labels: Sequence[str]
) -> np.ndarray:
    """Counts the exact matches of each record by label, for a bootstrap over records.

    Args:
        gold: annotated documents.
        predicted: the same documents, in the same order, with the predicted mentions.
        labels: every label that a mention may have.

    Returns:
        int64 [N, L, 3]: true positives, false positives and false negatives of N records and L labels.

    Raises:
        UserError: the two sides have different documents or another order, or a label is not one of `labels`.
    """
    _check_pairs(gold, predicted)
    counts = np.zeros((len(gold), len(labels), 3), np.int64)
    for record, one, other in zip(counts, gold, predicted, strict=True):
        gold_spans = _spans_by_label(one, labels, "annotated")
        found_spans = _spans_by_label(other, labels, "predicted")
        for row, label in zip(record, labels, strict=True):
            _count(row, gold_spans[label], found_spans[label])
    return counts


def relaxed_matches(gold: Sequence[Span], predicted: Sequence[Span]) -> int:
    """Returns the size of a largest one-to-one matching of spans that share a character.

    Args:
        gold: annotated half-open spans of one label, in any order; they may overlap.
        predicted: predicted spans of the same label.
    """
    touching = overlaps(gold, predicted)
    of_gold: dict[int, int] = {}
    of_predicted: dict[int, int] = {}
    # A matching without an augmenting path is a largest one (Berge, 1957); each annotated span searches for one once.
    for root in range(len(gold)):
        came_from: dict[int, int] = {}
        frontier = collections.deque([root])
        while frontier:
            i = frontier.popleft()
            fresh = [j for j in touching[i] if j not in came_from]
            came_from.update(dict.fromkeys(fresh, i))
            free = next((j for j in fresh if j not in of_predicted), None)
            if free is not None:
                _augment(free, came_from, of_gold, of_predicted)
                break
            frontier.extend(of_predicted[j] for j in fresh)
    return len(of_gold)


def _augment(
    free: int, came_from: Mapping[int, int], of_gold: dict[int, int], of_predicted: dict[int, int]
) -> None:
    """Augments the matching along the path that ends at `free`: each annotated span on it gets its next partner."""
    j: int | None = free
    while j is not None:
        i = came_from[j]
        of_predicted[j] = i
        of_gold[i], j = j, of_gold.get(i)


def overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> list[list[int]]:
    """Finds, for each annotated span, the predicted spans that share a character, in one sweep from left to right.

    Returns:
        For each annotated span, the indices of the predicted ones, in no particular order.
    """
    pairs: list[list[int]] = [[] for _ in gold]
    sides = (gold, predicted)
    order = sorted(
        (start, end, side, i) for side in (0, 1) for i, (start, end) in enumerate(sides[side]) if start < end
    )
    active: tuple[list[int], list[int]] = ([], [])
    for start, _, side, i in order:
        other = 1 - side
        active[other][:] = [j for j in active[other] if sides[other][j][1] > start]
        for j in active[other]:
            pairs[i if side == 0 else j].append(j if side == 0 else i)
        active[side].append(i)
    return pairs


def _check_pairs(gold: Sequence[Document], predicted: Sequence[Document]) -> None:
    if len(gold) != len(predicted):
        raise UserError(
            "annotated and predicted documents must be the same ones, "
            f"got {len(gold)} annotated and {len(predicted)} predicted"
        )
    for i, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if one.id != other.id:
            raise UserError(
                "annotated and predicted documents must have the same order, "
                f"got document {i} with id {one.id!r} and with id {other.id!r}"
            )
        if one.text != other.text:
            raise UserError(
                f"document {i}, id {one.id!r}: annotated and predicted text must be the same, "
                f"got different texts of {len(one.text)} and {len(other.text)} characters"
            )


def _spans_by_label(document: Document, labels: Sequence[str], side: str) -> Mapping[str, list[Span]]:
    spans: dict[str, list[Span]] = {label: [] for label in labels}
    for entity in document.entities:
        if entity.label not in spans:
            raise UserError(
                f"document {document.id!r}: the label of {side} mentions must be one of "
                f"{', '.join(labels)}, got {describe_name(entity.label)}"
            )
        spans[entity.label].append((entity.start, entity.end))
    return spans


def _count(counts: list[int] | np.ndarray, gold: Sequence[tuple], predicted: Sequence[tuple]) -> None:
    # As multisets: the same mention predicted twice is one match and one false positive.
    matched = (collections.Counter(gold) & collections.Counter(predicted)).total()
    _add(counts, matched, len(predicted) - matched, len(gold) - matched)


def _add(counts: list[int] | np.ndarray, *more: int) -> None:
    for k, value in enumerate(more):
        counts[k] += value


def _scores(counts: Mapping[str, Sequence[int]]) -> Scores:
    return Scores({label: Counts(*values) for label, values in counts.items()})
