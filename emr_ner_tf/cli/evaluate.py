"""Scores a model on annotated records: exact and relaxed match, by type, on character spans of whole records.

  python -m emr_ner_tf.cli.evaluate --bundle=runs/bundles/ner --input=held.jsonl --train=train.jsonl

With --train (by default the training file that the model's own config names, where it still stands, read as it was for
training) mentions whose form training has not shown are scored apart.
"""

import json
import pathlib

from absl import flags, logging

from emr_ner_tf.cli.console import results
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UsageError

_BUNDLE = define_path("bundle", None, "A bundle's version, or the directory of its versions (newest taken).")
_MODEL_DIR = define_path(
    "model_dir", None, "A directory that the train main has written, instead of --bundle."
)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Of --model_dir.")
_INPUT = define_path("input", None, "Annotated records.", stream="input")
_FORMAT = flags.DEFINE_enum(
    "format", "ccks2019", ["ccks2019", "bio"], "Of --input and --train: JSON lines, or BIO columns."
)
_TRAIN = define_path("train", None, "Training records, for what is seen and unseen.", several=True)
_OVERLAPS = flags.DEFINE_enum(
    "overlaps", "error", ["error", "longest"], "What to do with overlapping mentions."
)
_OUTPUT = define_path("output", None, "Takes the scores as JSON.", stream="output")
_ON_ERROR = flags.DEFINE_enum(
    "on_error", "raise", ["raise", "skip"], "At a bad record: stop, or write it to OUTPUT.rejects.jsonl."
)
_LOOKUP = flags.DEFINE_bool("lookup_baseline", False, "Score a plain lookup of the training mentions, too.")
_BY_RECORD = flags.DEFINE_bool(
    "by_record", False, "Write the exact matches and misses of each record, too: [TP, FP, FN] in their order."
)
flags.mark_flags_as_required(["input"])


def main() -> None:
    """Tags, scores, prints and writes."""
    if (_BUNDLE.value is None) == (_MODEL_DIR.value is None):
        raise UsageError("give --bundle or --model_dir, one of the two")
    if _ON_ERROR.value == "skip" and _OUTPUT.value is None:
        raise UsageError("--on_error=skip needs --output: beside it stands the rejects file")

    from emr_ner_tf.annotator import annotate
    from emr_ner_tf.data.files import atomic_writer
    from emr_ner_tf.data.reading import read_documents
    from emr_ner_tf.data.rejects import RejectsWriter
    from emr_ner_tf.evaluation.lookup import LookupTagger
    from emr_ner_tf.evaluation.matching import exact_by_record, score, seen_mentions
    from emr_ner_tf.exporting.bundle import Bundle
    from emr_ner_tf.training.restoring import restore

    if _BUNDLE.value is not None:
        tagger = Bundle(_BUNDLE.value)
        definition = tagger.definition
    else:
        tagger, definition = restore(_MODEL_DIR.value, _CHECKPOINT.value)
    labels = definition.labels
    rejects = RejectsWriter(f"{_OUTPUT.value}.rejects.jsonl") if _ON_ERROR.value == "skip" else None

    reading = {"format": _FORMAT.value, "labels": labels, "overlaps": _OVERLAPS.value}
    gold = list(read_documents(_INPUT.value, rejects=rejects, **reading))
    train = _training_records(definition.config, reading)
    if _LOOKUP.value and not train:
        raise UsageError("--lookup_baseline needs --train")
    seen = seen_mentions(train) if train else None
    found = list(annotate(gold, tagger.tag_texts))
    report = score(gold, found, labels, seen)
    console = results()
    report.print(console)
    result = report.to_json()
    if _BY_RECORD.value:
        counts = exact_by_record(gold, found)
        result["by_record"] = [[c.true_positives, c.false_positives, c.false_negatives] for c in counts]
    if _LOOKUP.value:
        baseline = score(gold, list(annotate(gold, LookupTagger(train))), labels, seen)
        console.print("\nlookup of training mentions", style="bold")
        baseline.print(console)
        result["lookup_baseline"] = baseline.to_json()
    if rejects is not None:
        rejects.close()
        if rejects.count:
            logging.warning(
                "%d records rejected and not scored, see %s.rejects.jsonl", rejects.count, _OUTPUT.value
            )
    if _OUTPUT.value is not None:
        with atomic_writer(_OUTPUT.value) as file:
            json.dump(result, file, ensure_ascii=False, indent=2)
            file.write("\n")


def _training_records(config, reading: dict) -> list:
    """Records of --train, else of the files that the model was trained on; none where those are gone."""
    from emr_ner_tf.data.reading import read_again, read_documents

    if _TRAIN.value is not None:
        # The rejects file is for records of --input, which are then not scored.
        read = read_documents if _ON_ERROR.value == "raise" else read_again
        return [document for path in _TRAIN.value.split(",") for document in read(path, **reading)]
    named = [path for path in config.data.train.split(",") if path]
    absent = [path for path in named if not pathlib.Path(path).exists()]
    if absent:
        logging.warning(
            "no figures for unseen mentions: %s is not there; name it with --train", ", ".join(absent)
        )
        return []
    reading = reading | {"format": config.data.format, "overlaps": config.data.overlaps}
    # Training has said which of its records are bad.
    return [document for path in named for document in read_again(path, **reading)]


if __name__ == "__main__":
    run(main)
