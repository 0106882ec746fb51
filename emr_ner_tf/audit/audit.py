"""The audit of a corpus: trains models of its folds, or uses existing models, and collects likely errors."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from emr_ner_tf.audit.candidates import KINDS, LABEL, Candidate
from emr_ner_tf.audit.folds import assign_folds, text_key
from emr_ner_tf.audit.scoring import find_candidates
from emr_ner_tf.config import ConfigDict, check_config, reading_settings
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import Located, read_again
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.training.loading import restore
from emr_ner_tf.training.trainer import train

_TRAIN, _LABELS, _MODEL, _CANDIDATES = "train.jsonl", "labels.txt", "model", "candidates.json"


class Suspect(NamedTuple):
    """A likely annotation error with its record.

    Attributes:
        record: the record.
        candidate: the error.
    """

    record: Located
    candidate: Candidate


def audit_by_folds(
    records: Sequence[Located],
    labels: Sequence[str],
    config: ConfigDict,
    work_dir: str,
    *,
    folds: int,
    seed: int,
) -> list[Suspect]:
    """Trains a model on all folds but one, in turn, and compares the records of that fold with what it finds.

    A call that is stopped is continued by the same call: training resumes, and finished folds are not repeated.

    Args:
        records: the corpus.
        labels: labels of its mentions.
        config: training settings; `data.train`, `data.format`, `data.options` and `data.labels` are set here.
        work_dir: directory for the folds' records, models and results.
        folds: number of folds, 2 or more.
        seed: seed of the folds; the seed of training is `config.train.seed`.

    Returns:
        The likely errors, the most suspicious first.

    Raises:
        UserError: a setting is invalid, there are too few records, or training fails.
    """
    check_config(config)
    fold_of = assign_folds([record.document.text for record in records], folds, seed)
    suspects = []
    for fold in range(folds):
        folder = pathlib.Path(work_dir) / f"fold-{fold + 1}-of-{folds}"
        heldout = [record for record, own in zip(records, fold_of, strict=True) if own == fold]
        rest = [record for record, own in zip(records, fold_of, strict=True) if own != fold]
        settings = config.copy_and_resolve_references()
        settings.data.train, settings.data.labels = str(folder / _TRAIN), str(folder / _LABELS)
        settings.data.unlabelled_options = settings.data.unlabelled_options or settings.data.options
        settings.data.format, settings.data.options = "ccks2019", ""
        digest = _digest([*rest, *heldout], settings)
        candidates = _finished(folder / _CANDIDATES, digest)
        if candidates is None:
            logging.info(
                "fold %d of %d: %d records to train on, %d to compare",
                fold + 1,
                folds,
                len(rest),
                len(heldout),
            )
            write_documents(folder / _TRAIN, (record.document for record in rest))
            with atomic_writer(folder / _LABELS) as file:
                file.writelines(f"{label}\n" for label in labels)
            try:
                train(settings, str(folder / _MODEL))
            except UserError as error:
                # The fold belongs to an audit of other records or settings; this flag determines its model directory.
                raise UserError(str(error).replace("another --model_dir", "another --work_dir")) from error
            candidates = _by_model(folder / _MODEL, heldout)
            _save(folder / _CANDIDATES, digest, candidates)
        suspects += _suspects(heldout, candidates)
    return _ranked(suspects)


def audit_by_models(records: Sequence[Located], model_dirs: Sequence[str]) -> list[Suspect]:
    """Compares each record with what models find that have not been trained on its text.

    Args:
        records: the corpus.
        model_dirs: model directories; the training records that their configurations name must exist.

    Returns:
        The likely errors, the most suspicious first. A record that several models have not seen is compared with the
        first of them, and one that all have seen is left out.

    Raises:
        UserError: a model or its training records are missing, or all models have seen every record.
    """
    left = list(records)
    suspects = []
    for model_dir in model_dirs:
        seen = _seen_texts(model_dir)
        unseen = [record for record in left if text_key(record.document.text) not in seen]
        left = [record for record in left if text_key(record.document.text) in seen]
        if not unseen:
            logging.warning(
                "%s: has been trained on all records that the models before it have not seen", model_dir
            )
            continue
        logging.info("%s: %d records to compare", model_dir, len(unseen))
        suspects += _suspects(unseen, _by_model(model_dir, unseen))
    if len(left) == len(records):
        raise UserError(
            f"--model_dir: all {len(model_dirs)} models have been trained on all {len(records)} records, and a model "
            "finds no error in what it has learned; name models of folds, or train them with --config"
        )
    if left:
        logging.warning("%d records left out, since every model has been trained on them", len(left))
    return _ranked(suspects)


def suspect_documents(suspects: Sequence[Suspect]) -> Iterator[Document]:
    """Yields each record that has likely errors, the most suspicious record first.

    Its mentions are the likely errors: the label is the kind and the label, the score is the suspicion. The keys `file`
    and `line` of the record and `annotated` of a mention say what they contradict. A record without an id has the one
    that it has in messages.

    Args:
        suspects: suspects of one audit.
    """
    # Neither a line nor an id identifies one record.
    by_record: dict[int, list[Suspect]] = {}
    for suspect in suspects:
        by_record.setdefault(id(suspect.record), []).append(suspect)
    for found in by_record.values():
        record = found[0].record
        entities = [_entity(suspect.candidate) for suspect in found]
        extra = dict(record.document.extra) | {"file": record.path, "line": record.line}
        if extra.get("id") in (None, ""):
            # Tables have no other keys that lead back to the record.
            extra["id"] = record.document.id
        yield Document(record.document.id, record.document.text, tuple(entities), extra)


def count_suspects(suspects: Sequence[Suspect], thresholds: Sequence[float]) -> dict[str, list[int]]:
    """Returns, for each kind, the number of likely errors whose suspicion is at least each threshold."""
    return {
        kind: [
            sum(each.candidate.kind == kind and each.candidate.suspicion >= least for each in suspects)
            for least in thresholds
        ]
        for kind in KINDS
    }


def _entity(candidate: Candidate) -> Entity:
    name = candidate.label
    if candidate.kind == LABEL:
        name = f"{' + '.join(other.label for other in candidate.annotated)} > {name}"
    annotated = [
        {
            "start": other.start,
            "end": other.end,
            "label": other.label,
            "probability": round(other.score or 0.0, 4),
        }
        for other in candidate.annotated
    ]
    keys = {"annotated": annotated} if annotated else {}
    score = round(candidate.suspicion, 4)
    return Entity(candidate.start, candidate.end, f"{candidate.kind}: {name}", score, keys)


def _by_model(model_dir: str | os.PathLike[str], records: Sequence[Located]) -> list[list[Candidate]]:
    tagger, _ = restore(model_dir)
    found = find_candidates(tagger.ner_pipeline, [record.document for record in records])
    tf.keras.backend.clear_session()
    return found


def _seen_texts(model_dir: str) -> set[str]:
    config = ModelDefinition.load(model_dir).config
    paths = split_paths(config.data.train, "config.data.train of the model")
    absent = [path for path in paths if not os.path.exists(path)]
    if absent:
        raise UserError(
            f"{model_dir}: the training records that its configuration names must exist, since only records that the "
            f"model has not seen are compared; {absent[0]} does not"
        )
    reading = reading_settings(config.data)
    return {text_key(document.text) for path in paths for document in read_again(path, **reading)}


def _suspects(records: Sequence[Located], candidates: Sequence[Sequence[Candidate]]) -> list[Suspect]:
    return [Suspect(record, one) for record, some in zip(records, candidates, strict=True) for one in some]


def _ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    return sorted(
        suspects,
        key=lambda each: (
            -each.candidate.suspicion,
            each.record.path,
            each.record.line,
            each.candidate.start,
        ),
    )


def _digest(records: Sequence[Located], settings: ConfigDict) -> str:
    digest = hashlib.sha256(json.dumps(settings.to_dict(), sort_keys=True).encode("utf-8"))
    for record in records:
        gold = [(entity.start, entity.end, entity.label) for entity in record.document.entities]
        digest.update(repr((record.document.text, gold)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _save(path: pathlib.Path, digest: str, candidates: Sequence[Sequence[Candidate]]) -> None:
    values: list[Any] = [
        [
            [*one[:5], [[other.start, other.end, other.label, other.score] for other in one.annotated]]
            for one in some
        ]
        for some in candidates
    ]
    with atomic_writer(path) as file:
        json.dump({"digest": digest, "candidates": values}, file, ensure_ascii=False)
        file.write("\n")


def _finished(path: pathlib.Path, digest: str) -> list[list[Candidate]] | None:
    """Returns the saved result of a fold; None if there is none, or it has other records or settings."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if saved.get("digest") != digest:
        return None
    return [
        [Candidate(*one[:5], tuple(Entity(*other) for other in one[5])) for one in some]
        for some in saved["candidates"]
    ]
