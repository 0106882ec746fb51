"""Exports a model directory as a bundle, which is published after it has found the same entities as the model."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.formats.table import AUTO
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.encoders.tensor_paths import pattern_problem
from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.evaluation.calibration import BestThreshold, best_threshold
from emr_ner_tf.exporting.bundle import Bundle, write_bundle
from emr_ner_tf.exporting.parity_check import (
    PrecisionComparison,
    Verification,
    compare_with_float32,
    verify,
)
from emr_ner_tf.exporting.publishing import keep_newest, publish, unpublished_version
from emr_ner_tf.exporting.reduced_precision import choose_precision, reading_as_float32, reduced_copy
from emr_ner_tf.exporting.versioning import GRAPH
from emr_ner_tf.models.ensemble import Ensemble, check_members
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.tagger import Tagger
from emr_ner_tf.training.checkpoints import BEST, LAST
from emr_ner_tf.training.failed_writes import as_os_error
from emr_ner_tf.training.loading import InProcessTagger, restore_tagger
from emr_ner_tf.training.model_dir import HISTORY, METRICS

_SYNTHETIC_RECORDS = 64
_LIKE_A_PATH = re.compile(r"[/\\]|\.(txt|md|rst|html?|pdf)$", re.IGNORECASE)
_NO_LICENCE = (
    "No licence was stated for these weights. They derive from the encoder and the records that config.json names,\n"
    "whose own terms hold. The code that runs them, emr_ner_tf, is under Apache-2.0.\n"
)


class ExportResult(NamedTuple):
    """The published bundle and its verification.

    Attributes:
        path: the published version.
        verification: comparison of the reloaded bundle with the model.
        megabytes: size of the version, in 1e6 bytes.
        removed: older versions that were removed.
        validation_f1: validation F1 of the exported checkpoint; None if it was not scored.
        precision: dtype in which encoder, attention and the products of the recurrence's inputs compute: "float32" or
            "bfloat16".
        comparison: comparison of reduced precision with float32; None for float32.
        threshold: the threshold that was chosen, with its F1 on `verify_on`; None if none was.
    """

    path: pathlib.Path
    verification: Verification
    megabytes: float
    removed: list[pathlib.Path]
    validation_f1: float | None
    precision: str = "float32"
    comparison: PrecisionComparison | None = None
    threshold: BestThreshold | None = None


def export(
    model_dir: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    verify_on: str | None = None,
    verify_format: str = AUTO,
    verify_options: FormatOptions = DEFAULT_OPTIONS,
    checkpoint: str = BEST,
    weights: str = "float32",
    precision: str = "float32",
    min_probability: float = 0.0,
    choose_threshold: bool = False,
    token_budget: int = 0,
    licence: str | None = None,
    keep: int = 0,
) -> ExportResult:
    """Writes a bundle, reloads it, compares it with the model, and then publishes it.

    Args:
        model_dir: model directory of a run with a checkpoint. Several become one ensemble, which averages their
            emissions and transitions.
        output: directory of the bundle's versions.
        verify_on: file of records on which bundle and model are compared; None uses synthetic records.
        verify_format: format of `verify_on`, as in `emr_ner_tf.data.reading.read_documents`.
        verify_options: settings that the file does not state itself, such as its encoding.
        checkpoint: "best" or "last".
        weights: dtype in which large variables are stored: "float32", "bfloat16" or "float16".
        precision: dtype in which encoder, attention and the products of the recurrence's inputs compute: "float32",
            "bfloat16", or "auto", which chooses bfloat16 if this machine's processor multiplies in it.
        min_probability: the signature `serving_default` leaves out entities with a lower probability; 0 to 1.
        choose_threshold: whether to choose `min_probability` for the highest exact-match F1 on `verify_on`, whose
            records must be annotated.
        token_budget: maximum number of characters in one call of the encoder, padding included; 0 uses
            `config.text.token_budget`.
        licence: a file with the weights' licence, or its name; None means that none was stated.
        keep: number of newest versions to keep; 0 keeps all.

    Raises:
        UserError: there is no checkpoint, the models do not form an ensemble, a record is bad, the disk is full, or the
            bundle does not find the same entities as the model; nothing is published then. Also if an old version
            cannot be removed; the message then names the published one.
    """
    for name, value, choices in (
        ("checkpoint", checkpoint, (BEST, LAST)),
        ("weights", weights, ("float32", "bfloat16", "float16")),
        ("precision", precision, ("float32", "bfloat16", "auto")),
    ):
        if value not in choices:
            raise UserError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    for name, value, most in (
        ("min_probability", min_probability, 1),
        ("token_budget", token_budget, math.inf),
        ("keep", keep, math.inf),
    ):
        if not 0 <= value <= most:
            raise UserError(f"{name} must be at least 0{' and at most 1' if most == 1 else ''}, got {value}")
    terms = _licence(licence)
    problem = pattern_problem(output)
    if problem:
        raise UserError(f"{os.fspath(output)}: {problem}")
    if (pathlib.Path(output) / GRAPH).exists():
        raise UserError(
            f"{os.fspath(output)}: is the directory of one version, which hides versions in it; name the directory of "
            f"all versions, {pathlib.Path(output).resolve().parent}"
        )
    folders = [model_dir] if isinstance(model_dir, str | os.PathLike) else list(model_dir)
    metrics = _joint([_metrics(pathlib.Path(folder) / METRICS, checkpoint) for folder in folders])
    precision = choose_precision(precision)
    metrics["exported"] |= {"weights": weights, "compute_dtype": precision}
    if choose_threshold and (min_probability or verify_on is None):
        raise UserError(
            "choose_threshold needs annotated records (verify_on) and excludes min_probability, "
            f"got verify_on={verify_on!r} and min_probability={min_probability:g}"
        )
    with contextlib.ExitStack() as stack:
        # Created before the work, so that a directory that cannot be written to is noticed at once.
        with _failed_writes_named(output):
            unpublished = stack.enter_context(unpublished_version(output))
        restored = [restore_tagger(folder, checkpoint) for folder in folders]
        members, definitions = zip(*restored, strict=True)
        check_members(definitions, [os.fspath(folder) for folder in folders])
        definition = _with_token_budget(definitions[0], token_budget)

        def in_process(tagger: Tagger | Ensemble) -> InProcessTagger:
            return InProcessTagger(
                NerPipeline(
                    tagger, definition.vocabulary, definition.config.text, min_probability=min_probability
                )
            )

        tagger = in_process(_as_one(members))
        documents = _documents(verify_on, verify_format, verify_options)
        expected, comparison = list(tagger.annotate(documents)), None
        if (weights, precision) != ("float32", "float32"):
            copies = [
                reduced_copy(member, own, weights=weights, precision=precision) for member, own in restored
            ]
            stack.enter_context(reading_as_float32())
            tagger = in_process(_as_one(copies))
            logging.info("comparing the model with itself in float32 on %d records", len(documents))
            float32, expected = expected, list(tagger.annotate(documents))
            comparison = compare_with_float32(expected, float32, documents, definition.labels)
            metrics["exported"]["compared_with_float32"] = comparison._asdict()
        chosen = None
        if choose_threshold:
            chosen = _best_threshold(documents, expected, definition.labels, verify_on)
            min_probability = chosen.threshold
            metrics["exported"]["threshold_chosen"] = {"records": len(documents)} | chosen._asdict()
            expected = [_probable(document, min_probability) for document in expected]
            tagger = in_process(tagger.ner_pipeline.tagger)
        if min_probability:
            metrics["exported"]["min_probability"] = min_probability
        with _failed_writes_named(output):
            write_bundle(
                tagger.ner_pipeline,
                definition,
                unpublished,
                metrics=json.dumps(metrics, indent=2) + "\n",
                licence=terms,
            )
        logging.info("written; comparing the reloaded bundle on %d records", len(documents))
        verification = verify(Bundle(unpublished), expected)
        # The bundle is used before publication, since another export may then remove it at any moment.
        size = sum(file.stat().st_size for file in unpublished.rglob("*") if file.is_file())
        with _failed_writes_named(output):
            path = publish(unpublished, output)
    removed = []
    if keep:
        try:
            removed = keep_newest(output, keep)
        except OSError as error:
            raise UserError(
                f"{path}: published, but an older version cannot be removed (--keep): {describe_os_error(error)}"
            ) from error
    return ExportResult(
        path, verification, size / 1e6, removed, metrics["exported"].get("f1"), precision, comparison, chosen
    )


def _as_one(taggers: Sequence[Tagger]) -> Tagger | Ensemble:
    return taggers[0] if len(taggers) == 1 else Ensemble(taggers)


def _best_threshold(
    gold: Sequence[Document], found: Sequence[Document], labels: Sequence[str], path: str | None
) -> BestThreshold:
    others = {entity.label for document in gold for entity in document.entities}.difference(labels)
    if others or not any(document.entities for document in gold):
        got = f"the labels {', '.join(sorted(others))}" if others else "no mention"
        raise UserError(
            f"{path}: the threshold needs records with mentions of the model's labels only, got {got}"
        )
    best = best_threshold(gold, found)
    if best is None:
        raise UserError(
            f"{path}: the threshold needs entities that the model finds, got none in {len(gold)} records"
        )
    return best


def _probable(document: Document, min_probability: float) -> Document:
    kept = [entity for entity in document.entities if (entity.score or 0.0) >= min_probability]
    return dataclasses.replace(document, entities=kept)


def _documents(verify_on: str | None, format: str, options: FormatOptions) -> list[Document]:
    if verify_on is None:
        return list(generate("test", records=_SYNTHETIC_RECORDS, seed=0))
    documents = list(
        read_documents(verify_on, format=format, overlaps="longest", require_entities=False, options=options)
    )
    if not any(document.text for document in documents):
        raise UserError(f"{verify_on}: must contain a record with text, on which to compare the bundle")
    return documents


@contextlib.contextmanager
def _failed_writes_named(output: str | os.PathLike[str]) -> Iterator[None]:
    """Converts errors of the system, raised by Python or by TensorFlow, to one line with the cause and the remedy."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        cause = as_os_error(error)
        # The error names a file of the unpublished version, which is removed.
        cause.filename = None
        raise UserError(
            f"{os.fspath(output)}: nothing is published, the bundle cannot be written: {describe_os_error(cause)}"
        ) from error


