"""The trainer in this process: early stopping, a finished run, what it refuses, precision."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tiny_bert import set_tiny_bert

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.resources import build_resources
from emr_ner_tf.training import tagging_task
from emr_ner_tf.training.dataset import check_mentions
from emr_ner_tf.training.loading import restore
from emr_ner_tf.training.trainer import train


@pytest.fixture
def config(corpus):
    config = base_config()
    # The model that is built and traced fastest: the suite of conformance trains every other one.
    config.model.encoder, config.model.context, config.model.attention = "char", "cnn", "none"
    config.char.size = config.model.units = 16
    config.text.window = 64
    config.text.overlap = 16
    config.text.slack = 8
    config.data.train = str(corpus / "test.jsonl")
    config.train.epochs = 2
    config.optimizer.encoder_rate = config.optimizer.head_rate = 0.005
    # Determinism is a switch of the whole process, and other tests share this one.
    config.train.deterministic = False
    yield config
    tf.keras.mixed_precision.set_global_policy("float32")


def test_a_run_leaves_what_it_says(config, tmp_path):
    metrics = train(config, str(tmp_path))
    assert metrics["epochs"] == 2
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert history[1]["loss"] < history[0]["loss"]
    steps = metrics["updates"] // 2
    for entry in history:
        assert len(entry["losses"]) == min(steps, 20)
        if steps <= 20:
            assert np.mean(entry["losses"]) == pytest.approx(entry["loss"])
    assert {"precision", "recall", "f1", "seconds", "padding_share"} <= history[0].keys()
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())
    assert "tensorflow" in json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))
    # The same call on a finished run changes nothing and says the same.
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").rglob("*"))
    assert train(config, str(tmp_path)) == metrics
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").rglob("*"))
    # The report is of the best weights, whether they were trained or read again.
    report = (tmp_path / "validation_report.html").read_text(encoding="utf-8")
    assert f"epoch {metrics['best']['epoch']}" in report
    assert f"Exact-match F1 <strong>{100 * metrics['best']['f1']:.2f}</strong>" in report
    (tmp_path / "validation_report.html").unlink()
    train(config, str(tmp_path))
    assert (tmp_path / "validation_report.html").read_text(encoding="utf-8") == report
    # How often it logs and saves is no other run.
    config.train.log_seconds, config.train.checkpoint_seconds = 1.5, 7.0
    assert train(config, str(tmp_path)) == metrics
    config.train.epochs = 3
    with pytest.raises(UserError, match=r"settings \(train\.epochs: 2 -> 3\)"):
        train(config, str(tmp_path))


@pytest.mark.usefixtures("eager")
def test_other_records_are_refused(config, corpus, tmp_path):
    records = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    parts = {"train": records[:12], "validation": records[12:]}
    for name, lines in parts.items():
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
        config.data[name] = str(tmp_path / name)
    config.train.epochs = 1
    metrics = train(config, str(tmp_path / "model"))
    for name, lines in parts.items():
        (tmp_path / name).write_text("".join(lines[:-1]), encoding="utf-8")
        with pytest.raises(UserError, match=r"other records"):
            train(config, str(tmp_path / "model"))
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    assert train(config, str(tmp_path / "model")) == metrics


def test_other_words_are_refused(config, tmp_path):
    config.model.context = "lattice_lstm"
    config.lexicon.file = str(tmp_path / "words.txt")
    config.train.epochs = 1
    (tmp_path / "words.txt").write_text("患者\n入院\n", encoding="utf-8")
    metrics = train(config, str(tmp_path / "model"))
    # As many, so that every variable would fit.
    for words in ("患者\n出院\n", "入院\n患者\n"):
        (tmp_path / "words.txt").write_text(words, encoding="utf-8")
        with pytest.raises(UserError, match=r"other records, words or passages"):
            train(config, str(tmp_path / "model"))
    (tmp_path / "words.txt").write_text("患者\n入院\n", encoding="utf-8")
    assert train(config, str(tmp_path / "model")) == metrics


class _Started(Exception):
    """Ends a run where it would begin."""


def test_nothing_is_begun_from_a_validation_record(config, monkeypatch, tmp_path):
    # Each record has a mention whose characters no other has.
    mentions = ["".join(map(chr, range(at, at + 4))) for at in range(0x4E00, 0x4E00 + 80, 8)]
    documents = [
        Document(str(i), f"患者行{mention}术。", (Entity(3, 7, "手术"),))
        for i, mention in enumerate(mentions)
    ]
    write_documents(tmp_path / "all.jsonl", documents)
    write_documents(tmp_path / "some.jsonl", documents[:8])
    write_documents(tmp_path / "others.jsonl", documents[8:])
    config.model.encoder = "char"
    config.model.context = "lattice_lstm"
    config.lexicon.min_count = 1
    config.char.word2vec = True
    begun = []

    def begin(*arguments):
        begun.append(build_resources(*arguments))
        raise _Started

    monkeypatch.setattr(tagging_task, "build_resources", begin)
    for records, validation, fraction in (
        ("all.jsonl", "", 0.2),
        ("some.jsonl", f"{tmp_path}/others.jsonl", 0.0),
    ):
        config.data.train = str(tmp_path / records)
        config.data.validation = validation
        config.data.validation_fraction = fraction
        with pytest.raises(_Started):
            train(config, str(tmp_path / "model"))
        found = begun.pop()
        known = set(found.char_vectors.tokens)
        unknown = [mention for mention in mentions if not set(mention) <= known]
        assert len(unknown) == 2
        assert not validation or unknown == mentions[8:]
        apart = set("".join(unknown))
        assert not apart & (known | set("".join(found.words)))
        assert "患者" in found.words
        # A row is not learned from: where the seed chooses who validates, all records have rows.
        rows = set(found.vocabulary.tokens)
        assert set("".join(mentions)) - apart <= rows
        assert apart & rows == (set() if validation else apart)


# Holds a directory until its standard input ends.
_HOLDER = """
import sys
from emr_ner_tf.training.model_dir import exclusive_lock
with exclusive_lock(sys.argv[1], chief=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.usefixtures("eager")
def test_another_process_at_work_in_the_directory(config, tmp_path):
    config.train.epochs = 1
    model_dir = tmp_path / "model"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, model_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=r"model: another process is training in this directory"):
            train(config, str(model_dir))
        assert [path.name for path in model_dir.iterdir()] == [".lock"]
    finally:
        # However it ends, its lock does, too.
        holder.kill()
        holder.communicate()
    assert train(config, str(model_dir))["epochs"] == 1


