"""The loop with a task of one number: kills at every point of a save, measurements without steps, the whole time."""

import json
import os
import time
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.config import base_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.training import checkpoint_folder
from emr_ner_tf.training import run as loop
from emr_ner_tf.training.averaging import AveragedWeights
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder
from emr_ner_tf.training.input_pipeline import DistributedBatches, prefetch
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.run import run
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.task import Epoch, Task
from emr_ner_tf.training.train_step import make_train_step

_STEPS = 3


class _Killed(BaseException):
    """Ends a process where it is raised: nothing that follows happens."""


class _Numbers(NamedTuple):
    values: np.ndarray

    @property
    def digest(self):
        return self.values.tobytes().hex()


class _Line(Task):
    """Learns a slope; its best epoch is the second."""

    best_by = "score"

    def __init__(self, data, config, strategy):
        self.shown = []
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
            self.model = tf.keras.Sequential(
                [tf.keras.layers.Dense(4, input_shape=(1,)), tf.keras.layers.Dropout(0.5)]
            )
            self.optimizer = build_optimizer(
                config.optimizer,
                [(self.model.trainable_variables, config.optimizer.encoder_rate)],
                9,
                "float32",
            )
            self.averages = AveragedWeights(self.model.trainable_variables, 0.5)
        make_dropout_stateless(self.model, seed=1, step=self.step)

        def batches(values):
            rows = prefetch(tf.data.Dataset.from_tensor_slices((values[:, None, None],)))
            return DistributedBatches(strategy, lambda **_: rows)

        def scaled_loss(x):
            return tf.reduce_sum((self.model(x, training=True) - 2 * x) ** 2), tf.size(x)

        step = make_train_step(
            scaled_loss,
            self.model.trainable_variables,
            self.optimizer,
            self.step,
            strategy,
            0.0,
            batches(data.values[:1]).element_spec,
            averages=self.averages,
        )
        epochs = [
            Epoch(f"epoch {i}", _STEPS, lambda taken: batches(data.values[taken:]), step, {"epoch": i})
            for i in (1, 2, 3)
        ]
        self.epochs = [Epoch("before", 0, batches, step, {"name": "before"}), *epochs]

    def evaluate(self):
        # In turns better and worse.
        updates = int(self.step.numpy())
        return {"score": [0.0, 0.1, 0.9, 0.5][updates // _STEPS]}

    def describe(self, entry):
        return f"score {entry['score']}"

    def show(self, history, best_epoch):
        self.shown.append((len(history), best_epoch))

    def finish(self, history, best_epoch):
        pass

    def metrics(self, history, best_epoch):
        return {"best": history[best_epoch - 1]}


@pytest.fixture
def config():
    config = base_config()
    config.train.checkpoint_seconds = 0.0
    config.optimizer.encoder_rate = 0.1
    return config


def _train(config, model_dir, values=(1.0, -2.0, 3.0)):
    data = _Numbers(np.array(values, np.float32))
    return run(config, model_dir, lambda: data, lambda data, strategy: _Line(data, config, strategy))


def _state(model_dir):
    """Returns the state that two runs must share bit for bit."""
    state = {}
    for which in ("last", "best"):
        path = tf.train.latest_checkpoint(str(model_dir / "checkpoints" / which))
        reader = tf.train.load_checkpoint(path)
        state |= {
            (which, name): reader.get_tensor(name).tobytes()
            for name in reader.get_variable_to_shape_map()
            if name.startswith(("model/", "optimizer/", "step/", "averages/"))
        }
        state[which] = sorted(os.listdir(model_dir / "checkpoints" / which))
    history = json.loads((model_dir / "history.json").read_text(encoding="utf-8"))
    return state, [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    config = base_config()
    config.optimizer.encoder_rate = 0.1
    model_dir = tmp_path_factory.mktemp("undisturbed")
    metrics = _train(config, model_dir)
    assert metrics["best"]["score"] == 0.9
    assert metrics["updates"] == 3 * _STEPS
    state, history = _state(model_dir)
    # The averages are in the last state, and are the weights of the best one.
    names = {key[1] for key in state if key[0] == "last" and key[1].startswith("averages/averages/")}
    assert len(names) == 2
    return state, history


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (checkpoint_folder, "_sync", False),  # data and index are written
        (checkpoint_folder, "atomic_writer", False),  # on the disk, and not the current one
        (CheckpointFolder, "_remove_all_but", False),  # the current one, with the previous one still there
        (CheckpointFolder, "save", False),  # also between the last state and the best weights
        (CheckpointFolder, "save", True),
        (_Line, "show", False),
        (_Line, "evaluate", False),  # between the steps and the end of an epoch
        (_Line, "finish", True),
        (loop, "write_json", False),
    ],
)
@pytest.mark.parametrize("spared", [0, 2])
def test_a_kill_at_each_point(config, undisturbed, monkeypatch, tmp_path, owner, name, after, spared):
    function, calls = getattr(owner, name), []

    def killing(*arguments, **options):
        calls.append(name)
        # The first call of some is the one before which nothing is there, and some are called once only.
        if len(calls) <= spared and name != "finish":
            return function(*arguments, **options)
        if after:
            function(*arguments, **options)
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killing)
        # A kill takes the lock along; here the `with` block releases it.
        with pytest.raises(_Killed):
            _train(config, tmp_path)
    metrics = _train(config, tmp_path)
    assert metrics["best"]["score"] == 0.9
    assert _state(tmp_path) == undisturbed


