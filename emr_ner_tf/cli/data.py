r"""Validates, checks, counts, splits and converts annotated records.

  emr-ner data SUBCOMMAND --input=FILE [--input=FILE ...] [--FLAG=VALUE ...]

validate   Checks every record and lists each fault with file, line, mention, rule and value; the exit status
           is 1 if there is any. No text of a record is shown. With --output, good records are written there.

  emr-ner data validate --input=records.jsonl
  emr-ner data validate --input=records.jsonl --on_error=skip --output=good.jsonl

check      Looks for likely mistakes: missed repeats, differing labels and boundaries, mentions with punctuation at an
           edge, duplicates, text that held-out records (--against) share with these, and others; docs/data.md lists
           them. The exit status is 1 if there are errors, and 0 if there are warnings only. No text of a record is
           shown without --show_text.

  emr-ner data check --input=train.jsonl --against=heldout.jsonl --encoder=DIR_OR_NAME --output=findings.json

audit      Ranks likely annotation errors by the probabilities of models that have not seen the record: one model for
           each of --folds folds, trained by --config, or models of folds that exist (--model_dir). The same command
           continues an audit that was stopped. --output opens in annotation tools: --to=label_studio, doccano, csv.

  emr-ner data audit --input=records.jsonl --config=default --config.encoder=DIR_OR_NAME --work_dir=runs/audit \
    --output=suspects.jsonl

stats      Counts records, mentions and distinct surface forms by label, and shows the lengths of records.

  emr-ner data stats --input=part1.txt --input=part2.txt
  emr-ner data stats --input=records.jsonl --labels=infer --json

split      Splits records at random into OUTPUT/train.jsonl and OUTPUT/heldout.jsonl, 7:3 by default; the files of
           other formats have their extensions.

  emr-ner data split --input=records.jsonl --output=split --seed=1
  emr-ner data split --input=records.jsonl --output=split --keep_near_duplicates_together

convert    Converts records from any format to any other, and says what the other format cannot hold.

  emr-ner data convert --input=records.jsonl --output=records.bio
  emr-ner data convert --input=CMeEE_train.json --output=brat_folder --to=brat --labels=infer --overlaps=keep
  emr-ner data convert --input=notes.csv --encoding=gb18030 --noannotated --output=notes.jsonl
"""

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from absl import flags, logging
from ml_collections import config_flags

from emr_ner_tf.cli.data_audit import audit, check_flags
from emr_ner_tf.cli.data_check import check, print_findings, raise_errors
from emr_ner_tf.cli.data_split import split
from emr_ner_tf.cli.data_tables import Listing, print_stats, write_figures
from emr_ner_tf.cli.format_flags import (
    define_format_flags,
    define_on_error,
    define_to,
    format_options,
    output_format,
)
from emr_ner_tf.cli.path_flags import define_path, define_paths, local_paths
from emr_ner_tf.cli.record_count import count_for_bar
from emr_ner_tf.cli.runner import run
from emr_ner_tf.config import base_config
from emr_ner_tf.data.atomic_io import STANDARD, check_not_an_input
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, SCHEMES, FormatOptions
from emr_ner_tf.data.formats.table import AUTO, FORMATS
from emr_ner_tf.data.labels import resolve_labels
from emr_ner_tf.data.lines import check_rereadable
from emr_ner_tf.data.near_duplicates import NEAR
from emr_ner_tf.data.reading import Located, read_again, read_documents, read_located
from emr_ner_tf.data.rejects import NullRejects, Rejects, RejectsWriter
from emr_ner_tf.data.stats import corpus_stats
from emr_ner_tf.data.validation import OVERLAPS
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.progress_bar import ProgressBar

