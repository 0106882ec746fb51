"""Reads the passages of a pre-training run, leaves out text of held-out records, and holds out a part to measure."""

from typing import NamedTuple

from absl import logging

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.formats.flag_names import flags_named
from emr_ner_tf.data.formats.options import FormatOptions, parse_options
from emr_ner_tf.data.formats.table import AUTO, READ_FORMATS
from emr_ner_tf.data.passages import read_passages
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.splitting import SHARED_CHARACTERS, without_shared
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.dataset import train_validation_split


class Passages(NamedTuple):
    """Passages in the order of their files.

    Attributes:
        train: passages for training.
        heldout: passages for measurement before, during and after training.
        left_out: number of passages that share text with held-out records, and are in neither part.
    """

    train: list[str]
    heldout: list[str]
    left_out: int


def data_settings() -> ConfigDict:
    """Returns the section `data` of a pre-training configuration; its files are read by `read_passages`."""
    data = ConfigDict()
    data.unlabelled = ""  # files of passages, joined by commas
    data.format = "auto"  # format of all files; auto finds it by looking
    data.options = ""  # settings that the files do not state, such as encoding=gb18030,text_column=病历
    # Files of training records, joined by commas; `exclude_shared_with` does not apply to them.
    data.records = ""
    # Files of held-out records; passages of `unlabelled` that share text with them are left out.
    data.exclude_shared_with = ""
    data.heldout_fraction = 0.02  # fraction of the passages to hold out, at least one; at least one remains
    return data


def passage_paths(settings: ConfigDict) -> dict[str, list[str]]:
    """Returns the files of each key of `data_settings` that names files.

    Raises:
        UserError: a name in a list is empty, or a format or an option is unknown.
    """
    if settings.format not in (AUTO, *READ_FORMATS):
        names = ", ".join((AUTO, *READ_FORMATS))
        raise UserError(f"config.data.format must be one of {names}, got {settings.format!r}")
    _options(settings)
    keys = ("unlabelled", "records", "exclude_shared_with")
    return {key: split_paths(settings[key], f"config.data.{key}") for key in keys}


@flags_named("--config.data.format", "--config.data.options")
def gather_passages(settings: ConfigDict, seed: int) -> Passages:
    """Reads the files that `data_settings` names.

    Args:
        settings: section `data`.
        seed: seed of the run.

    Raises:
        UserError: no file is named, a line is bad, or there is too little text to train and to measure.
    """
    paths = passage_paths(settings)
    reading = {"format": settings.format, "options": _options(settings)}

    def read(key: str) -> list[str]:
        return [text for path in paths[key] for text in read_passages(path, **reading)]

    unlabelled, records = read("unlabelled"), read("records")
    if not settings.unlabelled and not settings.records:
        raise UserError(
            "config.data.unlabelled must name a file of passages (--config.data.unlabelled=FILE), got ''"
        )
    heldout = read("exclude_shared_with")
    if heldout and max(map(len, heldout)) < SHARED_CHARACTERS:
        raise UserError(
            f"config.data.exclude_shared_with={settings.exclude_shared_with}: must contain a text of at least "
            f"{SHARED_CHARACTERS} characters, since shorter texts are not compared, got at most "
            f"{max(map(len, heldout))}"
        )
    kept = without_shared(unlabelled, heldout)
    passages = kept + records
    left_out = len(unlabelled) - len(kept)
    if len(passages) < 2:
        raise UserError(
            f"config.data.unlabelled={settings.unlabelled}, config.data.records={settings.records}: must hold at "
            f"least 2 passages that are not blank, one to train on and one to measure with, got {len(passages)} "
            f"({left_out} left out by config.data.exclude_shared_with)"
        )
    one = 1 / len(passages)
    fraction = min(max(settings.heldout_fraction, one), 1 - one)
    train, heldout = train_validation_split(passages, fraction, seed)
    logging.info(
        "%d passages, %d characters; %d held out; %d left out that share %d characters with held-out records",
        len(passages),
        sum(map(len, passages)),
        len(heldout),
        left_out,
        SHARED_CHARACTERS,
    )
    return Passages(train, heldout, left_out)


def _options(settings: ConfigDict) -> FormatOptions:
    return parse_options(settings.options, "config.data.options")
