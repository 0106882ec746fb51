"""Checks before any training: records that cannot be trained or scored on, in the words of the command."""

import json

import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.experiments.data_summary import describe
from emr_ner_tf.experiments.runs import Experiment


def _file(path, *mentions):
    entities = [{"label_type": label, "start_pos": start, "end_pos": end} for label, start, end in mentions]
    path.write_text(json.dumps({"originalText": "左肾结石", "entities": entities}) + "\n", encoding="utf-8")
    return str(path)


def _describe(train, test, *overrides, all_records=""):
    return describe(train, test, all_records, Experiment(train, test, overrides=overrides).config().data)


def test_counts(tmp_path):
    good = _file(tmp_path / "good.jsonl", ("疾病和诊断", 0, 4))
    described = _describe(f"{good},{good}", good, all_records=good)
    assert described["train"] == {"records": 2, "mentions": 2}
    assert described["test"] == {"records": 1, "mentions": 1}
    assert described["distinct_forms"]["疾病和诊断"] == described["all_records"] == 1


def test_files_without_mentions(tmp_path):
    good = _file(tmp_path / "good.jsonl", ("疾病和诊断", 0, 4))
    bare, empty = _file(tmp_path / "bare.jsonl"), str(tmp_path / "empty.jsonl")
    (tmp_path / "empty.jsonl").touch()
    for files, message in (
        (
            (bare, good),
            f"--train={bare}: must contain annotated records, but none of its 1 records has a mention",
        ),
        (
            (good, bare),
            f"--test={bare}: must contain annotated records, but none of its 1 records has a mention",
        ),
        ((good, empty), f"--test={empty}: must contain annotated records, but it contains no record"),
    ):
        with pytest.raises(UserError) as caught:
            _describe(*files)
        assert str(caught.value) == message


def test_remedies(tmp_path):
    good = _file(tmp_path / "good.jsonl", ("疾病和诊断", 0, 4))
    odd = _file(tmp_path / "odd.jsonl", ("症状", 0, 4))
    nested = _file(tmp_path / "nested.jsonl", ("疾病和诊断", 0, 4), ("部位", 0, 2))
    with pytest.raises(UserError, match=r"; use --override=data\.labels=infer"):
        _describe(odd, odd)
    assert _describe(odd, odd, "data.labels=infer")["labels"] == ["症状"]
    with pytest.raises(UserError, match=r"; use --override=data\.overlaps=longest"):
        _describe(good, nested)
    (tmp_path / "gb.jsonl").write_bytes(b'{"originalText": "\xd7\xf3", "entities": []}\n')
    with pytest.raises(UserError, match=r"; read it with --override=data\.options=encoding=gb18030, or"):
        _describe(good, str(tmp_path / "gb.jsonl"))
    described = _describe(nested, nested, "data.labels=infer", "data.overlaps=longest")
    assert described["labels"] == ["疾病和诊断", "部位"]
    assert described["train"]["mentions"] == 1
