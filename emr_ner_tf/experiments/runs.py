"""The runs that the tables need, with their settings, files and unique names."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from emr_ner_tf.config import (
    RATE_BY_SIZE,
    RUNTIME_ONLY_KEYS,
    ConfigDict,
    base_config,
    check_config,
    flattened,
    set_keys,
)
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.encoders.rate_by_size import rate_by_size
from emr_ner_tf.experiments.fingerprints import Fingerprint, fingerprint_encoder, fingerprint_files
from emr_ner_tf.experiments.paper_results import ADAPTED, BASE, ELMO, NONE, rows_of
from emr_ner_tf.experiments.recipes import PAPER, parse_overrides, row_config
from emr_ner_tf.models.registry import LEXICON_CONTEXTS
from emr_ner_tf.models.size_checks import bert_settings, check_sizes
from emr_ner_tf.recipes import read_recipe

# Settings that name files or folders of records, joined by commas, and files of words or vectors.
_RECORDS = ("data.train", "data.validation", "data.unlabelled")
_FILES = ("char.vectors", *_RECORDS, "data.labels", "lexicon.file")
# The settings of Table II are the same for every row, except for those of the row itself.
_ANY_ROW = "bert_crf"
# Raised when the same settings train another model than before, by code or by a neutral value that changed: what was
# trained earlier does not count as finished then.
_TRAINING_VERSION = 2
# The same for rows whose lexicon is built.
_LEXICON_VERSION = 2
PRECISION = "train.precision"
_FLAG_OF_KIND = {BASE: "--encoder", ADAPTED: "--adapted_encoder", ELMO: "--elmo"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The settings of one call of `reproduce`.

    Attributes:
        train: files or folders of training records, joined by commas.
        test: file or folder of records on which every run is scored once.
        encoders: directory or hub name for each kind of encoder; kinds without one are not run.
        lexicon: file of words or vectors; "" builds a lexicon from the training text and `unlabelled`.
        unlabelled: files or folders of passages, joined by commas.
        recipe: one of `emr_ner_tf.experiments.recipes.RECIPES`.
        epochs: number of epochs of every run; None uses that of the recipe.
        overrides: `KEY=VALUE`, applied last.
    """

    train: str
    test: str
    encoders: dict[str, str] = dataclasses.field(default_factory=dict)
    lexicon: str = ""
    unlabelled: str = ""
    recipe: str = "default"
    epochs: int | None = None
    overrides: tuple[str, ...] = ()

    def config(self) -> ConfigDict:
        """Returns the settings that all rows share.

        Raises:
            UserError: an override is invalid.
        """
        config = row_config(_ANY_ROW, self.recipe, self.epochs)
        set_keys(config, parse_overrides(self.overrides, config))
        return config

    def setup(self) -> dict[str, Any]:
        """Returns the settings that runs in one table must share: recipe, epochs, overrides, records.

        Raises:
            UserError: a file cannot be read, or an override is invalid.
        """
        config = row_config(_ANY_ROW, self.recipe, self.epochs)
        begun = flattened(config)
        overrides = parse_overrides(self.overrides, config)
        return {
            "recipe": self.recipe,
            "epochs": config.train.epochs,
            "overrides": {
                key: _shown(key, value)
                for key, value in overrides.items()
                if value != begun[key] and key not in RUNTIME_ONLY_KEYS
            },
            "train": fingerprint_files(self.train)._asdict(),
            "test": fingerprint_files(self.test)._asdict(),
        }

    def own_epochs(self) -> int:
        """Returns the number of epochs of the recipe without a budget."""
        return row_config(_ANY_ROW, self.recipe, None).train.epochs


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Attributes:
        row: name in `emr_ner_tf.models.registry`.
        kind: kind of encoder.
        seed: random seed.
        config: the resolved configuration.
        changes: values by dotted key that differ from `configs/paper.py:ROW`.
        fingerprints: fingerprints of files and encoder, by the key of the setting.
        setup: result of `Experiment.setup`.
        test: file to score on.
    """

    row: str
    kind: str
    seed: int
    config: ConfigDict
    changes: dict[str, Any]
    fingerprints: dict[str, Fingerprint]
    setup: dict[str, Any]
    test: str

    @property
    def name(self) -> str:
        """Row, encoder, recipe, budget, seed and digest; equal runs have equal names."""
        epochs = self.config.train.epochs
        return f"{self.row}-{self.kind}-{self.setup['recipe']}-{epochs}epochs-seed{self.seed}-{self.digest}"

    @property
    def digest(self) -> str:
        """Digest of all settings but the seed and of the files' content; runs that share it only differ in the seed."""
        return self._digest()

    @property
    def digest_without_precision(self) -> str:
        """The same without `train.precision`."""
        return self._digest(PRECISION)

    def _digest(self, *left_out: str) -> str:
        files = {key: fingerprint.digest for key, fingerprint in self.fingerprints.items()}
        return settings_digest(flattened(self.config), files, self.setup["test"]["digest"], *left_out)

    def settings(self) -> dict[str, Any]:
        """Returns all settings, with file names in place of paths."""
        return {
            key: self.fingerprints[key].name if key in self.fingerprints else _shown(key, value)
            for key, value in flattened(self.config).items()
        }