_INPUT = define_paths("input", "File of records to read.", required=True, stream="input")
_OUTPUT = define_path(
    "output",
    None,
    "File to write; for split, the folder of its two files; for check and stats, the findings or figures as JSON.",
    stream="output",
)
_FORMAT = define_format_flags("--input and --against")
_TO = define_to(
    "that of --input, but for convert ccks2019, or bio for ccks2019 unless the name ends in .json or .jsonl."
)
_TO_SCHEME = flags.DEFINE_enum(
    "to_scheme", "bio", SCHEMES, "Tag scheme of --output, for conll and huggingface."
)
_ON_ERROR = define_on_error("OUTPUT.rejects.jsonl")
_LABELS = define_path(
    "labels",
    "ccks2019",
    "Valid labels: ccks2019, infer (the labels of the records), or a file with one label per line.",
)
_OVERLAPS = flags.DEFINE_enum(
    "overlaps",
    "error",
    OVERLAPS,
    "What to do with overlapping mentions: error refuses them, longest keeps the longest, keep keeps them all.",
)
_ANNOTATED = flags.DEFINE_bool(
    "annotated", True, "Require annotated records; --noannotated accepts texts without mentions."
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of tables (check, stats).")
_AGAINST = define_paths("against", "File of held-out records to compare with (check).")
_ENCODER = define_path(
    "encoder",
    "",
    "Encoder whose vocabulary should have the characters of the records (check): directory or hub name.",
)
_WINDOW = flags.DEFINE_integer(
    "window",
    base_config().text.window,
    "Number of characters of a window, as config.text.window in training; 0 checks no windows (check).",
    lower_bound=0,
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", 3, "Number of findings of each kind (check), or in all (audit), to print.", 0
)
_SHOW_TEXT = flags.DEFINE_bool(
    "show_text", False, "Show the text of mentions, which may be confidential (check)."
)
_RATIO = flags.DEFINE_string("ratio", "7:3", "Ratio of training records to held-out records (split).")
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the split (split) or of the folds (audit).")
_TOGETHER = flags.DEFINE_bool(
    "keep_near_duplicates_together",
    False,
    f"Put near-duplicates on the same side: records that {NEAR} (split).",
)
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Recipe of the models of the folds, as in `emr-ner train` (audit).", lock_config=True
)
_MODEL_DIR = define_paths("model_dir", "Model directory of a model that has not seen all records (audit).")
_WORK_DIR = define_path("work_dir", None, "Directory for the folds' records, models and results (audit).")
_FOLDS = flags.DEFINE_integer("folds", 5, "Number of folds (audit).", lower_bound=2)
_AUDIT = ("config", "model_dir", "work_dir", "folds")
_FLAGS = {
    "validate": ("output", "on_error", "to", "to_scheme"),
    "check": ("output", "json", "against", "encoder", "window", "examples", "show_text"),
    "audit": (*_AUDIT, "output", "to", "to_scheme", "examples", "seed"),
    "stats": ("output", "on_error", "json"),
    "split": ("output", "on_error", "to", "to_scheme", "ratio", "seed", "keep_near_duplicates_together"),
    "convert": ("output", "on_error", "to", "to_scheme"),
}
SUBCOMMANDS = tuple(_FLAGS)
_NEED_OUTPUT = ("split", "convert")
_NO_STREAM = {
    "split": "--output of split must be a folder for its two files, got '-'",
    "stats": "--output of stats must be a file, got '-'; --json prints the figures to standard output",
    "audit": "--output of audit must be a file or a folder, got '-'",
    "check": "--output of check must be a file, got '-'; --json prints the findings to standard output",
}


def main(subcommand: str) -> None:
    """Runs a subcommand."""
    others = {flag for names in _FLAGS.values() for flag in names} - set(_FLAGS[subcommand])
    for flag in sorted(others):
        if flags.FLAGS[flag].present:
            raise UsageError(f"--{flag} is not a flag of {subcommand}")
    if _OUTPUT.value is None and subcommand in _NEED_OUTPUT:
        raise UsageError(f"{subcommand} requires --output")
    inputs = [*_INPUT.value, *(_AGAINST.value or ()), format_options().tag_names]
    inputs += [_LABELS.value] if _LABELS.value not in ("ccks2019", "infer") else []
    rejects = RejectsWriter.beside(_OUTPUT.value, inputs) if _ON_ERROR.value == "skip" else None
    if _OUTPUT.value == STANDARD and subcommand in _NO_STREAM:
        raise UsageError(_NO_STREAM[subcommand])
    if _OUTPUT.value is not None:
        # Here, a wrong --to_scheme is reported before the records are read.
        format = _written(subcommand)[0] if "to_scheme" in _FLAGS[subcommand] else ""
        for path in _sides(format) if subcommand == "split" else [_OUTPUT.value]:
            check_not_an_input(path, inputs)
    if subcommand == "audit":
        check_flags(_CONFIG.value is not None, bool(_MODEL_DIR.value), _WORK_DIR.value is not None)
    for path in _INPUT.value if subcommand in ("check", "split") else ():
        check_rereadable(path, f"{subcommand} reads it twice")
    if subcommand == "check":
        _check()
        return
    labels = resolve_labels(
        _LABELS.value,
        _INPUT.value,
        **_reading(),
        or_none=not _ANNOTATED.value and subcommand != "audit",
    )
    if subcommand == "audit":
        _audit(labels)
        return
    action = {"validate": _validate, "stats": _stats, "split": _split, "convert": _convert}[subcommand]
    if rejects is None:
        action(labels, None)
        return
    with rejects:
        action(labels, rejects)
    if rejects.count:
        logging.warning("%d records rejected, see %s", rejects.count, rejects.path)