def test_a_refused_run_leaves_no_directory(config, tmp_path):
    (tmp_path / "empty").mkdir()
    config.data.train = str(tmp_path / "none.jsonl")
    for name in ("empty", "absent"):
        with pytest.raises(UserError, match="no such file"):
            train(config, str(tmp_path / name))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_keys_without_an_effect_are_named_before_any_work(config, caplog, tmp_path):
    config.data.train, config.lexicon.file = str(tmp_path / "none.jsonl"), "words.txt"
    with pytest.raises(UserError, match="no such file"):
        train(config, str(tmp_path / "model"))
    assert "config.lexicon.file: not used" in caplog.text


@pytest.mark.usefixtures("eager")
def test_early_stopping_begins_with_a_score(two_records, tmp_path):
    # It finds nothing at first, and everything in the end.
    two_records.model.context = "bigru"
    two_records.train.epochs, two_records.train.patience = 40, 2
    metrics = train(two_records, str(tmp_path / "model"))
    history = json.loads((tmp_path / "model/history.json").read_text(encoding="utf-8"))
    scores = [entry["f1"] for entry in history]
    # More epochs than patience has find nothing; then two without a better score end the run, and the later counts.
    assert scores[:3] == [0.0, 0.0, 0.0]
    assert max(scores) > 0
    assert scores[-3:] == [max(scores)] * 3
    assert metrics["best"] == history[-1]
    newest = tf.train.latest_checkpoint(str(tmp_path / "model/checkpoints/best"))
    assert newest.endswith(f"ckpt-{metrics['updates']}")
    tagger, _ = restore(tmp_path / "model")
    assert any(tagger.predict(["患者行胃癌根治术。", "予阿司匹林口服。"]))


@pytest.mark.usefixtures("eager")
def test_validation_without_a_mention_counts_as_none(two_records, caplog, tmp_path):
    write_documents(tmp_path / "none.jsonl", [Document("1", "患者入院。", ())])
    two_records.data.validation = str(tmp_path / "none.jsonl")
    two_records.train.epochs, two_records.train.patience = 3, 1
    metrics = train(two_records, str(tmp_path / "model"))
    assert f"config.data.validation={tmp_path}/none.jsonl: no mention in 1 validation records" in caplog.text
    assert "config.train.patience=1 has no effect" in caplog.text
    assert (metrics["epochs"], metrics["best"]["epoch"]) == (3, 3)
    assert "f1" not in metrics["best"]
    newest = tf.train.latest_checkpoint(str(tmp_path / "model/checkpoints/best"))
    assert newest.endswith(f"ckpt-{metrics['updates']}")
    caplog.clear()
    documents = [Document("1", "患者胃癌。", (Entity(2, 4, "疾病和诊断"),))]
    two_records.data.validation, two_records.data.validation_fraction = "", 0.1
    assert not check_mentions(two_records.data, documents, [])
    assert "config.data.validation_fraction=0.1: no mention in 0 validation records" in caplog.text
    caplog.clear()
    two_records.data.validation_fraction = 0.0
    assert not check_mentions(two_records.data, documents, [])
    assert not caplog.text
    assert check_mentions(two_records.data, documents, documents)


def test_nothing_to_learn(two_records, tmp_path):
    two_records.data.train = str(tmp_path / "none.jsonl")
    write_documents(tmp_path / "none.jsonl", [Document("1", "患者入院。", ())])
    with pytest.raises(UserError, match=r"config.data.train=.*none.jsonl: no mention in 1 training records"):
        train(two_records, str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_restores_in_float32(config, tmp_path, precision):
    config.train.precision = precision
    set_tiny_bert(config, positions=66)
    config.optimizer.clip_norm = 1.0
    metrics = train(config, str(tmp_path))
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert np.isfinite(history[1]["loss"])
    assert history[1]["loss"] < history[0]["loss"]
    assert metrics["best"]["epoch"] in (1, 2)
    tagger, _ = restore(tmp_path)
    assert all(v.dtype == tf.float32 for v in tagger.ner_pipeline.tagger.trainable_variables)
    assert len(tagger.predict(["患者因右肺上叶腺癌入院。", ""])) == 2


@pytest.mark.usefixtures("eager")
def test_a_token_budget_instead_of_a_batch_size(config, tmp_path):
    config.train.token_budget = 256
    config.train.epochs = 1
    assert train(config, str(tmp_path))["epochs"] == 1


@pytest.mark.usefixtures("eager")
def test_labels_of_ones_own(config, corpus, tmp_path):
    config.data.labels = "infer"
    config.train.epochs = 1
    train(config, str(tmp_path))
    labels = (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert len(labels) == 6
    assert labels == sorted(labels)


def test_nothing_to_restore(tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file"):
        restore(tmp_path)
