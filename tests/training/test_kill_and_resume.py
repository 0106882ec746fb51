"""SIGKILL from outside at any moment: the same command resumes and ends with the very same weights."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]


def _command(tiny_flags, corpus, model_dir):
    return [
        sys.executable,
        "-m",
        "emr_ner_tf.cli.train",
        *tiny_flags,
        f"--config.data.train={corpus}/train.jsonl",
        "--config.model.dropout=0.25",
        "--config.train.epochs=4",
        "--config.train.checkpoint_seconds=0.0",
        f"--model_dir={model_dir}",
    ]


def _start(command):
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _run_to_end(command):
    process = _start(command)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()


def _weights(model_dir):
    path = tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last")
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("model/", "optimizer/"))]
    # Where a run stands holds wall-clock seconds; weights and optimiser state must agree to the bit.
    return {name: reader.get_tensor(name) for name in names}


def _same_weights(one, other):
    one, other = _weights(one), _weights(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def undisturbed(tiny_flags, corpus, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("undisturbed") / "model"
    _run_to_end(_command(tiny_flags, corpus, model_dir))
    return model_dir


def _wait_for_steps(model_dir, process):
    folder = pathlib.Path(model_dir) / "checkpoints/last"
    newest = tf.train.latest_checkpoint(str(folder))
    while process.poll() is None and tf.train.latest_checkpoint(str(folder)) == newest:
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_random_moments(undisturbed, tiny_flags, corpus, tmp_path):
    model_dir = tmp_path / "model"
    command = _command(tiny_flags, corpus, model_dir)
    moments = random.Random(int(time.time()))
    kills = 0
    while kills < 5:
        process = _start(command)
        # Three fall while steps are taken and saved, two anywhere, start-up included.
        if kills % 2 == 0:
            _wait_for_steps(model_dir, process)
            time.sleep(moments.uniform(0.0, 0.4))
        else:
            time.sleep(moments.uniform(0.5, 12.0))
        assert process.poll() is None, "the run ended before it was killed: give it more epochs"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    _run_to_end(command)
    _same_weights(undisturbed, model_dir)


@pytest.mark.slow
def test_killed_between_data_and_index(undisturbed, tiny_flags, corpus, tmp_path):
    model_dir = tmp_path / "model"
    command = _command(tiny_flags, corpus, model_dir)
    folder = model_dir / "checkpoints/last"
    process = _start(command)
    caught = None
    while caught is None:
        assert process.poll() is None, "the run ended and no moment between data and index was seen"
        names = set(os.listdir(folder)) if folder.exists() else set()
        data = {name.rsplit(".data-", 1)[0] for name in names if ".data-" in name}
        lonely = [name for name in data if f"{name}.index" not in names]
        if lonely:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            caught = lonely[0]
            if (folder / f"{caught}.index").exists():
                # The index came between the look and the signal: go on and look again.
                caught = None
                process = _start(command)
    assert list(folder.glob(f"{caught}.data-*"))
    assert not (folder / f"{caught}.index").exists()
    _run_to_end(command)
    _same_weights(undisturbed, model_dir)
