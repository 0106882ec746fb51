"""Prints the bad records of `data validate` and the figures of `data stats`; writes figures as JSON."""

import collections
import sys
from typing import Any

from rich.table import Table

from emr_ner_tf.cli.console import print_table, results
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.data.lines import indented_json
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.stats import CorpusStats

_LISTED = 100


class Listing:
    """Lists the first bad records on standard error, counts all, and counts those to which each remedy applies."""

    def __init__(self) -> None:
        self.count = 0
        self.remedies: collections.Counter[str] = collections.Counter()

    def add(self, error: RecordError, raw: bytes) -> None:
        """Receives a bad record."""
        self.count += 1
        if self.count <= _LISTED:
            print(error.fault, file=sys.stderr)
        if error.remedy:
            self.remedies[error.remedy] += 1


def print_stats(stats: CorpusStats) -> None:
    """Prints the figures of a corpus."""
    console, table = results(), Table()
    for column in ("label", "name", "mentions", "distinct forms"):
        table.add_column(column, justify="left" if column in ("label", "name") else "right", overflow="fold")
    for label, figures in stats.by_label.items():
        name = CCKS2019_LABELS.get(label, "")
        table.add_row(label, name, str(figures.mentions), str(figures.distinct_forms))
    table.add_section()
    forms = sum(figures.distinct_forms for figures in stats.by_label.values())
    table.add_row("all", "", str(stats.mentions), str(forms))
    print_table(console, f"{stats.records} records, {stats.characters} characters", table)
    if stats.records:
        table = Table()
        for percent in stats.length_percentiles:
            table.add_column(
                {0: "min", 50: "median", 100: "max"}.get(percent, f"{percent} %"), justify="right"
            )
        table.add_row(*map(str, stats.length_percentiles.values()))
        print_table(console, "characters in a record", table)
        for length, count in stats.longer_than.items():
            share = 100 * count / stats.records
            console.print(f"{count} records ({share:.1f} %) have more than {length} characters")
        console.print(f"{stats.white_space_at_edge} mentions begin or end with white space")


def write_figures(values: dict[str, Any], output: str | None, *, printed: bool) -> None:
    """Writes figures as JSON to `output`, where it is given, and to standard output, where they are to be printed."""
    text = indented_json(values)
    if output is not None:
        with atomic_writer(output) as file:
            file.write(text)
    if printed:
        print(text, end="")
