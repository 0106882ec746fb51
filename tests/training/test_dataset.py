"""The records of a run: lists of files, labels that are inferred, remedies in the configuration's words."""

import json

import pytest

from emr_ner_tf.config import base_config
from emr_ner_tf.data.rejects import RejectsWriter
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.training.dataset import training_records


def _file(path, *labels, text="左肾结石"):
    mentions = [{"label_type": label, "start_pos": 0, "end_pos": i + 1} for i, label in enumerate(labels)]
    path.write_text(json.dumps({"originalText": text, "entities": mentions}) + "\n", encoding="utf-8")
    return str(path)


def _settings(**data):
    settings = base_config().data
    settings.update({"validation_fraction": 0.0} | data)
    return settings


@pytest.mark.parametrize("key", ["train", "validation"])
def test_a_list_with_an_empty_name(tmp_path, key):
    paths = {"train": _file(tmp_path / "a.jsonl", "药物"), "validation": ""} | {key: f"{tmp_path}/a.jsonl,"}
    with pytest.raises(UsageError, match=f"config.data.{key} must be paths .* path 2 of 2 has an empty name"):
        training_records(_settings(**paths), 1, None)


def test_labels_that_stand_only_inside_longer_mentions(tmp_path):
    path = _file(tmp_path / "a.jsonl", "部位", "病")
    train, _, labels = training_records(_settings(train=path, labels="infer", overlaps="longest"), 1, None)
    assert labels == ("病", "部位")
    assert [entity.label for entity in train[0].entities] == ["病"]


def test_remedies(tmp_path):
    odd, nested = _file(tmp_path / "odd.jsonl", "病"), _file(tmp_path / "nested.jsonl", "药物", "疾病和诊断")
    with pytest.raises(UserError, match=r"--config\.data\.labels=infer"):
        training_records(_settings(train=odd), 1, None)
    with pytest.raises(UserError, match=r"--config\.data\.overlaps=longest"):
        training_records(_settings(train=nested), 1, None)
    settings = _settings(train=odd, validation=_file(tmp_path / "v", "症"), labels="infer")
    with pytest.raises(
        UserError, match=r"labels of config\.data\.train alone; use --config\.data\.labels=FILE"
    ):
        training_records(settings, 1, None)


@pytest.mark.parametrize("labels", ["ccks2019", "infer"])
def test_remedies_name_the_keys_of_the_configuration(tmp_path, labels):
    text, columns, unknown = tmp_path / "gb.jsonl", tmp_path / "records.bio", tmp_path / "notes"
    unknown.write_text('{"病历": "左肾"}\n', encoding="utf-8")
    text.write_bytes(b'{"originalText": "\xd7\xf3", "entities": []}\n')
    columns.write_text("左\tO\n", encoding="utf-8")
    for path, format, message in (
        (text, "auto", r"; read it with --config\.data\.options=encoding=gb18030, or"),
        (unknown, "auto", r"; name it: --config\.data\.format=NAME$"),
        (columns, "ccks2019", r"; read it with --config\.data\.format=bio, or"),
    ):
        with pytest.raises(UserError, match=message):
            training_records(_settings(train=str(path), format=format, labels=labels), 1, None)


def test_rejected_records_name_the_keys_of_the_configuration(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(
        "text,start,end,label,mention\n左肾结石,0,2,解剖部位,左肾\n右肾结石,1,3,解剖部位,右肾\n",
        encoding="utf-8",
    )
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        train, _, _ = training_records(_settings(train=str(path)), 1, rejects)
    assert [document.text for document in train] == ["左肾结石"]
    (rejected,) = map(json.loads, (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines())
    named = ("offset_unit", "offset_end", "offset_crlf")
    assert rejected["message"].endswith(", ".join(f"--config.data.options={name}=..." for name in named))
