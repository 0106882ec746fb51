"""Reads and checks the records of a run and splits off the validation records."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from absl import logging

from emr_ner_tf.config import ConfigDict, reading_settings
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.flag_names import RejectsWithFlags, flags_named
from emr_ner_tf.data.labels import resolve_labels
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import REMEDIES, read_documents
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.errors import UserError

_T = TypeVar("_T")
_FLAGS = ("--config.data.format", "--config.data.options")
_INFERRED = REMEDIES | {
    "labels": "config.data.labels=infer takes the labels of config.data.train alone; use --config.data.labels=FILE "
    "with one label per line"
}


@flags_named(*_FLAGS)
def training_records(
    settings: ConfigDict, seed: int, rejects: Rejects | None
) -> tuple[list[Document], list[Document], tuple[str, ...]]:
    """Reads the records of a run.

    Args:
        settings: section `data` of the configuration.
        seed: seed of the run; it selects the validation records if no validation file is named.
        rejects: receives bad records; None raises at the first one.

    Returns:
        Training records, validation records (none if `validation_fraction` is 0 and no file is named), and labels.

    Raises:
        UserError: no file is named, a record is bad, or there is no record to train on.
    """
    paths = split_paths(settings.train, "config.data.train")
    if not paths:
        raise UserError("config.data.train must name a file of records (--config.data.train=FILE), got ''")
    validation_paths = split_paths(settings.validation, "config.data.validation")
    reading = reading_settings(settings)
    labels = resolve_labels(settings.labels, paths, require_entities=True, **reading)
    rejects = rejects and RejectsWithFlags(rejects, *_FLAGS)
    remedies = _INFERRED if settings.labels == "infer" else REMEDIES

    def read(path: str) -> list[Document]:
        return list(read_documents(path, labels=labels, rejects=rejects, remedies=remedies, **reading))

    train = [document for path in paths for document in read(path)]
    if validation_paths:
        validation = [document for path in validation_paths for document in read(path)]
    else:
        train, validation = train_validation_split(train, settings.validation_fraction, seed)
    if not any(document.text for document in train):
        raise UserError(f"config.data.train={settings.train}: no record with text to train on")
    logging.info(
        "%d training records with %d mentions, %d validation records",
        len(train),
        _mentions(train),
        len(validation),
    )
    return train, validation, labels


def check_mentions(
    settings: ConfigDict, training: Sequence[Document], validation: Sequence[Document], *, patience: int = 0
) -> bool:
    """Checks that the training records have mentions, and whether the validation records have any.

    Args:
        settings: section `data` of the configuration.
        training: training records.
        validation: validation records.
        patience: `config.train.patience`, for a warning.

    Returns:
        Whether the validation records have mentions; without any, the last epoch counts as the best.

    Raises:
        UserError: no training record has a mention.
    """
    if not any(document.entities for document in training):
        raise UserError(
            f"config.data.train={settings.train}: no mention in {len(training)} training records, so there is "
            f"nothing to learn ({len(validation)} validation records, {_mentions(validation)} mentions); check "
            "config.data.format, or set config.data.validation_fraction lower"
        )
    if _mentions(validation):
        return True
    asked = f"validation={settings.validation}" if settings.validation else ""
    if not asked and settings.validation_fraction:
        asked = f"validation_fraction={settings.validation_fraction:g}"
    if asked:
        logging.warning(
            "config.data.%s: no mention in %d validation records, so that no epoch can be scored; the last epoch "
            "counts as the best; name records with mentions (config.data.validation), or set "
            "config.data.validation_fraction higher",
            asked,
            len(validation),
        )
    if patience:
        logging.warning(
            "config.train.patience=%d has no effect: without a score, no epoch is better than another",
            patience,
        )
    return False


def train_validation_split(documents: Sequence[_T], fraction: float, seed: int) -> tuple[list[_T], list[_T]]:
    """Splits records at random, by seed, into training and validation records; both keep the order of the records."""
    chosen = np.random.Generator(np.random.Philox(key=[seed, 2**32])).permutation(len(documents))
    validation = set(chosen[: round(fraction * len(documents))].tolist())
    rest = [document for i, document in enumerate(documents) if i not in validation]
    return rest, [document for i, document in enumerate(documents) if i in validation]


def _mentions(documents: Sequence[Document]) -> int:
    return sum(len(document.entities) for document in documents)
