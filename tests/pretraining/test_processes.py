"""The main in processes of its own: SIGKILL and resume to the bit, two replicas as one, wrong calls."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from forked_command import start_command


@pytest.fixture(scope="module")
def passages(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("passages") / "passages.txt"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def _flags(encoder, passages, folder, *more):
    return [
        "--config=configs/pretrain.py",
        f"--config.encoder={encoder}",
        f"--config.data.unlabelled={passages}",
        "--config.data.heldout_fraction=0.2",
        "--config.text.window=37",
        "--config.train.token_budget=128",
        "--config.train.head_steps=6",
        "--config.optimizer.encoder_rate=0.01",
        f"--model_dir={folder}/run",
        f"--output={folder}/adapted",
        *more,
    ]


def _weights(folder):
    return safetensors.numpy.load_file(folder / "adapted/model.safetensors")


def _history(folder):
    entries = json.loads((folder / "run/history.json").read_text(encoding="utf-8"))
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


@pytest.mark.slow
def test_killed_and_resumed_to_the_bit(cli, make_encoder, passages, tmp_path):
    encoder = make_encoder(heads=False)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    done = cli("pretrain", *_flags(encoder, passages, undisturbed))
    assert done.returncode == 0, done.stderr
    often = "--config.train.checkpoint_seconds=0.0"
    flags = _flags(encoder, passages, killed, often)
    process = start_command("pretrain", *flags, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and _steps(killed) < 8:
        time.sleep(0.005)
    assert process.poll() is None, process.stderr.read().decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = cli("pretrain", *_flags(encoder, passages, killed, often))
    assert done.returncode == 0, done.stderr
    assert "resumed at epoch 1/1" in done.stderr
    expected, found = _weights(undisturbed), _weights(killed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert _history(undisturbed) == _history(killed)


def _steps(folder):
    """Steps that the newest checkpoint has: 6 of the heads, then those of the epoch."""
    newest = tf.train.latest_checkpoint(str(folder / "run/checkpoints/last"))
    return int(newest.rsplit("-", 1)[1]) if newest else 0


@pytest.fixture(scope="module")
def alone(cli, make_encoder, passages, tmp_path_factory):
    """A run of one replica, and the flags of it and of its like."""
    flags = (
        make_encoder(heads=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        passages,
    )
    # Adam divides by the gradient's own size, so that rounding in a gradient near zero would move a weight by a
    # whole step; a larger epsilon keeps the comparison about what is compared.
    more = ("--config.optimizer.epsilon=0.001", "--config.optimizer.encoder_rate=0.001")
    folder = tmp_path_factory.mktemp("alone")
    done = cli("pretrain", *_flags(*flags, folder, *more))
    assert done.returncode == 0, done.stderr
    return folder, lambda other, *strategy: _flags(*flags, other, *more, *strategy)


def _same(one, two):
    expected, found = _weights(one), _weights(two)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    for before, after in zip(_history(one), _history(two), strict=True):
        assert before["name"] == after["name"]
        assert before.get("held", {}) == pytest.approx(after.get("held", {}), abs=1e-4)


@pytest.mark.slow
def test_two_replicas_equal_one(cli, alone, tmp_path):
    folder, flags = alone
    done = cli("pretrain", *flags(tmp_path, "--strategy=mirrored", "--logical_cpus=2"))
    assert done.returncode == 0, done.stderr
    _same(folder, tmp_path)


def test_wrong_calls(cli, make_encoder, passages, tmp_path):
    encoder = make_encoder(heads=False)
    done = cli("pretrain", *_flags(encoder, tmp_path / "none.txt", tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path}/none.txt: no such file" in done.stderr
    done = cli("pretrain", *_flags(encoder, passages, tmp_path, "--config.masking.no_such=1"))
    assert done.returncode == 2
    assert "whole_words" in done.stderr
    assert "Traceback" not in done.stderr
    done = cli("pretrain", *_flags(encoder, passages, tmp_path, f"--output={tmp_path}/run/"))
    assert done.returncode == 1
    assert "--output must be another directory than --model_dir" in done.stderr
    assert not (tmp_path / "run").exists()
