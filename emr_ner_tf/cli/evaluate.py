"""Scores a model on annotated records: exact and relaxed span matches, overall and by label.

  emr-ner evaluate --bundle=runs/bundles/ner --input=heldout.jsonl --train=train.jsonl

Mentions that do not occur in the training records are also scored separately. The training records are --train or, by
default, the file that the model's configuration names, if it still exists.

A report to look at, as one HTML file (docs/evaluation.md), and the difference from another model or from predictions in
a file:

  emr-ner evaluate --bundle=runs/bundles/ner --input=heldout.jsonl --report=report.html
  emr-ner evaluate --bundle=runs/bundles/ner --input=heldout.jsonl --report=report.html --compare=other/bundles
"""

import contextlib
import functools
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags, logging
from rich.console import Console

from emr_ner_tf.cli.console import results
from emr_ner_tf.cli.evaluate_compare import is_model, read_predictions
from emr_ner_tf.cli.format_flags import define_format_flags, define_on_error, format_options
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.config import reading_settings
from emr_ner_tf.data.atomic_io import STANDARD, atomic_writer, check_not_an_input
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import parse_options
from emr_ner_tf.data.formats.table import AUTO, READ_FORMATS
from emr_ner_tf.data.lines import indented_json, source_name
from emr_ner_tf.data.output_folders import check_output_folder
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import REMEDIES, read_again, read_documents
from emr_ner_tf.data.rejects import RejectsWriter
from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.progress_bar import ProgressBar

if TYPE_CHECKING:
    from emr_ner_tf.evaluation.comparison import Comparison
    from emr_ner_tf.evaluation.report import Report

_BUNDLE = define_path(
    "bundle",
    None,
    "Bundle to load: the directory of one version, or the directory of all versions (the newest is used).",
)
_MODEL_DIR = define_path(
    "model_dir", None, "Model directory that `emr-ner train` wrote, instead of --bundle."
)
_CHECKPOINT = flags.DEFINE_enum(
    "checkpoint",
    "best",
    ["best", "last"],
    "Checkpoint to use of --model_dir, and of --compare if that is a model directory.",
)
_INPUT = define_path("input", None, "Annotated records to score the model on.", stream="input")
_FORMAT = define_format_flags("--input and --train")
_TRAIN = define_path("train", None, "Training records, to tell seen mentions from unseen ones.", several=True)
_OVERLAPS = flags.DEFINE_enum(
    "overlaps",
    "error",
    ["error", "longest"],
    "What to do with overlapping mentions: error refuses them, longest keeps the longest.",
)
_OUTPUT = define_path("output", None, "File to write the scores to, as JSON.", stream="output")
_ON_ERROR = define_on_error("OUTPUT.rejects.jsonl")
_LOOKUP = flags.DEFINE_bool(
    "lookup_baseline", False, "Also score a dictionary lookup of the training mentions."
)
_BY_RECORD = flags.DEFINE_bool(
    "by_record",
    False,
    "Also write the exact-match counts of each record to --output: [TP, FP, FN], in the order of the records.",
)
_REPORT = define_path("report", None, "HTML file to write a report of scores and errors to.")
_REDACT = flags.DEFINE_bool(
    "redact", False, "Leave the text and the ids of records out of --report: only lengths and offsets remain."
)
_COMPARE = define_path(
    "compare",
    None,
    "What to compare the model with: a bundle, a model directory, or a file or folder of the same records with "
    "predictions.",
)
_COMPARE_FORMAT = flags.DEFINE_enum(
    "compare_format",
    AUTO,
    [AUTO, *READ_FORMATS],
    "Format of --compare, if it has predictions; auto finds it by looking.",
)
_COMPARE_OPTIONS = flags.DEFINE_string(
    "compare_options",
    "",
    "The other format flags, such as --encoding and --offset_unit, for --compare: NAME=VALUE, several separated by "
    "commas. Those flags themselves apply to --input and --train only.",
)
flags.mark_flags_as_required(["input"])
_PLACES = {
    "both": "both",
    "only_one": "only this model",
    "only_other": "only the other",
    "neither": "neither",
}
_REMEDIES = REMEDIES | {
    "labels": "the model has no such label: remove these mentions from the records, or train a model with the label"
}


