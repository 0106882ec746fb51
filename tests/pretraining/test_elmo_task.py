"""ELMo's pre-training: its batches, that it learns, what it writes, and that an interrupted run ends the same."""

import logging
import random
import shutil

import numpy as np
import pytest

from emr_ner_tf.encoders.loading import load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.corpus import build_text
from emr_ner_tf.pretraining.elmo_dataset import language_model_dataset, window_bounds
from emr_ner_tf.pretraining.elmo_settings import elmo_config
from emr_ner_tf.pretraining.elmo_task import pretrain_elmo
from emr_ner_tf.text.vocabulary import Vocabulary

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def test_batches_on_literals():
    vocabulary = Vocabulary((*SPECIAL, "甲", "乙", "。"))
    text = build_text(["甲乙。乙乙。", "甲"], vocabulary, size=3, whole_words=False)
    starts, ends = window_bounds(text)
    assert (ends - starts).tolist() == [3, 3, 1]
    batches = [np.array([2, 0]), np.array([1])]
    expected = [
        ([[2, 4, 3]], [3], 6),
        ([[2, 4, 5, 6, 3]], [5], 6),
        ([[2, 5, 5, 6, 3]], [5], 4),
        # Of a batch of one window the other replica has none.
        ([[0, 0]], [0], 4),
    ]
    found = language_model_dataset(text, batches, replicas=2, first=0, count=2).as_numpy_iterator()
    for (token_ids, length, predictions), (ids, lengths, count) in zip(found, expected, strict=True):
        assert token_ids.tolist() == ids
        assert length.tolist() == lengths
        assert predictions == count
    second = language_model_dataset(text, batches, replicas=2, first=1, count=1).as_numpy_iterator()
    assert [element[0].tolist() for element in second] == [expected[1][0], expected[3][0]]


def test_long_and_short_passages_are_looked_up_alike():
    vocabulary = Vocabulary((*SPECIAL, "甲", "乙", "。"))
    passages = ["甲乙。", "乙" * 1_100_000, "甲。", *(["甲乙甲"] * 300), "乙" * 600_000, "甲" * 600_000]
    text = build_text(passages, vocabulary, size=1000, whole_words=False)
    ids = {token: row for row, token in enumerate(vocabulary.tokens)}
    assert text.token_ids.tolist() == [ids[character] for character in "".join(passages)]


@pytest.fixture
def config(tmp_path):
    """A tiny run on text in which each character but the sentences' first follows from the one before it."""
    cycle, chance = "甲乙丙丁戊己庚辛壬癸", random.Random(5)
    passages = []
    for _ in range(60):
        at, size = chance.randrange(10), chance.randrange(12, 24)
        passages.append("".join(cycle[(at + i) % 10] for i in range(size)) + "。")
    passages[7] += "龘"
    (tmp_path / "text.txt").write_text("\n".join(passages) + "\n", encoding="utf-8")
    config = elmo_config()
    config.data.unlabelled = str(tmp_path / "text.txt")
    config.data.heldout_fraction = 0.2
    config.text.min_count = 2
    config.text.window = 24
    config.model.hidden_size = 8
    config.model.intermediate_size = 12
    config.optimizer.encoder_rate = 0.02
    config.train.token_budget = 128
    config.train.epochs = 4
    return config


def _weights(folder):
    return (folder / "model.safetensors").read_bytes()


class _Interruption(logging.Handler):
    """Stands in for Ctrl-C: raises it at the line of a step."""

    def emit(self, record: logging.LogRecord) -> None:
        if "epoch 2/4, step 4/" in record.getMessage():
            raise KeyboardInterrupt


@pytest.mark.slow
def test_learns_and_an_interrupted_run_ends_the_same(config, tmp_path, caplog):
    metrics = pretrain_elmo(config, str(tmp_path / "run"), str(tmp_path / "whole"))
    for name in ("perplexity", "forward_perplexity", "backward_perplexity"):
        assert metrics["before"][name] > 8
        assert metrics["after"][name] < 5
    assert metrics["held_out"] == 12
    assert metrics["vocabulary"] == 4 + 11
    whole = tmp_path / "whole"
    assert "龘" not in load_vocabulary(str(whole)).tokens
    encoder = load_encoder(str(whole))
    assert encoder.hidden_size == 8 + 2 * 8
    assert not np.allclose(encoder.language_model.recurrences[1].kernel, 0)

    config.train.checkpoint_seconds = config.train.log_seconds = 0.0
    parts = (config, str(tmp_path / "parts"), str(tmp_path / "resumed"))
    handler = _Interruption()
    logger = logging.getLogger("absl")
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.INFO, logger="absl"):
            pretrain_elmo(*parts)
    finally:
        logger.removeHandler(handler)
    assert not (tmp_path / "resumed").exists()
    again = pretrain_elmo(*parts)
    assert _weights(tmp_path / "resumed") == _weights(whole)
    assert again["after"] == metrics["after"]
    # A copy without the file that names the newest checkpoint, and one without any checkpoint.
    last = tmp_path / "parts/checkpoints/last"
    (last / "checkpoint").unlink()
    assert pretrain_elmo(*parts)["after"] == metrics["after"]
    shutil.move(last, tmp_path / "moved")
    with pytest.raises(
        UserError, match=r"parts holds a run \(metrics\.json, history\.json\), and no checkpoint"
    ):
        pretrain_elmo(*parts)
    shutil.move(tmp_path / "moved", last)
    config.train.epochs = 5
    with pytest.raises(UserError, match=r"holds a run with other settings \(train\.epochs: 4 -> 5\)"):
        pretrain_elmo(*parts)


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("text", "min_count", 0, r"config\.text\.min_count must be at least 1, got 0"),
        ("model", "hidden_dropout_prob", 1.0, "must be at least 0 and below 1, got 1.0"),
        ("optimizer", "beta_1", 1.0, r"config\.optimizer\.beta_1 must be at least 0 and below 1, got 1.0"),
        ("optimizer", "epsilon", -1.0, r"config\.optimizer\.epsilon must be at least 1e-30, got -1.0"),
        ("train", "precision", "float64", "must be one of float32, .*, got 'float64'"),
        ("data", "unlabelled", "", "must name a file of passages"),
    ],
)
def test_wrong_settings(config, tmp_path, section, key, value, says):
    with pytest.raises(UserError, match=r"--output must be another directory than --model_dir"):
        pretrain_elmo(config, str(tmp_path / "out"), f"{tmp_path}/./out")
    (tmp_path / "tagger/checkpoints").mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"--output must be a directory without `checkpoints`, got .*/tagger, "
    ):
        pretrain_elmo(config, str(tmp_path / "run"), str(tmp_path / "tagger"))
    config[section][key] = value
    with pytest.raises(UserError, match=says):
        pretrain_elmo(config, str(tmp_path / "run"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
