"""Two processes under `multi_worker_mirrored`, killed and resumed, end where one does; every window once; TF_CONFIG."""

import json

import numpy as np
import pytest
import tensorflow as tf
from cluster import STRATEGY, kill_one_of_two, logs, run_two, start_two

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.input_pipeline import shard_batches, worker_shard
from emr_ner_tf.training.strategies import is_chief_process


@pytest.mark.parametrize(("workers", "each"), [(2, 1), (3, 2)])
@pytest.mark.parametrize("size", [{"batch_size": 7}, {"batch_size": 1, "token_budget": 100}])
def test_workers_see_every_window_once(workers, each, size):
    lengths = np.random.default_rng(3).integers(1, 40, 101)
    batches = plan_epoch(lengths, seed=1, epoch=2, **size).batches
    seen, steps = [], []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, workers * each)
        rows = [row.numpy() for row, _ in shard_batches(batches, **worker_shard(context))]
        seen.extend(np.concatenate(rows))
        steps.append(len(rows))
    assert sorted(seen) == list(range(101))
    # One that takes a step more than the others would wait for them for ever.
    assert steps == [len(batches) * each] * workers


def _cluster(**jobs):
    return {"cluster": jobs}


TWO = _cluster(worker=["a:1", "b:2"])
THREE = _cluster(chief=["c:1"], worker=["a:1", "b:2"])


@pytest.mark.parametrize(
    ("value", "job", "index", "chief"),
    [
        (TWO, "worker", 0, True),
        (TWO, "worker", 1, False),
        (THREE, "worker", 0, False),
        (THREE, "chief", 0, True),
    ],
)
def test_the_chief(monkeypatch, value, job, index, chief):
    monkeypatch.setenv("TF_CONFIG", json.dumps(value | {"task": {"type": job, "index": index}}))
    assert is_chief_process(STRATEGY) == chief
    assert is_chief_process("mirrored")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "reads TF_CONFIG, which is not set"),
        ("{'cluster'}", "must be JSON"),
        ("[]", "cluster must be an object, got None"),
        (json.dumps(_cluster(ps=["a:1"])), "cluster must hold the jobs chief or worker, got ps"),
        (json.dumps(_cluster(worker="a:1")), "cluster.worker must be a list of HOST:PORT, got 'a:1'"),
        (json.dumps(_cluster(chief=["a:1", "b:1"])), "cluster.chief must hold one address, got 2"),
        (json.dumps(TWO), "task must be an object, got None"),
        (
            json.dumps(TWO | {"task": {"type": "chief", "index": 0}}),
            "task.type must be one of worker, got 'chief'",
        ),
        (
            json.dumps(TWO | {"task": {"type": "worker", "index": "0"}}),
            "task.index must be a whole number, got '0'",
        ),
        (json.dumps(TWO | {"task": {"type": "worker", "index": 2}}), "task.index must be below 2"),
    ],
)
def test_a_wrong_tf_config(monkeypatch, text, rule):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError) as caught:
        is_chief_process(STRATEGY)
    assert rule in str(caught.value)
    assert '"task": {"type": "worker", "index": 0}' in str(caught.value)


def _common(smallest_flags, corpus):
    return (
        *smallest_flags,
        f"--config.data.train={corpus}/test.jsonl",
        "--config.model.dropout=0.0",
        "--config.train.epochs=2",
        "--config.data.validation_fraction=0.0",
        # A share of a batch is larger than the other, and the last of an epoch leaves a worker without.
        "--config.train.batch_size=3",
        "--config.train.checkpoint_seconds=0.0",
        # See test_two_replicas.py.
        "--config.optimizer.epsilon=0.001",
    )


def _weights(model_dir):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("model/") and name.endswith("VARIABLE_VALUE")
    }


@pytest.mark.slow
def test_two_workers_killed_and_started_again_equal_one_process(cli, smallest_flags, corpus, tmp_path):
    flags = _common(smallest_flags, corpus)
    one = cli("train", *flags, f"--model_dir={tmp_path}/one")
    assert one.returncode == 0, one.stderr

    model_dir = tmp_path / "two"
    flags = (*flags, f"--model_dir={model_dir}")
    kill_one_of_two("train", *flags, model_dir=model_dir)
    for log in run_two("train", *flags):
        assert "resumed at epoch 1/2, step" in log
    expected, found = _weights(tmp_path / "one"), _weights(model_dir)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    # The chief alone writes: one file of events for each time it was started.
    assert len(list((model_dir / "tensorboard").iterdir())) == 2
    assert json.loads((model_dir / "metrics.json").read_text())["replicas"] == 2


@pytest.mark.slow
def test_workers_that_differ_are_refused(smallest_flags, corpus, tmp_path):
    # Another seed leaves other records to validation.
    each = [("--config.train.seed=1",), ("--config.train.seed=2",)]
    flags = (*_common(smallest_flags, corpus), f"--model_dir={tmp_path}/model")
    _refused(start_two("train", *flags, each=each))
    assert not (tmp_path / "model").exists()


def _refused(processes):
    for output, process in zip(logs(processes), processes, strict=True):
        assert process.returncode == 1, output
        assert output.endswith("every worker must have the same data files and the same configuration\n")
