"""Exact-match counts of parts of the mentions: by length, by length of the record, seen in training or not."""

import collections
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.errors import Matching
from emr_ner_tf.evaluation.report import Counts

_Key = TypeVar("_Key", bound=Hashable)
# The first length of each range, in characters.
MENTION_LENGTHS = (1, 2, 3, 4, 5, 7, 10, 15)
RECORD_LENGTHS = (0, 100, 200, 400, 800, 1600)


def count_by(
    gold: Iterable[Document], matchings: Iterable[Matching], key: Callable[[Document, Entity], _Key]
) -> dict[_Key, Counts]:
    """Counts exact matches separately for each value of a key.

    A false negative counts for the key of the annotated mention, a false positive for that of the prediction.

    Args:
        gold: annotated documents.
        matchings: result of `match_mentions` for each document.
        key: maps a document and a mention to a value. It depends only on the boundaries and the label of the mention,
            so that an exact match has one value.

    Returns:
        The counts by key, in the order in which the keys were met.
    """
    counts: dict[_Key, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    for document, matching in zip(gold, matchings, strict=True):
        for entity, _ in matching.matches:
            counts[key(document, entity)][0] += 1
        for error in matching.errors:
            if error.predicted is not None:
                counts[key(document, error.predicted)][1] += 1
            if error.gold is not None:
                counts[key(document, error.gold)][2] += 1
    return {value: Counts(*found) for value, found in counts.items()}


def by_mention_length(gold: Sequence[Document], matchings: Sequence[Matching]) -> Mapping[str, Counts]:
    """Counts exact matches by the number of characters of the mention, in the ranges of `MENTION_LENGTHS`."""
    found = count_by(gold, matchings, lambda _, entity: _range(entity.end - entity.start, MENTION_LENGTHS))
    return _named(found, MENTION_LENGTHS)


def by_record_length(gold: Sequence[Document], matchings: Sequence[Matching]) -> Mapping[str, Counts]:
    """Counts exact matches by the number of characters of the record, in the ranges of `RECORD_LENGTHS`."""
    found = count_by(gold, matchings, lambda document, _: _range(len(document.text), RECORD_LENGTHS))
    return _named(found, RECORD_LENGTHS)


def _range(length: int, starts: Sequence[int]) -> int:
    return max(i for i, start in enumerate(starts) if start <= length)


def _named(found: Mapping[int, Counts], starts: Sequence[int]) -> dict[str, Counts]:
    names = [
        f"{start}+" if end is None else str(start) if end == start + 1 else f"{start}–{end - 1}"
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    return {names[i]: found[i] for i in sorted(found)}
