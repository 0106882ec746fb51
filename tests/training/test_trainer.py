"""The trainer in this process: early stopping, a finished run, what it refuses, precision."""

import json

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.config import RANDOM_ENCODER, base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.restoring import restore
from emr_ner_tf.training.trainer import train


@pytest.fixture
def config(corpus):
    config = base_config()
    config.encoder = RANDOM_ENCODER
    config.random_encoder.hidden_size = 16
    config.random_encoder.num_hidden_layers = 1
    config.random_encoder.num_attention_heads = 2
    config.random_encoder.intermediate_size = 32
    config.random_encoder.max_position_embeddings = 66
    config.model.units = 8
    config.model.heads = 2
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
    assert {"precision", "recall", "f1", "seconds", "padding_share"} <= history[0].keys()
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())
    assert "tensorflow" in json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))
    # The same call on a finished run changes nothing and says the same.
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").rglob("*"))
    assert train(config, str(tmp_path)) == metrics
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").rglob("*"))
    config.train.epochs = 3
    with pytest.raises(UserError, match=r"train.epochs: 2 -> 3"):
        train(config, str(tmp_path))


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


def test_early_stopping_and_best_checkpoint(config, tmp_path):
    config.train.epochs = 5
    config.train.patience = 2
    config.optimizer.encoder_rate = 0.0
    config.optimizer.head_rate = 0.0
    metrics = train(config, str(tmp_path))
    # Nothing is learnt: the first epoch stays the best, and two more are waited for.
    assert metrics["epochs"] == 3
    assert metrics["best"]["epoch"] == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_restores_in_float32(config, tmp_path, precision):
    config.train.precision = precision
    config.optimizer.clip_norm = 1.0
    metrics = train(config, str(tmp_path))
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert np.isfinite(history[1]["loss"])
    assert history[1]["loss"] < history[0]["loss"]
    assert metrics["best"]["epoch"] in (1, 2)
    tagger, _ = restore(tmp_path)
    assert all(v.dtype == tf.float32 for v in tagger.text_tagger.tagger.trainable_variables)
    assert len(tagger.tag_texts(["患者因右肺上叶腺癌入院。", ""])) == 2


def test_a_token_budget_instead_of_a_batch_size(config, tmp_path):
    config.train.token_budget = 256
    config.train.epochs = 1
    assert train(config, str(tmp_path))["epochs"] == 1


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
