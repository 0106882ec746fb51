"""Files of documents are whole or absent, and several appear together."""

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import document_writers, write_documents
from emr_ner_tf.errors import UserError

GOOD = Document("1", "肝癌", (Entity(0, 2, "病"),))
OVERLAPPING = Document("2", "肝癌", (Entity(0, 2, "病"), Entity(1, 2, "病")))


def _stream(*documents):
    yield from documents
    raise RuntimeError("the source fails")


@pytest.mark.parametrize("format", ["ccks2019", "bio"])
def test_a_stream_that_fails_leaves_what_was_there(tmp_path, format):
    path = tmp_path / "deep" / "records"
    with pytest.raises(RuntimeError):
        write_documents(path, _stream(GOOD), format)
    assert list(path.parent.iterdir()) == []
    path.write_text("before")
    with pytest.raises(RuntimeError):
        write_documents(path, _stream(GOOD), format)
    assert path.read_text() == "before"
    assert write_documents(path, [GOOD, GOOD], format) == 2
    assert "肝" in path.read_text(encoding="utf-8")


def test_a_document_that_the_format_cannot_hold_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="overlaps"):
        write_documents(tmp_path / "records.bio", [GOOD, OVERLAPPING], "bio")
    assert list(tmp_path.iterdir()) == []


def test_several_files_appear_together(tmp_path):
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    with document_writers(paths) as (write_a, write_b):
        write_a(GOOD)
        write_b(GOOD)
        assert not any(path.exists() for path in paths)
    assert paths[0].read_bytes() == paths[1].read_bytes() != b""
    with pytest.raises(UserError), document_writers([tmp_path / "c", tmp_path / "d"], "bio") as (_, write):
        write(OVERLAPPING)
    assert sorted(tmp_path.iterdir()) == paths


def test_unknown_format(tmp_path):
    with pytest.raises(UserError, match=r"ccks2019, bio, text, .*, got 'webanno'"):
        write_documents(tmp_path / "x", [], "webanno")


@pytest.mark.parametrize("format", ["ccks2019", "bio", "csv", "label_studio", "doccano", "brat"])
def test_the_id_that_a_caller_gives_is_written(tmp_path, format):
    path = tmp_path / "records"
    write_documents(path, [GOOD, Document.from_dict(GOOD.to_dict() | {"id": "2"})], format)
    assert [document.id for document in read_documents(path, format=format)] == ["1", "2"]


def test_the_name_of_a_record_without_an_id_is_not_written(tmp_path):
    (tmp_path / "plain").write_text("肝癌\n", encoding="utf-8")
    (tmp_path / "bio").write_text("肝\tO\n癌\tO\n", encoding="utf-8")
    for format in ("text", "bio"):
        documents = read_documents(tmp_path / ("plain" if format == "text" else format), format=format)
        assert write_documents(tmp_path / "out.jsonl", documents) == 1
        assert (tmp_path / "out.jsonl").read_text(
            encoding="utf-8"
        ) == '{"originalText": "肝癌", "entities": []}\n'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            Document("1", "肝癌", [Entity(0, 1, "病"), Entity(1, 9, "病")]),
            r"out: record 2: entity 2: `start, end`=1, 9 is not a span of the text \(2 characters\)$",
        ),
        (Document("1", "肝癌", [Entity(-1, 1, "病")]), "entity 1: `start, end`=-1, 1 is not"),
        (Document("1", "肝癌", [Entity(1, 1, "病")]), "entity 1: `start, end`=1, 1 is not"),
        (Document("1", "肝癌", [Entity(0, 1, "")]), "entity 1: `label`='' is empty"),
        (Document("1", "肝癌", [Entity(0, 1, "病 ")]), "entity 1: `label`='病 ' has white space at an edge"),
        (Document("1", "肝癌", [Entity(0, 1, "a\tb")]), "entity 1: `label`=.* cannot be printed"),
        (Document("1", "肝\ud800"), "`text`=<U\\+D800 at character 1> holds a lone surrogate"),
        ("肝癌", r"out: record 2: must be a Document, got str; use Document\(id, text, entities\)"),
    ],
)
@pytest.mark.parametrize("format", ["ccks2019", "bio", "csv", "brat", "conll"])
def test_a_document_that_no_reader_accepts(tmp_path, format, document, message):
    with pytest.raises(UserError, match=message) as caught:
        write_documents(tmp_path / "out", [GOOD, document], format)
    assert "肝" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_one_document_is_no_list(tmp_path):
    with pytest.raises(UserError, match="put it into a list"):
        write_documents(tmp_path / "out", GOOD)
