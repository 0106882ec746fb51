"""From a model directory to a published, proven bundle."""

import contextlib
import json
import os
import pathlib
import re
import shutil
from typing import NamedTuple

from absl import logging

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.synthetic import generate
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle, keep_newest, publish, unpublished_path, write_bundle
from emr_ner_tf.exporting.half import HalfTagger
from emr_ner_tf.exporting.verification import Verification, verify
from emr_ner_tf.training.checkpoints import BEST, LAST
from emr_ner_tf.training.restoring import InProcessTagger, restore
from emr_ner_tf.training.run_files import HISTORY, METRICS

_SYNTHETIC_RECORDS = 64
_LIKE_A_PATH = re.compile(r"[/\\]|\.(txt|md|rst|html?|pdf)$", re.IGNORECASE)
_NO_LICENCE = (
    "No licence was stated for these weights. They derive from the encoder and the records that config.json names,\n"
    "whose own terms hold. The code that runs them, emr_ner_tf, is under Apache-2.0.\n"
)


class ExportResult(NamedTuple):
    """What was written and how it was proven.

    Attributes:
        path: the published version.
        verification: what the reloaded bundle was compared on.
        megabytes: size of the version, in 1e6 bytes.
        removed: older versions that made room.
    """

    path: pathlib.Path
    verification: Verification
    megabytes: float
    removed: list[pathlib.Path]


def export(
    model_dir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    verify_on: str | None = None,
    checkpoint: str = BEST,
    weights: str = "float32",
    licence: str | None = None,
    keep: int = 0,
) -> ExportResult:
    """Writes, reloads, compares, and only then publishes a bundle.

    Args:
        model_dir: of a run with a checkpoint.
        output: directory of the bundle's versions.
        verify_on: records in CCKS2019 JSON lines; None compares on synthetic ones.
        checkpoint: "best" or "last".
        weights: dtype in which large variables are stored: "float32", "bfloat16" or "float16".
        licence: a file with the weights' licence, or its name; None says that none was stated.
        keep: newest versions to keep; 0 keeps all.

    Raises:
        UserError: nothing to export, bad records, or a bundle that does not find what the model finds (then
            nothing is published).
    """
    terms = _licence(licence)
    metrics = pathlib.Path(model_dir) / METRICS
    if not metrics.exists():
        raise UserError(
            f"{metrics}: no such file; the run is not finished (the train main writes it at its end)"
        )
    tagger, definition = restore(model_dir, checkpoint)
    if verify_on is None:
        documents = list(generate("test", records=_SYNTHETIC_RECORDS, seed=0))
    else:
        documents = list(read_documents(verify_on, overlaps="longest", require_entities=False))
    if not any(document.text for document in documents):
        raise UserError(f"{verify_on}: no record with text to compare the bundle on")
    reading = contextlib.nullcontext()
    if weights != "float32":
        half = HalfTagger(tagger.text_tagger.tagger, definition, weights)
        tagger, reading = InProcessTagger(half.text_tagger), half.reading()
    unpublished = unpublished_path(output)
    try:
        with reading:
            write_bundle(
                tagger.text_tagger,
                definition,
                unpublished,
                metrics=_metrics(metrics, checkpoint, weights),
                licence=terms,
            )
            logging.info("written; comparing the reloaded bundle on %d records", len(documents))
            verification = verify(Bundle(unpublished), tagger.tag_texts, documents)
        path = publish(unpublished, output)
    except BaseException:
        shutil.rmtree(unpublished, ignore_errors=True)
        raise
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return ExportResult(path, verification, size / 1e6, keep_newest(output, keep) if keep else [])


def _metrics(path: pathlib.Path, checkpoint: str, weights: str) -> str:
    """The run's metrics, and under `exported` what is in the bundle, with its epoch's scores."""
    metrics = json.loads(path.read_text(encoding="utf-8"))
    epoch = metrics["best"]
    if checkpoint == LAST:
        epoch = json.loads(path.with_name(HISTORY).read_text(encoding="utf-8"))[-1]
    metrics["exported"] = {"checkpoint": checkpoint, "weights": weights} | epoch
    return json.dumps(metrics, indent=2) + "\n"


def _licence(licence: str | None) -> str:
    if licence is None:
        return _NO_LICENCE
    if os.path.isfile(licence):
        return pathlib.Path(licence).read_text(encoding="utf-8")
    if "://" not in licence and _LIKE_A_PATH.search(licence):
        raise UserError(
            f"the licence must be a file that is there, or a name without / and \\, got {licence[:200]!r}"
        )
    return f"{licence}\n"
