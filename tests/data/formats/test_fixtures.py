"""Files made by the real tools: found by looking, read, written back and read again, with nothing lost unnamed."""

import pytest
from format_cases import plain

from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.table import FORMATS
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents

# (file, format, options, records, mentions, the first mentions as text and label)
READABLE = [
    ("brat", "brat", {}, 2, 3, [("p53", "Protein"), ("c-Rel", "Protein")]),
    ("brat/040-text_span_annotation.ann", "brat", {}, 1, 3, [("p53", "Protein")]),
    ("cmeee/openmed_synthetic.jsonl", "cmeee", {}, 2, None, [("肺炎", "dis"), ("咳嗽", "sym")]),
    (
        "imcs/openmed_synthetic.jsonl",
        "huggingface",
        {},
        3,
        None,
        [("甲类抗热药", "Drug_Category"), ("甲司林", "Drug")],
    ),
    ("conll/ner-sent-per-line.iob", "conll", {}, 2, None, [("Sebastian Thrun", "PERSON"), ("Google", "ORG")]),
    ("conll/ner-token-per-line-conll2003.iob", "conll", {}, 2, None, [("Sebastian Thrun", "PERSON")]),
    ("conll/ner-token-per-line-with-pos.iob", "conll", {}, 1, None, [("Sebastian Thrun", "PERSON")]),
    ("conll/ner-token-per-line.iob", "conll", {}, 1, None, [("Sebastian Thrun", "PERSON")]),
    ("doccano/example.conll", "conll", {}, 2, 2, [("JAPAN", "LOC")]),
    ("doccano/labeling.trailing.conll", "conll", {}, 1, 2, [("JAPAN", "LOC"), ("CHINA", "PER")]),
    ("doccano/example_overlapping.jsonl", "doccano", {}, 1, 2, [("e", "LOC"), ("e", "LOC")]),
    (
        "doccano/relations.jsonl",
        "doccano",
        {},
        None,
        None,
        [("Google", "ORG"), ("September 4, 1998", "DATE")],
    ),
    ("uima/Chinese/debug.xmi", "uima_xmi", {"layer": "Annotation"}, 1, 4, [("這", "Annotation")]),
    ("uima/Chinese/data.json", "uima_json", {"layer": "Annotation"}, 1, 4, [("這", "Annotation")]),
    (
        "uima/Emoji/debug.xmi",
        "uima_xmi",
        {"layer": "Annotation"},
        1,
        9,
        [("🥳", "Annotation"), ("This", "Annotation")],
    ),
    (
        "uima/Emoji/data.json",
        "uima_json",
        {"layer": "Annotation"},
        1,
        9,
        [("🥳", "Annotation"), ("This", "Annotation")],
    ),
    ("webanno/testSentenceWithEmoji.tsv", "webanno", {}, 1, 1, [("😊", "Span")]),
    (
        "webanno/testMultiTokenStackedSpanWithFeatureValue.tsv",
        "webanno",
        {},
        *(1, 2, [("This is a test .", "LOCATION"), ("This is a test .", "PERSON")]),
    ),
    ("webanno/testStackedSubMultiTokenSpanWithFeatureValue.tsv", "webanno", {}, 1, None, [("aaaaaa", "1a")]),
]


@pytest.mark.parametrize(("name", "format", "options", "records", "mentions", "first"), READABLE)
def test_a_fixture_is_found_read_and_written_back(
    shared, tmp_path, caplog, name, format, options, records, mentions, first
):
    path, options = shared / "fixtures" / name, FormatOptions(**options)
    found = detect(path)
    assert found is not None
    assert found.format == format
    documents = list(read_documents(path, overlaps="keep", options=options))
    assert records in (None, len(documents))
    entities = [entity for document in documents for entity in document.entities]
    assert mentions in (None, len(entities))
    assert [(entity.text, entity.label) for entity in entities][: len(first)] == first
    # WebAnno is read only.
    back = "uima_xmi" if format == "webanno" else format
    extension = FORMATS[back].extension
    out = tmp_path / (f"out.{extension}" if extension else "out")
    caplog.clear()
    write_documents(out, documents, back)
    again = list(read_documents(out, overlaps="keep"))
    assert [plain(document) for document in again] == [plain(document) for document in documents]
    extra = [document.extra for document in documents]
    if any(extra) and [document.extra for document in again] != extra:
        assert "not written" in caplog.text or all(set(keys) <= {"id"} for keys in extra)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("doccano/example.jsonl", r"example\.jsonl:3: `text` is missing"),
        (
            "doccano/labeling.invalid.conll",
            r"labeling\.invalid\.conll:2: a line must have as many columns as",
        ),
    ],
)
def test_a_faulty_fixture_is_refused_by_line(shared, tmp_path, name, problem):
    path = shared / "fixtures" / name
    with pytest.raises(RecordError, match=problem):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert list(read_documents(path, rejects=rejects))
    assert rejects.count == 1


def test_relations_are_counted(shared, caplog):
    with caplog.at_level("INFO", logger="absl"):
        list(read_documents(shared / "fixtures/doccano/relations.jsonl"))
    assert "read as doccano, found by the keys of its first record" in caplog.text
    assert "relations" in caplog.text
    assert "Google" not in caplog.text


def test_an_encoding_is_named(shared):
    path = shared / "fixtures/doccano/example.utf16.csv"
    options = FormatOptions(encoding="utf-16")
    documents = list(read_documents(path, format="csv", options=options, require_entities=False))
    assert [document.text for document in documents] == ["AAA", "BBB", "CCC"]
    with pytest.raises(RecordError, match="encoding=utf-16"):
        list(read_documents(path, format="csv", require_entities=False))
