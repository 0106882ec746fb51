"""Sets up the comparisons of `data check` and prints its findings."""

import functools
from collections.abc import Callable, Sequence

from rich.table import Table

from emr_ner_tf.cli.console import print_table, results
from emr_ner_tf.config import base_config
from emr_ner_tf.data.checks.check import CheckSettings, Reader, check_corpus
from emr_ner_tf.data.checks.findings import ERROR, KINDS, Finding, Report
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UsageError, UserError


def check(
    read: Reader,
    read_heldout: Reader | None,
    *,
    labels: Sequence[str] | None,
    overlaps: str,
    window: int,
    encoder: str,
    show_text: bool,
) -> Report:
    """Checks records; see `emr_ner_tf.data.checks.check.check_corpus`.

    Args:
        read: reads the records.
        read_heldout: reads held-out records, if there are any.
        labels: the labels in use; None for those of the records.
        overlaps: as in `CheckSettings`.
        window: number of characters of a window; 0 checks no windows.
        encoder: directory or hub name of the encoder whose vocabulary is checked; "" checks none.
        show_text: whether places have their text.

    Raises:
        UserError: the window is too small, or the encoder has no vocabulary.
    """
    slack = base_config().text.slack
    if 0 < window <= slack:
        raise UsageError(f"--window must be 0 or above {slack}, got {window}")
    settings = CheckSettings(
        labels=labels,
        overlaps=overlaps,
        window=window,
        cuts=functools.partial(_cuts, window=window, slack=slack),
        is_known=_known_characters(encoder) if encoder else None,
        show_text=show_text,
    )
    return check_corpus(read, read_heldout, settings)


def _cuts(documents: Sequence[Document], *, window: int, slack: int) -> list[list[int]]:
    # TensorFlow takes seconds to import, and records of a few sentences need no cut.
    from emr_ner_tf.text.cuts import cut_places

    return cut_places(documents, window=window, slack=slack)


def _known_characters(encoder: str) -> Callable[[str], bool]:
    from emr_ner_tf.encoders.vocabulary_files import read_vocabulary

    vocabulary = read_vocabulary(encoder).vocabulary
    table = vocabulary.code_point_table()
    return lambda character: table[ord(character)] != vocabulary.unk_id


def raise_errors(report: Report) -> None:
    """Raises a UserError with the number of errors of each kind, if there is an error."""
    kinds = [f"{number} {kind}" for (kind, severity), number in report.counts.items() if severity == ERROR]
    if kinds:
        raise UserError(f"{report.errors} errors: {', '.join(kinds)}")


def print_findings(report: Report, examples: int) -> None:
    """Prints the number of findings by kind, and some of each kind.

    Args:
        report: the findings.
        examples: maximum number of findings of a kind to print.
    """
    console, table = results(), Table()
    for column in ("severity", "kind", "findings", "places", "meaning"):
        table.add_column(
            column, justify="right" if column in ("findings", "places") else "left", overflow="fold"
        )
    shown = []
    for (kind, severity), number in report.counts.items():
        found = [finding for finding in report.of_kind(kind) if finding.severity == severity]
        places = sum(finding.count for finding in found)
        table.add_row(severity, kind, str(number), str(places), KINDS[kind].summary)
        shown += found[:examples]
    compared = f", compared with {report.against} held-out records" if report.against else ""
    print_table(console, f"{report.records} records with {report.mentions} mentions{compared}", table)
    for finding in shown:
        console.print(_line(finding), soft_wrap=True)


def _line(finding: Finding) -> str:
    parts = []
    if finding.places:
        place = finding.places[0]
        named = place.id is not None and place.id != f"{place.file}:{place.line}"
        parts.append(f"{place} ({place.id})" if named else str(place))
    parts += [f"{finding.severity}: {finding.kind}", finding.message]
    text = finding.places[0].text if finding.places else ""
    line = ": ".join(parts)
    line += f" (and {finding.count - 1} more places)" if finding.places and finding.count > 1 else ""
    return f"{line}: {text!r}" if text else line
