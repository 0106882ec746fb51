"""A bundle of several models, with a threshold and a budget of its own."""

import json

import pytest

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.exporting.export import export

_LEAST = 0.6


@pytest.fixture(scope="module")
def ensemble(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("ensemble")
    export([trained, trained], output, min_probability=_LEAST, token_budget=512)
    return Bundle(output)


def test_models_that_are_alike_find_what_one_finds_above_the_threshold(ensemble, bundles, corpus):
    documents = list(read_documents(corpus / "test.jsonl"))
    expected = [
        [(entity.start, entity.end, entity.label) for entity in document.entities if entity.score >= _LEAST]
        for document in Bundle(bundles).annotate(documents)
    ]
    found = [
        [(entity.start, entity.end, entity.label) for entity in document.entities]
        for document in ensemble.annotate(documents)
    ]
    assert found == expected
    assert sum(map(len, found)) > 10


def test_what_the_bundle_says_of_itself(ensemble, trained):
    assert ensemble.definition.config.text.token_budget == 512
    metrics = json.loads((ensemble.path / "assets/metrics.json").read_text(encoding="utf-8"))
    one = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["parameters"] == 2 * one["parameters"]
    assert [member["f1"] for member in metrics["exported"]["members"]] == [one["best"]["f1"]] * 2
    # Nobody has measured the ensemble itself.
    assert "f1" not in metrics["exported"]
    card = (ensemble.path / "assets/model_card.md").read_text(encoding="utf-8")
    assert "an ensemble of 2 such models" in card
    assert "entities with a probability below 0.6 are left out" in card
    assert "not scored during training" in card


def test_models_of_other_labels(trained, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in trained.iterdir():
        (other / path.name).symlink_to(path)
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    config["text"]["window"] = 60
    (other / "config.json").unlink()
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"the same config.text.window, got 64 in .* and 60 in .*other"):
        export([trained, other], tmp_path / "bundles")
    assert not any((tmp_path / "bundles").glob("[0-9]*"))
