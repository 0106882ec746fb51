"""JSON records of other programs: arrays that are cut off, tokens and tags that do not fit, lines of one text."""

import json

import pytest

from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.rejects import CountedRejects

RECORD = json.dumps({"text": "左肾", "entities": []})


@pytest.mark.parametrize("rest", ["", "\n", ",", ",\n", "\n,\n"])
def test_an_array_without_its_end_is_refused(tmp_path, rest):
    path = tmp_path / "in.json"
    path.write_text(f"[\n{RECORD}{rest}", encoding="utf-8")
    line = 2 + rest.count("\n")
    with pytest.raises(RecordError, match=rf"in\.json:{line}: the file ends before the `\]` of its array"):
        list(read_documents(path, format="cmeee"))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert [document.text for document in read_documents(path, format="cmeee", rejects=rejects)] == [
            "左肾"
        ]
    assert rejects.count == 1


@pytest.mark.parametrize("cut", [1, 5, 12, len(RECORD) - 1])
def test_an_array_that_is_cut_within_a_record_has_one_fault(tmp_path, cut):
    path = tmp_path / "in.json"
    path.write_text(f"[{RECORD},\n{RECORD[:cut]}", encoding="utf-8")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert len(list(read_documents(path, format="cmeee", rejects=rejects))) == 1
    assert rejects.count == 1


@pytest.mark.parametrize(
    "text", [f"[{RECORD}]", f"[{RECORD}]\n", "[]", f"{RECORD}\n{RECORD}", f"[{RECORD},]", ""]
)
def test_whole_files_are_not_refused(tmp_path, text):
    path = tmp_path / "in.json"
    path.write_text(text, encoding="utf-8")
    assert len(list(read_documents(path, format="cmeee"))) == text.count("text")


def test_an_array_of_ccks2019_without_its_end_is_refused(tmp_path):
    path = tmp_path / "in.json"
    path.write_text(
        '[{"originalText": "左", "entities": []},\n{"originalText": "右", "entities": []}', encoding="utf-8"
    )
    with pytest.raises(RecordError, match=r"in\.json:2: the file ends before"):
        list(read_documents(path))


@pytest.mark.parametrize(
    ("tokens", "tags", "problem"),
    [
        (["", "左"], ["B-病", "O"], "`tokens` holds an empty token whose tag is not O, at number: 0, from 0"),
        (
            ["左", ""],
            ["B-病", "I-病"],
            "`tokens` holds an empty token whose tag is not O, at number: 1, from 0",
        ),
        (["左"], ["O", "O"], r"`ner_tags` must have as many elements as `tokens` \(1\), got: 2"),
    ],
)
def test_tokens_and_tags_that_do_not_fit(tmp_path, tokens, tags, problem):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"tokens": tokens, "ner_tags": tags}), encoding="utf-8")
    with pytest.raises(RecordError, match=rf"in\.jsonl:1: {problem}$"):
        list(read_documents(path))


def test_an_empty_token_without_a_tag_is_nothing(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"tokens": ["", "左"], "ner_tags": ["O", "B-病"]}), encoding="utf-8")
    (document,) = read_documents(path)
    assert [(entity.start, entity.end) for entity in document.entities] == [(0, 1)]


@pytest.mark.parametrize("key", ["originalText", "text"])
def test_records_on_one_line_have_different_names(tmp_path, key):
    names = {"originalText": ("label_type", "start_pos", "end_pos"), "text": ("type", "start_idx", "end_idx")}
    records = [
        {key: "左肾", "entities": [dict(zip(names[key], ("病", 0, end), strict=True))]} for end in (1, 9, 1)
    ]
    path = tmp_path / "in.json"
    for separator, ids, place in (
        (", ", ["1", "1:3"], ":1: record 2 of the line"),
        (",\n", ["1", "3"], ":2"),
    ):
        path.write_text(f"[{separator.join(map(json.dumps, records))}]", encoding="utf-8")
        rejects = CountedRejects()
        options = FormatOptions(offset_end="exclusive")
        documents = list(read_documents(path, labels={"病"}, rejects=rejects, options=options))
        assert [document.id for document in documents] == [f"{path}:{each}" for each in ids]
        (error,) = rejects.errors
        assert str(error).startswith(f"{path}{place}: entity 1: ")
