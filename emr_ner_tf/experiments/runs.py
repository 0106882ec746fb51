"""Runs: which ones the tables need, what each is made from, and the name that tells two apart."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

from emr_ner_tf.config import RUNTIME_ONLY_KEYS, ConfigDict, base_config, check_config, flattened, set_keys
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.experiments.fingerprints import Fingerprint, fingerprint_encoder, fingerprint_files
from emr_ner_tf.experiments.paper_results import ADAPTED, BASE, ELMO, NONE, rows_of
from emr_ner_tf.experiments.recipes import PAPER, parse_overrides, row_config
from emr_ner_tf.models.registry import LEXICON_CONTEXTS
from emr_ner_tf.recipes import read_recipe

# Settings that name files of records, words or vectors, joined by commas.
_FILES = ("char.vectors", "data.train", "data.validation", "data.unlabelled", "data.labels", "lexicon.file")
# Table II is alike for all but what the row itself says.
_ANY_ROW = "bert_crf"
_FLAG_OF_KIND = {BASE: "--encoder", ADAPTED: "--adapted_encoder", ELMO: "--elmo"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What one call of `reproduce` names.

    Attributes:
        train: files of training records, joined by commas.
        test: a file of records that every run is scored on, once.
        encoders: directory or hub name by kind of encoder; kinds without one are not run.
        lexicon: a file of words or vectors; "" builds one from the training text and `unlabelled`.
        unlabelled: files of passages, joined by commas.
        recipe: of `emr_ner_tf.experiments.recipes`.
        epochs: of every run; None takes the recipe's own.
        overrides: `KEY=VALUE`, over everything else.
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
        """What is alike for every row.

        Raises:
            UserError: an override that cannot be used.
        """
        config = row_config(_ANY_ROW, self.recipe, self.epochs)
        set_keys(config, parse_overrides(self.overrides, config))
        return config

    def setup(self) -> dict[str, Any]:
        """What runs must share to stand in one table: recipe, epochs, overrides, records.

        Raises:
            UserError: a file that cannot be read, or an override that cannot be used.
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
        """Epochs that the recipe has without a budget."""
        return row_config(_ANY_ROW, self.recipe, None).train.epochs


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and one scoring.

    Attributes:
        row: of the zoo.
        kind: of its encoder.
        seed: of the run.
        config: resolved.
        changes: by dotted key, where `config` differs from `configs/paper.py:ROW`.
        fingerprints: files by the setting that names them.
        setup: as `Experiment.setup` has it.
        test: the file to score.
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
        """Row, encoder, recipe, budget, seed and the digest; the same run, the same name."""
        epochs = self.config.train.epochs
        return f"{self.row}-{self.kind}-{self.setup['recipe']}-{epochs}epochs-seed{self.seed}-{self.digest}"

    @property
    def digest(self) -> str:
        """Of all settings but the seed, and of what the files hold: runs that share it differ in the seed alone.

        Settings at their neutral values do not count, so that a setting which a later version adds changes no name.
        """
        neutral = flattened(base_config())
        settings = {
            key: self.fingerprints[key].digest if key in self.fingerprints else value
            for key, value in flattened(self.config).items()
            if value != neutral[key] and key not in (*RUNTIME_ONLY_KEYS, "train.seed")
        }
        settings["test"] = self.setup["test"]["digest"]
        text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:10]

    def settings(self) -> dict[str, Any]:
        """All settings, with names of files in place of paths."""
        return {
            key: self.fingerprints[key].name if key in self.fingerprints else _shown(key, value)
            for key, value in flattened(self.config).items()
        }


def plan(experiment: Experiment, tables: Sequence[str], rows: Sequence[str], seeds: int) -> list[Run]:
    """Returns the runs that tables need, seed by seed, so that every row has one before any has two.

    Args:
        experiment: what they are made from.
        tables: of `emr_ner_tf.experiments.paper_results`.
        rows: only these rows of the zoo; none: all.
        seeds: 1 to this.

    Raises:
        UserError: an unknown row, a file or encoder that cannot be read, a wrong value.
    """
    setup = experiment.setup()
    for paths in (experiment.lexicon, experiment.unlabelled):
        # A file that is not there is said now, not by the row that reads it.
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
    # Named only where it is read, so that other passages do not make another run of the other rows.
    trains_vectors = config.char.word2vec and config.model.encoder != "bert"
    if trains_vectors or (looks_words_up and not config.lexicon.file):
        config.data.unlabelled = experiment.unlabelled
    check_config(config)
    fingerprints = {
        key: fingerprint_files(value) for key in _FILES if _is_file(key, value := flattened(config)[key])
    }
    if config.encoder:
        fingerprints["encoder"] = fingerprint_encoder(config.encoder)
    begun = flattened(read_recipe(PAPER, row))
    changes = {key: value for key, value in flattened(config).items() if value != begun[key]}
    return Run(row, kind, seed, config, changes, fingerprints, setup, experiment.test)


def _is_file(key: str, value: str) -> bool:
    return bool(value) and all(os.path.isfile(path) for path in split_paths(value, f"config.{key}"))


def _shown(key: str, value: Any) -> Any:
    return fingerprint_files(value).name if key in _FILES and _is_file(key, value) else value
