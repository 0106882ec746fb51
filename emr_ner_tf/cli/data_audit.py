"""`data audit`: finds likely annotation errors, prints and writes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from emr_ner_tf.cli.console import print_table, results
from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import Located
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UsageError

if TYPE_CHECKING:
    from emr_ner_tf.audit.audit import Suspect

_THRESHOLDS = (0.9, 0.5)


def check_flags(has_config: bool, has_models: bool, has_work_dir: bool) -> None:
    """Raises a UsageError unless the flags that are given name either models or their training."""
    if has_config == has_models:
        raise UsageError("audit requires either --config or --model_dir")
    if has_config != has_work_dir:
        raise UsageError("--work_dir is required with --config, and has no meaning with --model_dir")


def audit(
    records: Sequence[Located],
    labels: Sequence[str],
    *,
    config: ConfigDict | None,
    model_dirs: Sequence[str],
    work_dir: str,
    folds: int,
    seed: int,
    output: str | None,
    format: str,
    options: FormatOptions,
    examples: int,
) -> None:
    """Finds the likely annotation errors of records, writes them, and prints their number and the first places.

    Args:
        records: the corpus.
        labels: labels of its mentions.
        config: training settings of the folds' models; None compares with `model_dirs`.
        model_dirs: models that exist.
        work_dir: directory for the folds.
        folds: number of folds.
        seed: seed of the folds.
        output: file for the records with likely errors, the most suspicious record first; None writes none.
        format: format of `output`.
        options: its settings.
        examples: maximum number of places to print.

    Raises:
        UserError: as `emr_ner_tf.audit.audit`.
    """
    from emr_ner_tf.audit.audit import audit_by_folds, audit_by_models, suspect_documents

    if config is None:
        suspects = audit_by_models(records, model_dirs)
    else:
        suspects = audit_by_folds(records, labels, config, work_dir, folds=folds, seed=seed)
    if output is not None:
        write_documents(output, suspect_documents(suspects), format, options=options)
    _print_table(suspects, len(records))
    for suspect in suspects[:examples]:
        results().print(_line(suspect), soft_wrap=True)


def _print_table(suspects: "Sequence[Suspect]", records: int) -> None:
    from emr_ner_tf.audit.audit import count_suspects
    from emr_ner_tf.audit.candidates import KINDS

    table = Table()
    table.add_column("kind")
    for least in _THRESHOLDS:
        table.add_column(f"suspicion >= {least}", justify="right")
    table.add_column("all", justify="right")
    table.add_column("meaning", overflow="fold")
    for kind, counts in count_suspects(suspects, [*_THRESHOLDS, 0.0]).items():
        table.add_row(kind, *map(str, counts), KINDS[kind])
    print_table(results(), f"{len(suspects)} likely errors in {records} records", table)


def _line(suspect: "Suspect") -> str:
    record, candidate = suspect.record, suspect.candidate
    place, id = f"{record.path}:{record.line}", record.document.id
    named = "" if id == place else f" ({id})"
    line = f"{place}: {candidate.start}-{candidate.end}{named}: {candidate.kind}: {candidate.label}, "
    line += f"suspicion {candidate.suspicion:.2f}"
    against = ", ".join(f"{one.label} {one.start}-{one.end}" for one in candidate.annotated)
    return f"{line}; annotated: {against}" if against else line
