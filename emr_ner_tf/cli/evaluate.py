"""Scores a model on annotated records: exact and relaxed span matches, overall and by label.

  emr-ner evaluate --bundle=runs/bundles/ner --input=heldout.jsonl --train=train.jsonl

Mentions that do not occur in the training records are also scored separately. The training records are --train or, by
default, the file that the model's configuration names, if it still exists.
"""

import contextlib
import functools
import json
import pathlib
import sys
from typing import Any

from absl import flags, logging

from emr_ner_tf.cli.console import results
from emr_ner_tf.cli.format_flags import define_format_flags, format_options
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.data.atomic_io import STANDARD, atomic_writer, check_not_an_input
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS
from emr_ner_tf.data.lines import source_name
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import REMEDIES, read_again, read_documents
from emr_ner_tf.data.rejects import RejectsWriter
from emr_ner_tf.errors import UsageError, UserError

_BUNDLE = define_path(
    "bundle",
    None,
    "Bundle to load: the directory of one version, or the directory of all versions (the newest is used).",
)
_MODEL_DIR = define_path(
    "model_dir", None, "Model directory that `emr-ner train` wrote, instead of --bundle."
)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Checkpoint of --model_dir to score.")
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
_ON_ERROR = flags.DEFINE_enum(
    "on_error",
    "raise",
    ["raise", "skip"],
    "What to do with a bad record: raise stops with an error, skip writes it to OUTPUT.rejects.jsonl.",
)
_LOOKUP = flags.DEFINE_bool(
    "lookup_baseline", False, "Also score a dictionary lookup of the training mentions."
)
_BY_RECORD = flags.DEFINE_bool(
    "by_record",
    False,
    "Also write the exact-match counts of each record, [TP, FP, FN], in the order of the records.",
)
flags.mark_flags_as_required(["input"])
_REMEDIES = REMEDIES | {
    "labels": "the model has no such label: remove these mentions from the records, or train a model with the label"
}


def main() -> None:
    """Annotates the records, scores them, and writes and prints the scores."""
    if (_BUNDLE.value is None) == (_MODEL_DIR.value is None):
        raise UsageError("exactly one of --bundle and --model_dir is required")
    if _OUTPUT.value is not None:
        check_not_an_input(
            _OUTPUT.value, [_INPUT.value, *(split_paths(_TRAIN.value, "--train") if _TRAIN.value else ())]
        )

    from emr_ner_tf.evaluation.lookup import LookupAnnotator
    from emr_ner_tf.evaluation.scoring import exact_by_record, score, seen_mentions
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
    found = list(tagger.annotate(gold))
    reports = {"": score(gold, found, labels, seen)}
    result = reports[""].to_json()
    if _BY_RECORD.value:
        counts = exact_by_record(gold, found)
        result["by_record"] = [[c.true_positives, c.false_positives, c.false_negatives] for c in counts]
    if _LOOKUP.value:
        baseline = score(gold, list(LookupAnnotator(train).annotate(gold)), labels, seen)
        reports["lookup of training mentions"] = baseline
        result["lookup_baseline"] = baseline.to_json()
    # Written before anything is printed: an error on the terminal must not lose the scores.
    if _OUTPUT.value is not None:
        with atomic_writer(_OUTPUT.value) as file:
            json.dump(result, file, ensure_ascii=False, indent=2)
            file.write("\n")
    console = results(sys.stderr if _OUTPUT.value == STANDARD else None)
    for title, report in reports.items():
        if title:
            console.print(f"\n{title}", style="bold")
        report.print(console)


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
    own = {"format": config.data.format, "overlaps": config.data.overlaps, "options": DEFAULT_OPTIONS}
    reading = reading | own
    # The training run has already reported its bad records.
    return [document for path in named for document in read_again(path, **reading)]


if __name__ == "__main__":
    run(main)
