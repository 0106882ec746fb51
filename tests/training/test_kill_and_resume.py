"""SIGKILL from outside at any moment: the same command resumes and ends with the very same weights."""

import os
import pathlib
import random
import signal
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf
from forked_command import finish, start_command


def _flags(tiny_flags, corpus, model_dir):
    return [
        *tiny_flags,
        f"--config.data.train={corpus}/train.jsonl",
        "--config.model.dropout=0.25",
        "--config.train.epochs=4",
        "--config.train.checkpoint_seconds=0.0",
        f"--model_dir={model_dir}",
    ]


def _start(flags):
    return start_command("train", *flags, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _run_to_end(flags):
    process = _start(flags)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()


def _weights(model_dir):
    path = tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last")
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("model/", "optimizer/"))]
    # The progress holds wall-clock seconds; weights and optimiser state must agree to the bit.
    return {name: reader.get_tensor(name) for name in names}


def _same_weights(one, other):
    one, other = _weights(one), _weights(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def undisturbed(tiny_flags, corpus, tmp_path_factory):
    """The model directory of a run that nobody disturbs, and the seconds that it took."""
    model_dir = tmp_path_factory.mktemp("undisturbed") / "model"
    # The process that forks takes seconds to start, which are no part of a run.
    finish(start_command("train", "--help", stdout=subprocess.DEVNULL), None, None)
    started = time.monotonic()
    _run_to_end(_flags(tiny_flags, corpus, model_dir))
    return model_dir, time.monotonic() - started


def _ends_as_undisturbed(flags, model_dir, undisturbed):
    """Lets the run go to its end: the same weights to the bit, and nothing that a kill left."""
    _run_to_end(flags)
    _same_weights(undisturbed, model_dir)
    for which in ("last", "best"):
        folder = model_dir / "checkpoints" / which
        newest = pathlib.Path(tf.train.latest_checkpoint(str(folder))).name
        whole = {"checkpoint", f"{newest}.index", f"{newest}.data-00000-of-00001"}
        assert set(os.listdir(folder)) == whole


def _wait_for_a_checkpoint(model_dir, process):
    folder = str(model_dir / "checkpoints/last")
    newest = tf.train.latest_checkpoint(folder)
    while process.poll() is None and tf.train.latest_checkpoint(folder) == newest:
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_random_moments(undisturbed, tiny_flags, corpus, tmp_path):
    undisturbed, seconds = undisturbed
    moments = random.Random(7)
    kills, tries = 0, 0
    model_dir = tmp_path / "0"
    while kills < 3:
        process = _start(_flags(tiny_flags, corpus, model_dir))
        # Two fall while steps are taken and saved, one anywhere after the imports.
        if kills % 2 == 0:
            _wait_for_a_checkpoint(model_dir, process)
            time.sleep(moments.uniform(0.0, 0.03) * seconds)
        else:
            time.sleep(moments.uniform(0.05, 0.8) * seconds)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            continue
        # The run had ended before: it must have ended well, and the next kills are for another one.
        assert process.returncode == 0, errors.decode()
        _ends_as_undisturbed(_flags(tiny_flags, corpus, model_dir), model_dir, undisturbed)
        tries += 1
        assert tries < 5, f"{kills} kills in {tries} runs"
        model_dir = tmp_path / str(tries)
    _ends_as_undisturbed(_flags(tiny_flags, corpus, model_dir), model_dir, undisturbed)
