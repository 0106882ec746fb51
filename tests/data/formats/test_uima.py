"""UIMA CAS: characters that XML cannot hold, and offsets that are none."""

import re

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents

DOCUMENT = Document("1", "左肾结石", (Entity(1, 3, "病"),), {"id": "1"})


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (Document("1", "左\x0b"), "`text`=<U+000B at character 1>"),
        (Document("1", "左", (), {"id": "x\x0by"}), "`id`=<U+000B at character 1>"),
        (Document("1", "左", (Entity(0, 1, "\uffff"),)), "entity 1: `label`=<U+FFFF at character 0>"),
    ],
)
def test_characters_that_xml_cannot_hold_are_refused(tmp_path, document, problem):
    with pytest.raises(RecordError, match=rf"{re.escape(problem)} holds a character .*; write uima_json"):
        write_documents(tmp_path / "out", [document], "uima_xmi")
    assert not (tmp_path / "out").exists()
    assert write_documents(tmp_path / "json", [document], "uima_json") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("uima_xmi", value) for value in ("", "x", "1.5", "-1", "9", "9" * 5000)),
        *(("uima_json", value) for value in ("null", '"1"', "[]", "1.5", "-1", "9", "9" * 5000)),
    ],
)
def test_offsets_that_are_none_are_refused(tmp_path, name, value):
    path = tmp_path / "in"
    write_documents(path, [DOCUMENT, Document("2", "右肾", (), {"id": "2"})], name)
    (file,) = path.glob("1.*")
    before, after = (
        ('begin="1"', f'begin="{value}"') if name == "uima_xmi" else ('"begin": 1', f'"begin": {value}')
    )
    content = file.read_text(encoding="utf-8")
    assert content.count(before) == 1
    file.write_text(content.replace(before, after), encoding="utf-8")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        (document,) = read_documents(path, format=name, rejects=rejects)
    assert (document.id, rejects.count) == ("2", 1)
