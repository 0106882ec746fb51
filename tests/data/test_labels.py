"""Labels by name, from a file, from the records."""

import json

import pytest

from emr_ner_tf.data.labels import CCKS2019_LABELS, resolve_labels
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.errors import UserError


def _records(path, *labels):
    lines = [
        json.dumps(
            {"originalText": "肝癌", "entities": [{"label_type": label, "start_pos": 0, "end_pos": 1}]}
        )
        for label in labels
    ]
    path.write_text("\n".join([*lines, "not JSON"]), encoding="utf-8")
    return path


def test_ccks2019():
    assert resolve_labels("ccks2019", ["never read"]) == (
        "疾病和诊断",
        "影像检查",
        "实验室检验",
        "手术",
        "药物",
        "解剖部位",
    )
    assert list(CCKS2019_LABELS.values()) == [
        "Diseases",
        "Image",
        "Laboratory",
        "Operation",
        "Drug",
        "Anatomy",
    ]


def test_a_file_keeps_its_order(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeff药\r\n\r\nBody Part\r\n病".encode())
    assert resolve_labels(str(path)) == ("药", "Body Part", "病")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("病\n药\n病\n", ":3: the label must be unique; it is also on line 1"),
        ("病\n 药\n", ":2: the label has white space at an edge"),
        ("\n\n", ": must contain one label per line, got none"),
        (b"\xff", ":1: the line is not valid UTF-8: 0xff at byte 0 of the line, 0 of the file, from 0"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "labels.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        resolve_labels(str(path))
    assert str(caught.value) == f"{path}{message}"


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"ccks2019, infer, or a file .* got 'ccks2020'"):
        resolve_labels("ccks2020")
    with pytest.raises(UserError, match="cannot be read"):
        resolve_labels(str(tmp_path))


def test_inferred_labels_do_not_depend_on_any_order(tmp_path):
    one, other = _records(tmp_path / "a", "药", "a"), _records(tmp_path / "b", "病", "药")
    assert resolve_labels("infer", [one, other]) == resolve_labels("infer", [other, one]) == ("a", "病", "药")


def test_inferred_from_columns(tmp_path):
    path = tmp_path / "records.bio"
    path.write_text("肝 B-病\n癌 I-病\n", encoding="utf-8")
    assert resolve_labels("infer", [path], format="bio") == ("病",)


def test_nothing_to_infer_from(tmp_path):
    path = tmp_path / "a"
    path.write_text('{"originalText": "肝癌", "entities": []}\n', encoding="utf-8")
    with pytest.raises(
        UserError, match="has a mention to take a label from; name the labels: --labels=ccks2019"
    ):
        resolve_labels("infer", [path])
    assert resolve_labels("infer", [path], or_none=True) == ()


def test_why_no_record_is_good(tmp_path):
    path = tmp_path / "a"
    bad = {"originalText": "肝癌", "entities": [{"label_type": "病", "start_pos": 0, "end_pos": 9}]}
    path.write_text(f"\n{json.dumps(bad)}\n{{}}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        resolve_labels("infer", [path])
    assert str(caught.value) == (
        f"labels=infer: no good record of {path} has a mention to take a label from; 2 records are bad, the first of "
        f"them: {path}:2: entity 1: `end_pos`=9 is past the end of the text (2 characters)"
    )


def _nested(path):
    mentions = [
        {"label_type": label, "start_pos": 0, "end_pos": end} for label, end in (("部位", 1), ("病", 2))
    ]
    path.write_text(json.dumps({"originalText": "肝癌", "entities": mentions}), encoding="utf-8")
    return path


def test_labels_of_mentions_that_are_left_out_are_inferred(tmp_path):
    path = _nested(tmp_path / "a")
    labels = resolve_labels("infer", [path], overlaps="longest")
    assert labels == ("病", "部位")
    (document,) = read_documents(path, labels=labels, overlaps="longest")
    assert [entity.label for entity in document.entities] == ["病"]


def test_records_that_are_refused_for_overlaps_are_no_source_of_labels(tmp_path):
    with pytest.raises(
        UserError, match=r"1 records are bad, .*:1: entity 2: .* overlaps .*--overlaps=longest"
    ):
        resolve_labels("infer", [_nested(tmp_path / "a")], overlaps="error")
