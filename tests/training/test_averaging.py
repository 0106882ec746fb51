"""The average of the weights against its formula, and in a run: it is scored, kept as the best and exported."""

import json

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.training.averaging import AveragedWeights
from emr_ner_tf.training.loading import restore, restore_tagger
from emr_ner_tf.training.trainer import train


def test_the_formula():
    values = np.array([[1.0, -2.0], [4.0, 0.0], [-1.0, 6.0]], np.float32)
    variable = tf.Variable(values[0])
    averages = AveragedWeights([variable], 0.25)
    expected = values[0]
    for step, value in enumerate(values[1:], start=1):
        variable.assign(value)
        averages.update(tf.constant(step, tf.int64), tf.distribute.get_strategy())
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(averages.averages[0], expected, rtol=1e-5)


def test_in_place_gives_the_own_values_back():
    variable = tf.Variable([0.1, 0.2])
    averages = AveragedWeights([variable], 0.5)
    variable.assign([0.3, 0.7])
    own = variable.numpy()
    with averages.in_place():
        np.testing.assert_array_equal(variable, np.array([0.1, 0.2], np.float32))
    np.testing.assert_array_equal(variable, own)


def test_a_run_keeps_its_averages(two_records, tmp_path):
    two_records.train.average_decay = 0.8
    two_records.train.epochs = 12
    two_records.train.batch_size = 1
    metrics = train(two_records, tmp_path)
    state = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tmp_path / "checkpoints" / "last")))
    last, _ = restore_tagger(tmp_path, "last")
    for index, variable in enumerate(last.trainable_variables):
        saved = state.get_tensor(f"averages/averages/{index}/.ATTRIBUTES/VARIABLE_VALUE")
        np.testing.assert_array_equal(variable, saved)
    # The restored model scores as in the history; the values behind the averages differ.
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    gold = list(read_documents(two_records.data.train))
    for which, entry in (("best", metrics["best"]), ("last", history[-1])):
        annotator, _ = restore(tmp_path, which)
        found = score(gold, list(annotator.annotate(gold)), annotator.labels)
        assert found.exact.micro.f1 == pytest.approx(entry["f1"])
    emissions = state.get_tensor("model/linear/kernel/.ATTRIBUTES/VARIABLE_VALUE")
    assert np.abs(last.linear.kernel - emissions).max() > 1e-4
