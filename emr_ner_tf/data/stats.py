"""Computes figures of a corpus: records, mentions and distinct surface forms by label, and lengths."""

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.labels import CCKS2019_LABELS

PERCENTILES = (0, 5, 25, 50, 75, 90, 95, 99, 100)
# Numbers of characters in a BERT window of 256 or 512 tokens, without [CLS] and [SEP].
WINDOWS = (254, 510)


@dataclasses.dataclass(frozen=True)
class LabelStats:
    """Figures of one label.

    Attributes:
        mentions: number of mentions.
        distinct_forms: number of different strings among them; white space and case count.
    """

    mentions: int
    distinct_forms: int


@dataclasses.dataclass(frozen=True)
class CorpusStats:
    """Figures of a corpus.

    Attributes:
        records: number of records.
        characters: number of code points in all of them.
        by_label: figures of each label, in order.
        white_space_at_edge: mentions that begin or end with white space.
        length_percentiles: percentiles of the length in characters (nearest rank), by percent; empty without records.
        longer_than: number of records with more characters, by number of characters.
    """

    records: int
    characters: int
    by_label: dict[str, LabelStats]
    white_space_at_edge: int
    length_percentiles: dict[int, int]
    longer_than: dict[int, int]

    @property
    def mentions(self) -> int:
        """Number of mentions of all labels."""
        return sum(label.mentions for label in self.by_label.values())

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as JSON values, with the English names of CCKS2019's labels."""
        return {
            "records": self.records,
            "characters": self.characters,
            "mentions": self.mentions,
            "mentions_with_white_space_at_an_edge": self.white_space_at_edge,
            "labels": {
                label: {"name": CCKS2019_LABELS.get(label, label), **dataclasses.asdict(figures)}
                for label, figures in self.by_label.items()
            },
            "length_percentiles": {
                str(percent): length for percent, length in self.length_percentiles.items()
            },
            "records_longer_than": {str(length): count for length, count in self.longer_than.items()},
        }


def corpus_stats(documents: Iterable[Document], labels: Sequence[str]) -> CorpusStats:
    """Computes the figures of a corpus; memory only grows with the distinct forms and lengths.

    Args:
        documents: records whose mentions have `labels`.
        labels: labels in the order of the result; a label without mentions has the count 0.

    Returns:
        The figures.
    """
    mentions: collections.Counter[str] = collections.Counter()
    forms: dict[str, set[str]] = {label: set() for label in labels}
    lengths: collections.Counter[int] = collections.Counter()
    edges = 0
    for document in documents:
        lengths[len(document.text)] += 1
        for entity in document.entities:
            form = document.mention(entity)
            mentions[entity.label] += 1
            forms[entity.label].add(form)
            edges += form != form.strip()
    return CorpusStats(
        records=lengths.total(),
        characters=sum(length * count for length, count in lengths.items()),
        by_label={label: LabelStats(mentions[label], len(forms[label])) for label in labels},
        white_space_at_edge=edges,
        length_percentiles=_percentiles(lengths),
        longer_than={
            window: sum(count for length, count in lengths.items() if length > window) for window in WINDOWS
        },
    )


def _percentiles(lengths: collections.Counter[int]) -> dict[int, int]:
    if not lengths:
        return {}
    ordered = sorted(lengths.items())
    result = {}
    for percent in PERCENTILES:
        rank = max(1, math.ceil(percent * lengths.total() / 100))
        seen = 0
        for length, count in ordered:
            seen += count
            if seen >= rank:
                result[percent] = length
                break
    return result
