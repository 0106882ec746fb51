"""Training from files of any format: the same records give the same weights."""

import numpy as np
import pytest

from emr_ner_tf.config import set_keys
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.recipes import read_recipe
from emr_ner_tf.training.dataset import training_records
from emr_ner_tf.training.loading import restore
from emr_ner_tf.training.trainer import train

# (format, options of the reader, options of the writer)
FORMATS = [
    ("ccks2019", "", FormatOptions()),
    ("label_studio", "", FormatOptions()),
    ("cmeee", "", FormatOptions()),
    ("brat", "", FormatOptions()),
    ("conll", "scheme=bioes", FormatOptions(scheme="bioes")),
    ("xlsx", "", FormatOptions()),
    ("csv", "encoding=gb18030,text_column=text", FormatOptions()),
]
TINY = {
    "encoder": "",
    "model.encoder": "char",
    "model.context": "none",
    "model.attention": "none",
    "char.size": 4,
    "text.window": 64,
    "text.overlap": 8,
    "text.slack": 8,
    "train.epochs": 1,
    "train.batch_size": 14,
    "data.validation_fraction": 0.0,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same eight records in each format, by its name."""
    folder = tmp_path_factory.mktemp("formats")
    # Names by which the files of a folder are sorted as here.
    records = [
        Document(f"r{i}", one.text, one.entities, {"id": f"r{i}"})
        for i, one in enumerate(generate("train", records=8, seed=3))
    ]
    for name, _, options in FORMATS:
        write_documents(folder / name, records, name, options=options)
    table = folder / "csv"
    table.write_bytes(table.read_bytes().decode("utf-8-sig").encode("gb18030"))
    return folder


def _config(files, name, options, **keys):
    config = read_recipe("quickstart")
    set_keys(config, TINY | {"data.train": str(files / name), "data.options": options} | keys)
    return config


def _records(config):
    """Returns the records that training reads from the files: texts and mentions, in order, and labels."""
    train, validation, labels = training_records(config.data, 1, None)
    return [[(document.text, document.entities) for document in some] for some in (train, validation)], labels


@pytest.mark.slow
def test_three_steps_give_the_same_weights(files, tmp_path, eager):
    expected = None
    for name, options, _ in FORMATS:
        metrics = train(_config(files, name, options), str(tmp_path / name))
        assert metrics["updates"] == 3
        tagger, _ = restore(tmp_path / name)
        weights = {
            variable.name: variable.numpy() for variable in tagger.ner_pipeline.tagger.trainable_variables
        }
        expected = expected or weights
        assert weights.keys() == expected.keys()
        for path, values in weights.items():
            np.testing.assert_array_equal(values, expected[path], err_msg=f"{name}: {path}")


@pytest.mark.parametrize(("name", "options", "_"), FORMATS)
def test_training_sees_the_same_records(files, name, options, _):
    expected = _records(_config(files, "ccks2019", ""))
    for format in ("auto", name):
        assert _records(_config(files, name, options, **{"data.format": format})) == expected


def test_wrong_settings(files):
    for key, value, message in (
        ("data.format", "xml", r"config\.data\.format must be one of auto, ccks2019"),
        ("data.options", "encodings=gb18030", r"config\.data\.options must be NAME=VALUE"),
        ("data.unlabelled_format", "xml", r"config\.data\.unlabelled_format must be one of auto, ccks2019"),
        ("data.unlabelled_options", "x=y", r"config\.data\.unlabelled_options must be NAME=VALUE"),
        ("data.options", "tag_column=x", r"tag_column must be a whole number, got 'x'"),
    ):
        with pytest.raises(UserError, match=message):
            train(_config(files, "ccks2019", "", **{key: value}), "never")