def main() -> None:
    """Annotates the records, scores them, and writes and prints the scores."""
    _check_flags()

    from emr_ner_tf.evaluation.comparison import compare
    from emr_ner_tf.evaluation.lookup import LookupAnnotator
    from emr_ner_tf.evaluation.scoring import exact_counts, score, seen_mentions
    from emr_ner_tf.exporting.bundle import Bundle
    from emr_ner_tf.training.loading import restore

    rejects = RejectsWriter.beside(_OUTPUT.value, [_INPUT.value]) if _ON_ERROR.value == "skip" else None
    if _BUNDLE.value is not None:
        tagger = Bundle(_BUNDLE.value)
        definition = tagger.definition
    else:
        tagger, definition = restore(_MODEL_DIR.value, _CHECKPOINT.value)
    labels = definition.labels

    reading = {
        "format": _FORMAT.value,
        "labels": labels,
        "overlaps": _OVERLAPS.value,
        "options": format_options(),
    }
    with rejects or contextlib.nullcontext():
        gold = _annotated_records(reading, rejects)
    train = _training_records(definition.config, reading)
    if _LOOKUP.value and not train:
        raise UsageError("--lookup_baseline requires --train")
    seen = seen_mentions(train) if train else None
    found = _annotated(tagger, gold, "annotating")
    comparison = None
    if _COMPARE.value is not None:
        other, other_labels = _other_predictions(gold, rejects.count if rejects is not None else 0)
        labels = tuple(dict.fromkeys((*labels, *other_labels)))
        comparison = compare(gold, found, other, labels, _shown_name(_COMPARE.value))
    reports = {"": score(gold, found, labels, seen)}
    result = reports[""].to_json()
    if comparison is not None:
        result["comparison"] = comparison.to_json()
    if _BY_RECORD.value:
        result["by_record"] = exact_counts(gold, found, labels).sum(axis=1).tolist()
    if _LOOKUP.value:
        baseline = score(gold, list(LookupAnnotator(train).annotate(gold)), labels, seen)
        reports["lookup of training mentions"] = baseline
        result["lookup_baseline"] = baseline.to_json()
    # Written before anything is printed: an error on the terminal must not lose the scores.
    if _OUTPUT.value is not None:
        with atomic_writer(_OUTPUT.value) as file:
            file.write(indented_json(result))
    if _REPORT.value is not None:
        _write_report(gold, found, train, reports[""], comparison, definition.config)
    console = results(sys.stderr if _OUTPUT.value == STANDARD else None)
    for title, report in reports.items():
        if title:
            console.print(f"\n{title}", style="bold")
        report.print(console)
    if comparison is not None:
        _print_comparison(console, comparison)
    if _REPORT.value is not None:
        holds = "no text of records" if _REDACT.value else "text of records; --redact leaves it out"
        console.print(f"report: {_REPORT.value} ({holds})", soft_wrap=True)


def _check_flags() -> None:
    if (_BUNDLE.value is None) == (_MODEL_DIR.value is None):
        raise UsageError("exactly one of --bundle and --model_dir is required")
    if _CHECKPOINT.present and _MODEL_DIR.value is None and _COMPARE.value is None:
        raise UsageError("--checkpoint requires --model_dir; a bundle has the weights of one checkpoint only")
    if _REDACT.value and _REPORT.value is None:
        raise UsageError("--redact requires --report")
    if _BY_RECORD.value and _OUTPUT.value is None:
        raise UsageError("--by_record requires --output")
    if _COMPARE.value is None and (_COMPARE_FORMAT.value != AUTO or _COMPARE_OPTIONS.value):
        raise UsageError("--compare_format and --compare_options require --compare")
    # A wrong value is reported before the records are annotated.
    compare_options = parse_options(_COMPARE_OPTIONS.value, "--compare_options")
    outputs = [path for path in (_OUTPUT.value, _REPORT.value) if path is not None]
    inputs = [_INPUT.value, *(split_paths(_TRAIN.value, "--train") if _TRAIN.value else ())]
    inputs += [_COMPARE.value or "", format_options().tag_names, compare_options.tag_names]
    for path in outputs:
        # Later, the work of annotating would be lost.
        if os.path.isdir(path):
            raise UsageError(f"--output and --report must name files, and {path} is a directory")
        if path != STANDARD:
            check_output_folder(os.path.dirname(path) or os.curdir, "the folder of --output and --report")
        check_not_an_input(path, inputs)
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise UsageError(f"--output and --report must be different files, got {_OUTPUT.value} for both")


