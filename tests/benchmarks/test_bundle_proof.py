"""The comparison of a bundle's signatures finds no contradiction in a bundle, and finds those that are put there."""

import importlib
import pathlib
import shutil

import pytest

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.exporting.bundle import TAGS, Bundle, find_version

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def compare_signatures(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("tensorflow_impl.proof").compare_signatures


def test_signatures(compare_signatures, bundles, corpus, tmp_path):
    bundle = Bundle(bundles)
    documents = [
        *list(read_documents(corpus / "test.jsonl"))[:3],
        Document("empty", ""),
        Document("one", "癌"),
    ]
    result = compare_signatures(bundle, documents)
    assert result["contradictions"] == []
    assert result["largest_sum_error"] < 1e-4
    expected = [document.entities for document in bundle.annotate(documents)]
    assert [[entity[:3] for entity in found] for found in result["entities"]] == [
        [(entity.start, entity.end, entity.label) for entity in entities] for entities in expected
    ]
    version = shutil.copytree(find_version(bundles), tmp_path / "1")
    tags = (version / "assets" / TAGS).read_text(encoding="utf-8").splitlines()
    (version / "assets" / TAGS).write_text("".join(f"{tag}\n" for tag in tags[::-1]), encoding="utf-8")
    contradictions = compare_signatures(Bundle(version), documents)["contradictions"]
    assert (0, "`tag` and `decode`") in contradictions
