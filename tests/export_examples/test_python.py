"""The Python examples: plain TensorFlow, a Keras model of one's own, and the newest TensorFlow that installs."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from framing import check, frame, run, run_raw

LOCK = pathlib.Path(__file__).parents[2] / "requirements/newest_tensorflow.txt"
UV = pathlib.Path(sys.executable).with_name("uv")
# In a process of its own, so that it meets nothing of this project.
KERAS = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import tensorflow as tf
from keras_layer import EntityFeatures
from load_bundle import Bundle, read_records

version, saved = sys.argv[2:]
records = list(read_records(sys.stdin.buffer))
features = EntityFeatures(version)
text = tf.keras.Input([], dtype="string")
counts = features(text)
risk = tf.keras.layers.Dense(1, activation="sigmoid")(counts)
model = tf.keras.Model(text, [counts, risk])
texts = tf.constant(records)
found, _ = model.predict(texts, batch_size=7, verbose=0)
wanted = np.zeros_like(found)
for row, entities in enumerate(Bundle(version).entities(records)):
    for _, _, label, score in entities:
        column = features.labels.index(label)
        wanted[row, column] += 1
        column += len(features.labels)
        wanted[row, column] = max(wanted[row, column], score)
assert wanted.sum() > 50
np.testing.assert_allclose(found, wanted, atol=1e-5)

# The model's own layers learn, the bundle does not; what is saved is the model's own and the bundle's name.
assert len(model.trainable_weights) == 2 and len(model.weights) == 2


@tf.function
def reached(texts):
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(features(texts))
    assert tape.watched_variables()
    return [one for one in tape.gradient(total, tape.watched_variables()) if one is not None]


assert reached(texts) == []
head = tf.keras.Model(text, risk)
head.compile("adam", "binary_crossentropy")
labels = (wanted[:, :1] > 0).astype("float32")
losses = head.fit(texts, labels, epochs=3, verbose=0).history["loss"]
assert losses[-1] < losses[0]
head.save(saved)
again = tf.keras.models.load_model(saved)
np.testing.assert_allclose(again.predict(texts, verbose=0), head.predict(texts, verbose=0), atol=1e-6)
"""


@pytest.fixture(scope="module")
def loader(examples):
    return [sys.executable, examples / "python/load_bundle.py"]


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    """The Python of an environment with the newest TensorFlow, as requirements/newest_tensorflow.txt locks it."""
    wanted = os.environ.get("EMR_NER_NEWEST_TF", "")
    if wanted not in ("", "1"):
        return wanted
    if not wanted and os.environ.get("CI", "") in ("", "0", "false"):
        pytest.skip(
            "in CI, or on demand: EMR_NER_NEWEST_TF=1 installs the newest TensorFlow (2 GB), or names a Python with it"
        )
    environment = tmp_path_factory.mktemp("newest") / "venv"
    python = environment / "bin/python"
    for arguments in (
        ["venv", "--python", sys.executable, environment],
        ["pip", "install", "--python", python, "--require-hashes", "-r", LOCK],
    ):
        done = subprocess.run([UV, *arguments], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def forked_loader(loader):
    """The loader as a script that is forked: what it does with faults does not depend on its start."""
    return loader[1:]


def test_hard_records(check_loader, loader):
    check_loader(loader)


def test_real_records(loader, version, real):
    records, wanted = real
    check(run([*loader, version], records), wanted)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables.index", "variables.data-00000-of-00001"])
def test_a_file_that_is_cut_off_is_one_line(forked_loader, version, tmp_path, name):
    copy = shutil.copytree(version, tmp_path / "1")
    (path,) = copy.rglob(name)
    path.write_bytes(path.read_bytes()[:100])
    done = run_raw([*forked_loader, copy], frame([b"text"]))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"loader: {copy}: ".encode())
    assert b"Traceback" not in done.stderr


def test_faults(check_loader, forked_loader):
    check_loader.faults(forked_loader)


def test_layer_of_a_keras_model(examples, version, hard, tmp_path):
    command = [sys.executable, "-c", KERAS, examples / "python", version, tmp_path / "model.keras"]
    done = run_raw(command, frame(hard[0]))
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_newest_tensorflow(examples, check_loader, newest, version, hard, tmp_path):
    check_loader([newest, examples / "python/load_bundle.py"], score_within=1e-4)
    command = [newest, "-c", KERAS, examples / "python", version, tmp_path / "model.keras"]
    done = run_raw(command, frame(hard[0]))
    assert done.returncode == 0, done.stderr.decode()
    done = run_raw([newest, "-c", "import tensorflow as tf; print(tf.__version__)"], b"")
    assert done.stdout.decode().strip() not in ("", importlib.metadata.version("tensorflow"))


@pytest.mark.slow
def test_newest_tensorflow_on_real_records(examples, newest, version, real):
    records, wanted = real
    check(run([newest, examples / "python/load_bundle.py", version], records), wanted, score_within=1e-4)