def _validate(labels: tuple[str, ...], rejects: RejectsWriter | None) -> None:
    listing = Listing()
    sink = rejects or listing
    seen: set[object] = set()
    records = mentions = repeated = 0

    def checked() -> Iterator[Document]:
        nonlocal records, mentions, repeated
        for document in _documents(labels, sink):
            records += 1
            mentions += len(document.entities)
            if document.extra.get("id") is not None:
                repeated += document.id in seen
                seen.add(document.id)
            yield document
        if listing.count:
            bad = f"{listing.count} of {records + listing.count} records are bad"
            remedies = (f"for {count} of them, {remedy}" for remedy, count in listing.remedies.items())
            raise UserError("; ".join([bad, *remedies]))
        _check_some(records, rejects)

    if _OUTPUT.value is None:
        for _ in checked():
            pass
    else:
        format, options = _written("validate")
        write_documents(_OUTPUT.value, checked(), format, options=options)
    if repeated:
        logging.warning("%d records have the id of an earlier record", repeated)
    _say(f"{records} good records with {mentions} mentions")


def _check() -> None:
    labels = None if _LABELS.value == "infer" else resolve_labels(_LABELS.value)
    against, reading = _AGAINST.value or [], {"overlaps": "keep"}
    # The checks read the records twice.
    total = count_for_bar([*_INPUT.value, *_INPUT.value, *against], **_reading() | reading)
    with ProgressBar("checking", total) as bar:
        report = check(
            lambda rejects: bar.track(_located(_INPUT.value, rejects, **reading)),
            (lambda rejects: bar.track(_located(against, rejects, **reading))) if against else None,
            labels=labels,
            overlaps=_OVERLAPS.value,
            window=_WINDOW.value,
            encoder=_ENCODER.value,
            show_text=_SHOW_TEXT.value,
        )
    write_figures(report.to_json(), _OUTPUT.value, printed=_JSON.value)
    if not _JSON.value:
        print_findings(report, _EXAMPLES.value)
    if not report.of_kind("unreadable_record"):
        _check_some(report.records, None)
    raise_errors(report)


def _audit(labels: tuple[str, ...]) -> None:
    format, options = _written("audit")
    records = list(_located(_INPUT.value, None, labels=labels))
    _check_some(len(records), None)
    audit(
        records,
        labels,
        config=None if _CONFIG.value is None else local_paths(_CONFIG.value),
        model_dirs=_MODEL_DIR.value or (),
        work_dir=_WORK_DIR.value,
        folds=_FOLDS.value,
        seed=_SEED.value,
        output=_OUTPUT.value,
        format=format,
        options=options,
        examples=_EXAMPLES.value,
    )


def _located(paths: Iterable[str], rejects: Rejects | None, **others: Any) -> Iterator[Located]:
    # A second reading discards bad records, and has nothing more to say.
    reading = _reading() | others | {"is_quiet": isinstance(rejects, NullRejects)}
    for path in paths:
        yield from read_located(path, rejects=rejects, **reading)


def _stats(labels: tuple[str, ...], rejects: RejectsWriter | None) -> None:
    stats = corpus_stats(_some(_documents(labels, rejects), rejects), labels)
    write_figures(stats.to_json(), _OUTPUT.value, printed=_JSON.value)
    if not _JSON.value:
        print_stats(stats)


