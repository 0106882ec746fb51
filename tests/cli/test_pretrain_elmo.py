"""ELMo through its commands: pre-trained on two replicas, used by the tagger of the paper's row, exported."""

import json

import numpy as np
import pytest
import safetensors.numpy

SMALL = (
    "--config=configs/pretrain_elmo.py",
    "--config.text.min_count=1",
    "--config.text.window=32",
    "--config.model.hidden_size=8",
    "--config.model.intermediate_size=12",
    "--config.model.hidden_dropout_prob=0.0",
    "--config.train.token_budget=1024",
    # As in training's own test of two replicas: Adam would blow up rounding of gradients near zero.
    "--config.optimizer.epsilon=0.001",
)


@pytest.fixture(scope="module")
def text(corpus, tmp_path_factory):
    """Passages: what the records of the synthetic corpus say, one a line."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    records = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(record)["originalText"].replace("\n", "") for record in records]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def elmo(cli, text, tmp_path_factory):
    """A directory with a language model, pre-trained on two logical CPUs."""
    folder = tmp_path_factory.mktemp("elmo")
    done = cli(
        "pretrain_elmo",
        *SMALL,
        f"--config.data.unlabelled={text}",
        "--strategy=mirrored",
        "--logical_cpus=2",
        f"--model_dir={folder}/run",
        f"--output={folder}/elmo",
    )
    assert done.returncode == 0, done.stderr
    assert "forward_perplexity" in done.stdout
    return folder


def _weights(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def _same(one, two):
    expected, found = _weights(one), _weights(two)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


def test_two_replicas_equal_one(elmo, text, tmp_path):
    from emr_ner_tf.pretraining.elmo_settings import elmo_config
    from emr_ner_tf.pretraining.elmo_task import pretrain_elmo

    config = elmo_config()
    config.update(json.loads((elmo / "run/config.json").read_text(encoding="utf-8")))
    metrics = pretrain_elmo(config, str(tmp_path / "run"), str(tmp_path / "one"))
    two = json.loads((elmo / "run/metrics.json").read_text(encoding="utf-8"))
    assert (two["replicas"], metrics["replicas"]) == (2, 1)
    assert two["updates"] == metrics["updates"]
    assert two["after"] == pytest.approx(metrics["after"], rel=1e-4)
    _same(tmp_path / "one", elmo / "elmo")


@pytest.mark.slow
def test_a_tagger_takes_it_and_is_exported(cli, tiny_flags, corpus, elmo, tmp_path):
    done = cli(
        "train",
        "--config=configs/paper.py:bilstm_crf_elmo",
        *(flag for flag in tiny_flags if flag.startswith("--config.")),
        f"--config.encoder={elmo}/elmo",
        "--config.char.size=6",
        f"--config.data.train={corpus}/test.jsonl",
        "--config.train.epochs=1",
        f"--model_dir={tmp_path}/model",
    )
    assert done.returncode == 0, done.stderr
    own = json.loads((tmp_path / "model/encoder.json").read_text(encoding="utf-8"))
    assert (own["model_type"], own["hidden_size"], own["character_size"]) == ("elmo", 8, 6)
    done = cli(
        "export",
        f"--model_dir={tmp_path}/model",
        f"--output={tmp_path}/bundles",
        f"--verify_on={corpus}/test.jsonl",
    )
    assert done.returncode == 0, done.stderr


def test_wrong_calls(cli, text, tmp_path):
    common = (*SMALL, f"--model_dir={tmp_path}/run", f"--output={tmp_path}/elmo")
    done = cli("pretrain_elmo", *common, f"--config.data.unlabelled={tmp_path}/none.txt")
    assert done.returncode == 1
    assert f"{tmp_path}/none.txt: no such file" in done.stderr
    done = cli("pretrain_elmo", *common, "--config.model.units=3")
    assert done.returncode == 2
    assert "intermediate_size" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
