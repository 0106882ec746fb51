"""A bundle of several models, with a threshold and a budget of its own."""

import json
import os

import pytest

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.calibration import best_threshold
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.exporting.export import export
from emr_ner_tf.exporting.model_card import model_card
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def ensemble(trained, corpus, tmp_path_factory):
    """Twice the same model, which scores as one does, with the threshold that the training records choose."""
    output = tmp_path_factory.mktemp("ensemble")
    chosen = export(
        [trained, trained],
        output,
        verify_on=str(corpus / "train.jsonl"),
        choose_threshold=True,
        token_budget=512,
    ).threshold
    return Bundle(output), chosen


def test_models_that_are_alike_find_what_one_finds_above_the_threshold(ensemble, bundles, corpus):
    bundle, chosen = ensemble
    gold = list(read_documents(corpus / "train.jsonl"))
    everything = list(Bundle(bundles).annotate(gold))
    assert chosen == pytest.approx(best_threshold(gold, everything))
    assert 0 < chosen.threshold < 1
    for found, document in zip(bundle.annotate(gold), everything, strict=True):
        kept = [entity for entity in document.entities if entity.score >= chosen.threshold]
        assert found.entities == tuple(kept)


def test_what_the_bundle_says_of_itself(ensemble, trained):
    bundle, chosen = ensemble
    assert bundle.definition.config.text.token_budget == 512
    metrics = json.loads((bundle.path / "assets/metrics.json").read_text(encoding="utf-8"))
    one = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["parameters"] == 2 * one["parameters"]
    exported = metrics["exported"]
    assert [member["f1"] for member in exported["members"]] == [one["best"]["f1"]] * 2
    assert exported["threshold_chosen"] == {"records": 48} | chosen._asdict()
    # Nobody has measured the ensemble itself.
    assert "f1" not in exported
    card = (bundle.path / "assets/model_card.md").read_text(encoding="utf-8")
    assert "an ensemble of 2 such models" in card
    assert f"entities with a probability below {chosen.threshold} are left out" in card
    assert f"chosen on 48 records, where it changes exact-match F1 from {chosen.f1_of_all:.4f}" in card
    assert "not scored during training" in card


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (None, "--choose_threshold needs --verify_on"),
        ("患者无特殊。", "needs records with mentions of the model's labels only, got no mention"),
    ],
)
def test_a_threshold_needs_annotated_records(cli, trained, tmp_path, records, message):
    path = tmp_path / "records.jsonl"
    flags = ["--choose_threshold"]
    if records is not None:
        write_documents(path, [Document("1", records)])
        flags.append(f"--verify_on={path}")
    done = cli("export", f"--model_dir={trained}", f"--output={tmp_path}/bundles", *flags)
    assert done.returncode == (2 if records is None else 1)
    assert message in done.stderr
    assert not any(tmp_path.glob("bundles/[0-9]*"))


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


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        (
            0.49999321,
            "- entities with a probability below 0.49999321 are left out\n- this threshold was chosen on 48",
        ),
        (
            0.0,
            "- no entity is left out: on 48 records, no threshold on the probability raises exact-match F1 above",
        ),
    ],
)
def test_the_card_has_every_digit_of_the_threshold(threshold, said):
    chosen = {"records": 48, "threshold": threshold, "f1": 0.8, "f1_of_all": 0.8}
    exported = {"weights": "float32", "compute_dtype": "float32", "checkpoint": "best", "epoch": 1}
    exported |= {"threshold_chosen": chosen} | ({"min_probability": threshold} if threshold else {})
    metrics = json.dumps({"parameters": 1, "epochs": 1, "exported": exported})
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    assert said in model_card(ModelDefinition(base_config(), vocabulary, ("甲",)), metrics)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "has words that a segmenter found in the training and unlabelled text. "),
        ("words.txt", "was read from the file of `config.lexicon.file`. "),
    ],
)
def test_the_card_says_where_a_lexicon_comes_from(file, said):
    config = base_config()
    config.lexicon.file = file
    exported = {"weights": "float32", "compute_dtype": "float32", "checkpoint": "best", "epoch": 1}
    metrics = json.dumps({"parameters": 1, "epochs": 1, "exported": exported})
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    card = model_card(ModelDefinition(config, vocabulary, ("甲",), words=("肾结石", "头孢")), metrics)
    assert f"The lexicon (`lexicon.txt`, 2 words) {said}Except for" in card
    assert "lexicon" not in model_card(ModelDefinition(config, vocabulary, ("甲",)), metrics)


def test_the_card_names_a_path_that_is_not_utf8():
    config = base_config()
    config.data.train = os.fsdecode("病.jsonl".encode("gb18030"))
    exported = {"weights": "float32", "compute_dtype": "float32", "checkpoint": "best", "epoch": 1}
    metrics = json.dumps({"parameters": 1, "epochs": 1, "exported": exported})
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    card = model_card(ModelDefinition(config, vocabulary, ("甲",)), metrics)
    assert "1 epochs of `\\udcb2\\udca1.jsonl`" in card
    card.encode("utf-8")
