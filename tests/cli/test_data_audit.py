"""`data audit`: planted errors are among the first; by models of folds, and by models that exist."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from emr_ner_tf.audit.scoring import find_candidates
from emr_ner_tf.config import load_config, save_config
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents


@pytest.fixture(scope="module")
def planted(corpus, restored, tmp_path_factory):
    """The corpus' training records with three errors, and the places of the errors: index, start, end."""
    documents = list(read_documents(corpus / "train.jsonl"))
    # Mentions of which the model is sure.
    dropped, relabelled, shifted = sure = [
        max(set(found.entities) & set(document.entities), key=lambda one: (one.end - one.start, one.start))
        for document, found in zip(documents[:3], restored.annotate(documents[:3]), strict=True)
    ]
    changes = [
        [],
        [dataclasses.replace(relabelled, label="手术" if relabelled.label != "手术" else "药物")],
        [dataclasses.replace(shifted, end=shifted.end - 1)],
    ]
    for i, instead in enumerate(changes):
        entities = (*instead, *(one for one in documents[i].entities if one != sure[i]))
        documents[i] = Document(documents[i].id, documents[i].text, entities, documents[i].extra)
    path = tmp_path_factory.mktemp("planted") / "records.jsonl"
    write_documents(path, documents)
    return path, [(i, e.start, e.end) for i, e in enumerate((dropped, relabelled, shifted))]


def test_models_that_exist(cli, trained, planted, corpus, tmp_path):
    path, errors = planted
    output = tmp_path / "suspects.jsonl"
    done = cli("data", "audit", f"--input={path}", f"--model_dir={trained}", f"--output={output}")
    # It has been trained on these texts.
    assert done.returncode == 1
    assert "all 1 models have been trained on all 48 records" in done.stderr
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    config = load_config(model / "config.json")
    config.data.train = str(corpus / "test.jsonl")
    save_config(config, model / "config.json")
    for format, name in (("ccks2019", "a.jsonl"), ("label_studio", "b.json")):
        output = tmp_path / name
        done = cli(
            "data", "audit", f"--input={path}", f"--model_dir={model}", f"--output={output}", f"--to={format}"
        )
        assert done.returncode == 0, done.stderr
        assert "likely errors in 48 records" in done.stdout
        if format == "ccks2019":
            suspects = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        else:
            found = list(read_documents(output, format=format, overlaps="keep"))
            assert [len(one.entities) for one in found] == [len(one["entities"]) for one in suspects]
            assert found[0].text == suspects[0]["originalText"]
    by_line = {record["line"]: record["entities"] for record in suspects}
    kinds = {0: "missing: ", 1: "label: ", 2: "boundary: "}
    for index, start, end in errors:
        (entity,) = [one for one in by_line[index + 1] if one["start_pos"] < end and start < one["end_pos"]]
        assert entity["label_type"].startswith(kinds[index])
        assert entity["score"] > 0.5
        assert ("annotated" in entity) == (index > 0)
    # The most suspicious record comes first.
    most = [max(entity["score"] for entity in record["entities"]) for record in suspects]
    assert most == sorted(most, reverse=True)


@pytest.mark.usefixtures("eager")
@pytest.mark.slow
def test_folds_are_trained_once(cli, smallest_flags, corpus, tmp_path):
    flags = (
        f"--input={corpus}/test.jsonl",
        *smallest_flags,
        "--config.train.epochs=1",
        "--folds=2",
        f"--work_dir={tmp_path}/work",
    )
    first = cli("data", "audit", *flags, f"--output={tmp_path}/1.jsonl")
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("records to train on") == 2
    again = cli("data", "audit", *flags, f"--output={tmp_path}/2.jsonl")
    assert again.returncode == 0, again.stderr
    assert "records to train on" not in again.stderr
    assert (tmp_path / "2.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    assert again.stdout == first.stdout
    # Every record is compared once, by a model that has not seen it.
    texts = {
        fold: {one.text for one in read_documents(tmp_path / f"work/fold-{fold}-of-2/train.jsonl")}
        for fold in (1, 2)
    }
    assert not texts[1] & texts[2]
    assert texts[1] | texts[2] == {one.text for one in read_documents(corpus / "test.jsonl")}


def test_probabilities_are_those_of_the_model(restored, corpus):
    documents = list(read_documents(corpus / "test.jsonl"))[:4]
    annotated = list(restored.annotate(documents))
    # With the model's own mentions annotated nothing is suspicious, and with none all of them are missing.
    assert find_candidates(restored.ner_pipeline, annotated) == [[] for _ in documents]
    bare = [dataclasses.replace(document, entities=()) for document in documents]
    for document, candidates in zip(annotated, find_candidates(restored.ner_pipeline, bare), strict=True):
        assert [(one.kind, one.start, one.end, one.label) for one in candidates] == [
            ("missing", one.start, one.end, one.label) for one in document.entities
        ]
        scores = [one.score for one in document.entities]
        np.testing.assert_allclose([one.suspicion for one in candidates], scores, rtol=1e-4)
    other = dataclasses.replace(documents[0], entities=(Entity(0, 1, "不知"),))
    (candidates,) = find_candidates(restored.ner_pipeline, [other])
    assert any("不知" in (one.label, *(each.label for each in one.annotated)) for one in candidates)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "audit requires either --config or --model_dir"),
        (("--model_dir=x", "--work_dir=y"), "--work_dir is required with --config"),
        (("--config=quickstart",), "--work_dir is required with --config"),
        (("--model_dir=x", "--ratio=1:1"), "--ratio is not a flag of audit"),
        (
            ("--model_dir=x", "--output=OUT", "--to=csv", "--to_scheme=bioes"),
            "--to_scheme is a flag of conll and",
        ),
    ],
)
def test_wrong_calls(cli, corpus, flags, message):
    done = cli("data", "audit", f"--input={corpus}/test.jsonl", *flags)
    assert done.returncode == 2
    assert message in done.stderr
