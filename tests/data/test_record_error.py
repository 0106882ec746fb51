"""Messages about bad records: labels and tags that may be text of a misread file, and long numbers, are not shown."""

import json

import pytest

from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, read_documents
from emr_ner_tf.data.record_error import describe_name, describe_tag, describe_value

NAMES = ("疾病和诊断", "T-cell (count)/数", "检查", " 药物")


@pytest.mark.parametrize("name", NAMES)
def test_a_label_that_can_be_a_name_is_shown(name):
    assert describe_name(name) == repr(name)
    assert describe_tag(f"B-{name}") == repr(f"B-{name}")


@pytest.mark.parametrize(
    "text", ["病\r王某", "病\n王", "王某于2月前入院，查体", "王" * 41, "病；王", "患者\u3000王某"]
)
def test_a_label_that_can_be_text_is_described_by_its_size(text):
    assert describe_name(text) == f"<string of {len(text)} characters>"
    assert "王" not in describe_tag(f"B-{text}")


def test_a_number_that_is_no_offset_is_described_by_its_size():
    assert describe_value(-12) == "-12"
    assert describe_value(110101199003071234) == "<whole number of more than 9 digits>"


LONE_CR = "王\tB-病\r某\tI-病\r"


@pytest.mark.parametrize(
    ("format", "content", "line", "message"),
    [
        ("conll", f"左\tO\n{LONE_CR}\n", 2, "the line holds a carriage return, and lines end in LF or CR LF"),
        ("bio", f"左\tO\n{LONE_CR}\n", 2, "the line holds a carriage return, and lines end in LF or CR LF"),
        ("conll", "王\tX-病，王某\n", 1, "fits no scheme"),
        ("bio", "王\tI-病，王某\n", 1, "does not follow B or I"),
        ("bio", "王\tB-病，王某\n", 1, "is not one of the labels"),
        ("conll", "王某 nr 王某\n入院 v 入院\n", 1, "the column of tags holds the tokens again"),
        (
            "csv",
            "text,start,end,label,mention\n王某入院,0,2,王某入院，,王某\n",
            2,
            "is not one of the labels",
        ),
        ("brat", None, 2, "is not one of the labels"),
    ],
)
def test_text_in_the_place_of_a_label_is_not_shown(tmp_path, format, content, line, message):
    path = tmp_path / "in"
    if content is None:
        path = tmp_path / "in.txt"
        path.write_text("王某入院", encoding="utf-8")
        path, content = tmp_path / "in.ann", "T1\t病 0 1\t王\nT2\t王某。 0 2\t王某\n"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(RecordError, match=message) as caught:
        list(read_documents(path, format=format, labels=("病",), overlaps="keep"))
    assert caught.value.line == line
    assert "王" not in str(caught.value)


def test_the_remedy_for_lone_carriage_returns_mends_the_file(tmp_path):
    path = tmp_path / "in"
    path.write_text("左\tB-病\r肾\tI-病\r", encoding="utf-8", newline="")
    with pytest.raises(RecordError, match=r"in:1: .*: character 5, from 0; .* tr '\\r' '\\n' < FILE > COPY"):
        list(read_documents(path))
    path.write_bytes(path.read_bytes().replace(b"\r", b"\n"))
    (document,) = read_documents(path)
    assert [entity.text for entity in document.entities] == ["左肾"]


def test_the_number_of_a_person_in_the_place_of_an_offset_is_not_shown(tmp_path):
    path, number = tmp_path / "in.jsonl", 110101199003071234
    mention = {"label_type": "病", "start_pos": 0, "end_pos": number}
    path.write_text(json.dumps({"originalText": "肝癌", "entities": [mention]}), encoding="utf-8")
    for options in (FormatOptions(), FormatOptions(offset_end="inclusive")):
        with pytest.raises(RecordError) as caught:
            list(read_documents(path, options=options))
        assert str(number)[:9] not in str(caught.value)
    path = tmp_path / "in.csv"
    path.write_text(f"text,start,end,label\n肝癌,0,{number}9,病\n", encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        list(read_documents(path))
    assert str(number)[:9] not in str(caught.value)