def _other_predictions(gold: Sequence[Document], rejected: int) -> tuple[list[Document], tuple[str, ...]]:
    """Returns the documents with the predictions of --compare, and their labels.

    Raises:
        UserError: the records are others than those of --input.
    """
    path, options = _COMPARE.value, parse_options(_COMPARE_OPTIONS.value, "--compare_options")
    if is_model(path, _COMPARE_FORMAT.value, options):
        from emr_ner_tf.api import load

        tagger = load(path, checkpoint=_CHECKPOINT.value)
        return _annotated(tagger, gold, "annotating for --compare"), tagger.labels
    predicted = read_predictions(
        path,
        gold,
        format=_COMPARE_FORMAT.value,
        overlaps=_OVERLAPS.value,
        options=options,
        rejected=rejected,
    )
    labels = tuple(sorted({entity.label for document in predicted for entity in document.entities}))
    return predicted, labels


def _annotated(tagger: Annotator, gold: Sequence[Document], title: str) -> list[Document]:
    with ProgressBar(title, len(gold)) as bar:
        return list(tagger.annotate(gold, on_progress=bar.advance))


def _write_report(
    gold: Sequence[Document],
    found: Sequence[Document],
    train: Sequence[Document],
    report: "Report",
    comparison: "Comparison | None",
    config: Any,
) -> None:
    from emr_ner_tf.evaluation.html_report import Source, html_report

    training = ""
    if report.seen is not None:
        training = ", ".join(map(os.path.basename, split_paths(_TRAIN.value or config.data.train, "--train")))
    model = _shown_name(_BUNDLE.value or _MODEL_DIR.value)
    if comparison is not None and comparison.name == model:
        model, comparison = f"{model} (1)", comparison._replace(name=f"{model} (2)")
    source = Source(_shown_name(_INPUT.value), model, training)
    with atomic_writer(_REPORT.value) as file:
        file.write(
            html_report(gold, found, report, source, train=train, comparison=comparison, redact=_REDACT.value)
        )


def _print_comparison(console: Console, comparison: "Comparison") -> None:
    difference = comparison.difference
    places = [
        {key: sum(counts[key] for counts in rows.values()) for key in next(iter(rows.values()))}
        for rows in (comparison.found, comparison.wrong)
    ]
    console.print(f"\ncompared with {comparison.name}", style="bold")
    console.print(
        f"exact F1 {100 * comparison.other.micro.f1:.2f}; difference {100 * difference.difference:+.2f}, 95 % "
        f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}, p = {difference.p:.4f} (paired bootstrap)",
        soft_wrap=True,
    )
    for name, counts in zip(("annotated mentions found by", "wrong predictions of"), places, strict=True):
        shown = (f"{_PLACES[key]} {count}" for key, count in counts.items())
        console.print(f"{name}: {', '.join(shown)}", soft_wrap=True)


def _shown_name(path: str) -> str:
    """Returns the name of a file or directory without the directories above it; what is not UTF-8 is escaped."""
    name = "standard input" if path == STANDARD else pathlib.Path(path).absolute().name
    return escape_surrogates(name)


def _annotated_records(reading: dict[str, Any], rejects: RejectsWriter | None) -> list[Document]:
    """Reads the records of --input.

    Raises:
        UserError: no record has a mention to score.
    """
    gold = list(read_documents(_INPUT.value, rejects=rejects, remedies=_REMEDIES, **reading))
    if rejects is not None and rejects.count:
        logging.warning("%d records rejected and not scored, see %s", rejects.count, rejects.path)
    if not any(document.entities for document in gold):
        has = f"none of its {len(gold)} good records has a mention" if gold else "it contains no good record"
        raise UserError(
            f"--input={source_name(_INPUT.value)}: must contain annotated records to score, but {has}"
        )
    return gold


def _training_records(config: Any, reading: dict[str, Any]) -> list[Document]:
    """Reads the records of --train or, by default, of the files that the model was trained on, if they still exist."""
    if _TRAIN.value is not None:
        # The rejects file is only for records of --input, which are then not scored.
        read = functools.partial(read_documents, remedies=_REMEDIES)
        if _ON_ERROR.value == "skip":
            read = read_again
        paths = split_paths(_TRAIN.value, "--train")
        train = [document for path in paths for document in read(path, **reading)]
        if not any(document.entities for document in train):
            has = f"none of {len(train)} good records has a mention" if train else "there is no good record"
            raise UserError(f"--train={_TRAIN.value}: must contain annotated records, but {has}")
        return train
    named = split_paths(config.data.train, "config.data.train of the model")
    absent = [path for path in named if not pathlib.Path(path).exists()]
    if absent:
        logging.warning(
            "no scores for unseen mentions: %s does not exist; give its new path with --train",
            ", ".join(absent),
        )
        return []
    # Flags about --input say nothing about these files.
    reading = reading | reading_settings(config.data)
    # The training run has already reported its bad records.
    return [document for path in named for document in read_again(path, **reading)]


if __name__ == "__main__":
    run(main)