def _split(labels: tuple[str, ...], rejects: RejectsWriter | None) -> None:
    format, options = _written("split")
    split(
        _some(_documents(labels, rejects), rejects),
        lambda: _documents_again(labels),
        _sides(format),
        ratio=_RATIO.value,
        seed=_SEED.value,
        together=_TOGETHER.value,
        format=format,
        options=options,
    )


def _sides(format: str) -> list[pathlib.Path]:
    """Returns the paths of split's two outputs."""
    suffix = f".{FORMATS[format].extension}".rstrip(".")
    return [pathlib.Path(_OUTPUT.value, f"{name}{suffix}") for name in ("train", "heldout")]


def _convert(labels: tuple[str, ...], rejects: RejectsWriter | None) -> None:
    format, options = _written("convert")
    documents = _some(_documents(labels, rejects), rejects, or_empty=True)
    with ProgressBar("converting", count_for_bar(_INPUT.value, labels=labels, **_reading())) as bar:
        records = write_documents(_OUTPUT.value, bar.track(documents), format, options=options)
    name = "<stdout>" if _OUTPUT.value == STANDARD else _OUTPUT.value
    _say(f"{name}: {records} records as {format}")


def _say(line: str) -> None:
    """Prints a summary, on standard error if the records go to standard output."""
    print(line, file=sys.stderr if _OUTPUT.value == STANDARD else sys.stdout)


def _documents(labels: tuple[str, ...], rejects: Rejects | None) -> Iterator[Document]:
    for path in _INPUT.value:
        yield from read_documents(path, labels=labels, rejects=rejects, **_reading())


def _some(
    documents: Iterable[Document], rejects: RejectsWriter | None, *, or_empty: bool = False
) -> Iterator[Document]:
    """Yields documents, and raises at the end if there was none.

    Args:
        documents: the documents of --input.
        rejects: receives the bad records.
        or_empty: whether files without any record, good or bad, are accepted.
    """
    count = 0
    for document in documents:
        count += 1
        yield document
    _check_some(count, rejects, or_empty=or_empty)


def _check_some(count: int, rejects: RejectsWriter | None, *, or_empty: bool = False) -> None:
    bad = rejects.count if rejects is not None else 0
    if not count and (bad or not or_empty):
        why = (
            f"all {bad} records are bad, see {rejects.path}"
            if rejects and bad
            else "the files contain no record"
        )
        raise UserError(f"--input={','.join(_INPUT.value)}: must contain a good record, but {why}")


def _documents_again(labels: tuple[str, ...]) -> Iterator[Document]:
    for path in _INPUT.value:
        yield from read_again(path, labels=labels, **_reading())


def _reading() -> dict[str, Any]:
    options = format_options()
    if _TO.value == "label_studio" and _format_found() != "label_studio":
        options = dataclasses.replace(options, label_studio=DEFAULT_OPTIONS.label_studio)  # it is --output's
    return {
        "format": _FORMAT.value,
        "overlaps": _OVERLAPS.value,
        "require_entities": _ANNOTATED.value,
        "options": options,
    }


def _written(subcommand: str) -> tuple[str, FormatOptions]:
    """Returns the format of a subcommand's output, and its settings."""
    default = "ccks2019" if subcommand == "audit" else _format_found()
    if subcommand == "convert":
        default = "bio" if default == "ccks2019" else "ccks2019"
    format = output_format(_TO.value, None if subcommand == "split" else _OUTPUT.value, default)
    if _TO_SCHEME.present and "scheme" not in FORMATS[format].options and _TO_SCHEME.value != format:
        raise UsageError(f"--to_scheme is a flag of conll and huggingface, and the output is {format}")
    return format, FormatOptions(scheme=_TO_SCHEME.value, label_studio=format_options().label_studio)


def _format_found() -> str:
    """Returns the format of the first input, as given or detected."""
    if _FORMAT.value != AUTO:
        return _FORMAT.value
    options = format_options()
    found = detect(_INPUT.value[0], options.encoding, is_conll=options.is_of_conll)
    return found.format if found else "ccks2019"


if __name__ == "__main__":
    run(main, SUBCOMMANDS)