def test_no_checkpoint_takes_the_name_of_the_current_one(config, monkeypatch, tmp_path):
    saved, save = [], CheckpointFolder.save

    def record(folder, values, number):
        saved.append((folder.path.name, number))
        save(folder, values, number)

    monkeypatch.setattr(CheckpointFolder, "save", record)
    _train(config, tmp_path)
    assert [number for name, number in saved if name == "last"] == list(range(1, 3 * _STEPS + 1))
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert [entry.get("name") for entry in history] == ["before", None, None, None]


def test_a_failure_to_write_ends_the_run(config, tmp_path):
    (tmp_path / "history.json").symlink_to("/proc/none/history.json")
    with pytest.raises(UserError, match=r"cannot be written: No such file.*resumes from the last whole"):
        _train(config, tmp_path)
    (tmp_path / "history.json").unlink()
    assert _train(config, tmp_path)["updates"] == 3 * _STEPS


def test_the_whole_time(config, monkeypatch, tmp_path):
    evaluate = _Line.evaluate

    def slow(task):
        time.sleep(0.2)
        return evaluate(task)

    monkeypatch.setattr(_Line, "evaluate", slow)
    with monkeypatch.context() as patch:
        patch.setattr(_Line, "show", lambda *_: (_ for _ in ()).throw(_Killed()))
        with pytest.raises(_Killed):
            _train(config, tmp_path / "model")
    metrics = _train(config, tmp_path / "model")
    # Four measurements, of which the steps' own time has none.
    assert metrics["wall_seconds"] >= 0.8
    assert metrics["wall_seconds"] >= metrics["training_seconds"]
    # A finished run says the same again.
    assert _train(config, tmp_path / "model") == metrics


def test_other_data_are_refused(config, tmp_path):
    metrics = _train(config, tmp_path)
    with pytest.raises(
        UserError, match=r"last/ckpt-9: the run was started with other records, words or passages"
    ):
        _train(config, tmp_path, (1.0, 2.0, 4.0))
    assert _train(config, tmp_path) == metrics


def test_too_little_memory(config, monkeypatch, tmp_path):
    # No machine has it: a measurement of this task asks TensorFlow for 2**48 bytes.
    monkeypatch.setattr(_Line, "evaluate", lambda _: {"score": float(tf.zeros([2**46])[0])})
    with pytest.raises(
        UserError, match=r"^out of memory: .*; set config.train.token_budget, .* with another"
    ):
        _train(config, tmp_path)


def test_a_loss_that_is_not_finite(config, tmp_path):
    with pytest.raises(UserError, match=r"epoch 1, step 2: the loss must be finite, got nan; lower"):
        _train(config, tmp_path, (1.0, np.nan, 1.0))