def settings_digest(settings: Mapping[str, Any], files: Mapping[str, str], test: str, *left_out: str) -> str:
    """Returns the digest of settings and files that affect the result of a run.

    Settings with their neutral values are not included, so that a setting of a later version changes no name.

    Args:
        settings: values by dotted key.
        files: digests of the content of files, by the key of the setting.
        test: digest of the records on which the run is scored.
        left_out: keys that do not count, besides the seed.
    """
    neutral = flattened(base_config())
    counted = {
        key: files.get(key, value)
        for key, value in settings.items()
        if value != neutral.get(key) and key not in (*RUNTIME_ONLY_KEYS, "train.seed", *left_out)
    }
    counted |= {"test": test, "training_version": _TRAINING_VERSION}
    if settings.get("model.context") in LEXICON_CONTEXTS and not settings.get("lexicon.file"):
        counted["lexicon_version"] = _LEXICON_VERSION
    text = json.dumps(counted, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:10]


def plan(experiment: Experiment, tables: Sequence[str], rows: Sequence[str], seeds: int) -> list[Run]:
    """Returns the runs that the tables need, seed by seed, so that every row has one run before any has two.

    Args:
        experiment: the settings of the call.
        tables: keys of `emr_ner_tf.experiments.paper_results.WHAT`.
        rows: rows to run; empty for all rows of the tables.
        seeds: number of seeds, from 1.

    Raises:
        UserError: a row is unknown, a file or encoder cannot be read, or a value is invalid.
    """
    setup = experiment.setup()
    for paths in (experiment.lexicon, experiment.unlabelled):
        # A missing file is reported now rather than by the row that reads it.
        fingerprint_files(paths)
    pairs = [
        (row, kind)
        for row, kind in rows_of(tables)
        if (not rows or row in rows) and missing_flag(experiment, kind) is None
    ]
    return [_run(experiment, setup, row, kind, seed) for seed in range(1, seeds + 1) for row, kind in pairs]


def missing_flag(experiment: Experiment, kind: str) -> str | None:
    """Returns the flag without which rows with this kind of encoder are not run, or None."""
    return None if kind == NONE or experiment.encoders.get(kind) else _FLAG_OF_KIND[kind]


def _run(experiment: Experiment, setup: dict[str, Any], row: str, kind: str, seed: int) -> Run:
    config = row_config(row, experiment.recipe, experiment.epochs)
    config.data.train = experiment.train
    config.encoder = experiment.encoders.get(kind, "")
    config.train.seed = seed
    set_keys(config, parse_overrides(experiment.overrides, config))
    looks_words_up = config.model.context in LEXICON_CONTEXTS
    if looks_words_up:
        config.lexicon.file = experiment.lexicon
    # Set only if it is read, so that other passages do not change the runs of the other rows.
    trains_vectors = config.char.word2vec and config.model.encoder != "bert"
    if trains_vectors or (looks_words_up and not config.lexicon.file):
        config.data.unlabelled = experiment.unlabelled
    if config.optimizer.encoder_rate == RATE_BY_SIZE:
        config.optimizer.encoder_rate = _rate_by_size(config)
    check_config(config)
    check_sizes(config)
    fingerprints = {
        key: fingerprint_files(value) for key in _FILES if _is_file(key, value := flattened(config)[key])
    }
    if config.encoder:
        fingerprints["encoder"] = fingerprint_encoder(config.encoder)
    begun = flattened(read_recipe(PAPER, row))
    changes = {key: value for key, value in flattened(config).items() if value != begun[key]}
    return Run(row, kind, seed, config, changes, fingerprints, setup, experiment.test)


def _rate_by_size(config: ConfigDict) -> float:
    """Returns the rate as a number, which is part of a run's name; the training chooses it if a size is not stated."""
    if config.model.encoder != "bert":
        return rate_by_size(0, 0)
    known = bert_settings(config)
    layers, width = (known.get(key) for key in ("num_hidden_layers", "hidden_size"))
    return rate_by_size(layers, width) if layers and width else RATE_BY_SIZE


def _is_file(key: str, value: str) -> bool:
    is_there = os.path.exists if key in _RECORDS else os.path.isfile
    return bool(value) and all(is_there(path) for path in split_paths(value, f"config.{key}"))


def _shown(key: str, value: Any) -> Any:
    return fingerprint_files(value).name if key in _FILES and _is_file(key, value) else value
