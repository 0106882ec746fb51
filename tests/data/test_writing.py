"""Files of documents are whole or absent, and several appear together."""

import pytest

from emr_ner_tf.data.document import Document, Entity
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
