"""The counts of an evaluation and its precision, recall and F1 by label, micro and macro; as JSON and as a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# Maximum width of the label column, in a normal and in a narrow table; longer labels are folded.
_LABEL_WIDTH, _NARROW_LABEL_WIDTH = 40, 16


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """Matches and misses of one label or of all labels, from which precision, recall and F1 follow (eq. 15-17).

    Attributes:
        true_positives: predicted mentions that match an annotated one.
        false_positives: predicted mentions that match none.
        false_negatives: annotated mentions that match no prediction.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    @property
    def support(self) -> int:
        """Number of annotated mentions."""
        return self.true_positives + self.false_negatives

    @property
    def predicted(self) -> int:
        """Number of predicted mentions."""
        return self.true_positives + self.false_positives

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0 if nothing was predicted."""
        return self.true_positives / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 0 if nothing was annotated."""
        return self.true_positives / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """2 P R / (P + R); 0 if both are 0."""
        total = self.support + self.predicted
        return 2 * self.true_positives / total if total else 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns the scores and the counts."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.support,
            "tp": self.true_positives,
            "fp": self.false_positives,
            "fn": self.false_negatives,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Macro:
    """Unweighted means over labels.

    Attributes:
        precision: mean precision.
        recall: mean recall.
        f1: mean F1 (not the F1 of the two means).
        types: number of labels.
    """

    precision: float
    recall: float
    f1: float
    types: int

    def to_json(self) -> dict[str, Any]:
        """Returns the scores by name."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """Counts by label.

    Attributes:
        by_type: counts of each label, in the order of the labels.
    """

    by_type: Mapping[str, Counts]

    @property
    def micro(self) -> Counts:
        """Sums over all labels."""
        rows = self.by_type.values()
        return Counts(
            sum(row.true_positives for row in rows),
            sum(row.false_positives for row in rows),
            sum(row.false_negatives for row in rows),
        )

    @property
    def macro(self) -> Macro:
        """Means over the labels that were annotated or predicted, as in seqeval; 0 if there are none."""
        rows = [row for row in self.by_type.values() if row.support or row.predicted]
        count = max(len(rows), 1)
        return Macro(
            sum(row.precision for row in rows) / count,
            sum(row.recall for row in rows) / count,
            sum(row.f1 for row in rows) / count,
            len(rows),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns `micro`, `macro` and `by_type`."""
        return {
            "micro": self.micro.to_json(),
            "macro": self.macro.to_json(),
            "by_type": {label: row.to_json() for label, row in self.by_type.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The result of an evaluation.

    Attributes:
        records: number of scored documents.
        exact: matches with the same label and the same boundaries.
        relaxed: matches with the same label and at least one common character, one to one.
        seen: exact matches of mentions that occur in training with the same label; None if no training documents
            were given.
        unseen: exact matches of all other mentions; None if no training documents were given.
    """

    records: int
    exact: Scores
    relaxed: Scores
    seen: Scores | None = None
    unseen: Scores | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain dictionaries.

        `exact` and `relaxed` have the keys `micro`, `macro` and `by_type`. `seen` and `unseen`, if present, have the
        micro scores and `by_type`.
        """
        result = {"records": self.records, "exact": self.exact.to_json(), "relaxed": self.relaxed.to_json()}
        for name, scores in (("seen", self.seen), ("unseen", self.unseen)):
            if scores is not None:
                by_type = scores.to_json()["by_type"]
                result[name] = scores.micro.to_json() | {"by_type": by_type}
        return result

    def table(self) -> Table:
        """Returns the report as a table with a row for each label, then micro, macro, seen and unseen."""
        table = Table(title=f"{self.records} records", title_justify="left")
        # Labels come from the user, so they are neither read as markup nor cut off.
        table.add_column("label", overflow="fold", max_width=_LABEL_WIDTH)
        for name in ("support", "TP", "FP", "FN", "exact P", "R", "F1", "relaxed P", "R", "F1"):
            table.add_column(name, justify="right", no_wrap=True)
        for label, row in self.exact.by_type.items():
            table.add_row(Text(label), *_counts(row), *_figures(row), *_figures(self.relaxed.by_type[label]))
        table.add_section()
        micro = self.exact.micro
        table.add_row("micro", *_counts(micro), *_figures(micro), *_figures(self.relaxed.micro))
        none = ("", "", "", "")
        table.add_row("macro", *none, *_figures(self.exact.macro), *_figures(self.relaxed.macro))
        if self.seen is not None and self.unseen is not None:
            table.add_section()
            for name, scores in (("seen in training", self.seen), ("unseen", self.unseen)):
                table.add_row(name, *_counts(scores.micro), *_figures(scores.micro))
        return table

    def print(self, console: Console) -> None:
        """Prints the table; a table that is too wide gets folded labels and no lines between columns.

        It is never cut off: on a narrower terminal, its lines wrap.
        """
        table = self.table()
        if _least_width(table, console) > console.width:
            table.columns[0].max_width = _NARROW_LABEL_WIDTH
        if _least_width(table, console) > console.width:
            table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 0), False
        width = console.width
        try:
            console.width = max(width, _least_width(table, console))
            console.print(table)
        finally:
            console.width = width


def _least_width(table: Table, console: Console) -> int:
    # Measured with a large width, because a measurement is at most the console's width.
    return Measurement.get(console, console.options.update(width=1000), table).minimum


def _counts(row: Counts) -> tuple[str, ...]:
    return (str(row.support), str(row.true_positives), str(row.false_positives), str(row.false_negatives))


def _figures(row: Counts | Macro) -> tuple[str, ...]:
    return tuple(f"{100 * value:.2f}" for value in (row.precision, row.recall, row.f1))
