"""Documents and entities as a caller prints, indexes, compares and converts them."""

import doctest

import pytest

from emr_ner_tf.data import document as module
from emr_ner_tf.data.document import Document, Entity


def test_entities_are_sorted_and_know_their_text():
    document = Document("1", "𠮷左肾结石", [Entity(3, 5, "b"), Entity(1, 5, "a")])
    assert [(entity.text, entity.label) for entity in document.entities] == [("左肾结石", "a"), ("结石", "b")]
    assert document.entities[0] < document.entities[1]


def test_comparison_is_by_span_and_label():
    document = Document("1", "左肾结石", [Entity(0, 4, "a", 0.5)])
    assert document.entities[0] == Entity(0, 4, "a")
    assert document.entities[0] != Entity(0, 4, "b")
    assert document == Document("1", "左肾结石", (Entity(0, 4, "a"),), {"key": 1})
    assert len({document.entities[0], Entity(0, 4, "a")}) == 1


def test_there_and_back():
    document = Document("7", "左肾结石", [Entity(0, 4, "a", 0.25)], {"ward": "3"})
    values = document.to_dict()
    assert values == {
        "id": "7",
        "text": "左肾结石",
        "entities": [{"start": 0, "end": 4, "label": "a", "text": "左肾结石", "score": 0.25}],
        "ward": "3",
    }
    back = Document.from_dict(values)
    assert back == document
    assert (back.entities[0].score, back.extra) == (0.25, {"ward": "3", "id": "7"})


def test_what_is_printed():
    assert repr(Document("1", "无")) == "Document('1', '无')"
    assert repr(Entity(0, 4, "a", 0.98765)) == "Entity(0, 4, 'a', score=0.9877)"


def test_documents_do_not_change():
    with pytest.raises(AttributeError):
        Document("1", "无").text = "有"


def test_the_examples_of_the_docstrings(monkeypatch):
    results = doctest.testmod(module)
    assert results.attempted >= 6
    assert results.failed == 0
