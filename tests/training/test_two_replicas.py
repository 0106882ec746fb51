"""Two logical CPUs under `mirrored` take the same steps as one device with the whole batch (dropout off)."""

import numpy as np
import pytest
import tensorflow as tf


def _weights(model_dir):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(("model/", "averages/averages/")) and name.endswith("VARIABLE_VALUE")
    }


# Batches of three over two replicas: shares differ in size, and the last batch of an epoch leaves a replica without.
@pytest.mark.slow
def test_two_replicas_equal_one(cli, tiny_flags, corpus, tmp_path):
    common = (
        *tiny_flags,
        f"--config.data.train={corpus}/test.jsonl",
        "--config.model.dropout=0.0",
        "--config.random_encoder.hidden_dropout_prob=0.0",
        "--config.random_encoder.attention_probs_dropout_prob=0.0",
        "--config.train.epochs=1",
        "--config.data.validation_fraction=0.0",
        "--config.train.batch_size=3",
        # Adam divides by the gradient's own size, so that rounding in a gradient near zero would move a weight by
        # a whole step; a larger epsilon keeps the comparison about what is compared.
        "--config.optimizer.epsilon=0.001",
        "--config.train.average_decay=0.9",
        "--config.train.adversarial_norm=0.5",
    )
    one = cli("train", *common, f"--model_dir={tmp_path}/one")
    assert one.returncode == 0, one.stderr
    two = cli("train", *common, "--strategy=mirrored", "--logical_cpus=2", f"--model_dir={tmp_path}/two")
    assert two.returncode == 0, two.stderr
    expected, found = _weights(tmp_path / "one"), _weights(tmp_path / "two")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
