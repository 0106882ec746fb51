import pytest

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.passages import read_passages
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.writing import write_documents


def test_one_passage_a_line(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "一例。\r\n\n \n 二例。\n".encode())
    assert list(read_passages(path)) == ["一例。", " 二例。"]


def test_json_lines_with_and_without_entities(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('\n{"originalText": "一例。"}\n{"originalText": "", "entities": []}\n', encoding="utf-8")
    assert list(read_passages(path)) == ["一例。"]


def test_errors_name_the_line(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text('{"originalText": "一例。"}\n二例。\n', encoding="utf-8")
    with pytest.raises(RecordError, match=r"mixed\.jsonl:2: the line is not JSON"):
        list(read_passages(path))
    with pytest.raises(RecordError, match="no such file"):
        list(read_passages(tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    "content",
    [
        *("患\tO\n者\tO\n", "\ufeff患 B-手术\n", "患者\tO\n头孢\tU-药\n", "CT NN B-查\n", " \tO\n左\tB-病\n"),
        *("左|O 肾|B-病\n", "-DOCSTART- O\n\n左 O\n"),
    ],
)
@pytest.mark.parametrize("name", ["tags.bio", "tags.txt", "tags"])
def test_tags_in_columns_are_no_passages(tmp_path, content, name):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=rf"{name}:1: must hold passages, .* convert it"):
        list(read_passages(path))


@pytest.mark.parametrize("content", ["", "\n \t\n", '{"originalText": " "}\n'])
def test_a_file_without_a_passage(tmp_path, content):
    path = tmp_path / "blank.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=r"blank\.txt: must hold passages of text, and holds none"):
        list(read_passages(path))


@pytest.mark.parametrize("name", ["ccks2019", "label_studio", "doccano", "csv", "xlsx", "brat"])
def test_each_record_of_another_format_is_a_passage(tmp_path, caplog, name):
    write_documents(tmp_path / "records", [Document("1", "一例。"), Document("2", "二例。")], name)
    with caplog.at_level("INFO", logger="absl"):
        assert list(read_passages(tmp_path / "records")) == ["一例。", "二例。"]
    assert (f"records: read as {name}, found by" in caplog.text) == (name != "ccks2019")
    assert list(read_passages(tmp_path / "records", format=name)) == ["一例。", "二例。"]


def test_another_encoding_and_column(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_bytes("编号,病历\n1,一例。\n".encode("gb18030"))
    options = FormatOptions(encoding="gb18030", text_column="病历")
    assert list(read_passages(path, options=options)) == ["一例。"]