def _metrics(path: pathlib.Path, checkpoint: str) -> dict[str, Any]:
    """Returns the metrics of the run, with the exported checkpoint and the scores of its epoch under `exported`."""
    if not path.exists():
        raise UserError(
            f"{path}: no such file; the run is not finished (`emr-ner train` writes it at the end)"
        )
    metrics = _read_json(path)
    try:
        epoch = metrics["best"]
        if checkpoint == LAST:
            epoch = _read_json(path.with_name(HISTORY))[-1]
        metrics["exported"] = {"checkpoint": checkpoint} | epoch
        _ = metrics["parameters"], metrics["epochs"], metrics["exported"]["epoch"]
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{path}: must be the metrics of a training run; the same training command writes the file again"
        ) from error
    return metrics


def _with_token_budget(definition: ModelDefinition, token_budget: int) -> ModelDefinition:
    if not token_budget:
        return definition
    config = definition.config.copy_and_resolve_references()
    config.text.token_budget = token_budget
    return dataclasses.replace(definition, config=config)


def _joint(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the metrics of one model, or those of an ensemble, whose scores are not measured."""
    if len(metrics) == 1:
        return metrics[0]
    first = metrics[0] | {"parameters": sum(member["parameters"] for member in metrics)}
    chosen = {key: first["exported"][key] for key in ("checkpoint", "epoch")}
    return first | {"exported": chosen | {"members": [member["exported"] for member in metrics]}}


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be JSON; the same training command writes the file again") from error


def _licence(licence: str | None) -> str:
    if licence is None:
        return _NO_LICENCE
    if os.path.isfile(licence):
        try:
            return pathlib.Path(licence).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{licence}: the licence must be a text in UTF-8, got byte {error.start} malformed"
            ) from error
    if "://" not in licence and _LIKE_A_PATH.search(licence):
        raise UserError(
            f"the licence must be an existing file, or a name without / and \\, got {licence[:200]!r}"
        )
    return f"{licence}\n"
