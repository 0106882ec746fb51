"""The fast gradient method against the gradients of a loss at a table that was moved by hand."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.adversarial import AdversarialEmbeddings
from emr_ner_tf.training.train_step import make_train_step
from emr_ner_tf.training.trainer import train


class _Sink:
    """Keeps the gradients that it gets, in place of an update."""

    def __init__(self, variables):
        self.gradients = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply_gradients(self, pairs, experimental_aggregate_gradients):
        for kept, (gradient, _) in zip(self.gradients, pairs, strict=True):
            kept.assign(gradient)


def test_gradients_at_the_moved_table_are_added():
    rng = np.random.default_rng(3)
    start = rng.normal(size=[5, 4]).astype(np.float32)
    table, kernel = tf.Variable(start), tf.Variable(rng.normal(size=[4, 1]).astype(np.float32))
    ids = tf.constant([1, 3, 3])

    def loss_of(rows, kernel):
        return tf.reduce_sum(tf.tanh(tf.gather(rows, ids) @ kernel) ** 2)

    def gradients_at(rows):
        with tf.GradientTape() as tape:
            tape.watch([rows, kernel])
            loss = loss_of(rows, kernel)
        return [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(loss, [rows, kernel])]

    def scaled_loss(_):
        return loss_of(table, kernel), tf.size(ids)

    sink = _Sink([table, kernel])
    step = make_train_step(
        scaled_loss,
        [table, kernel],
        sink,
        tf.Variable(0, dtype=tf.int64),
        tf.distribute.get_strategy(),
        0.0,
        (tf.TensorSpec([], tf.int32),),
        adversarial=AdversarialEmbeddings(table, 0.5),
    )
    loss, _ = step((tf.constant(0),))
    own = gradients_at(tf.constant(start))
    moved = gradients_at(tf.constant(start + 0.5 * own[0] / np.linalg.norm(own[0])))
    assert float(loss) == pytest.approx(float(loss_of(tf.constant(start), kernel)))
    for found, one, other in zip(sink.gradients, own, moved, strict=True):
        np.testing.assert_allclose(found, one + other, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(table, start)
    # Rows that the batch lacks are not moved.
    assert not sink.gradients[0].numpy()[[0, 2, 4]].any()


@pytest.mark.usefixtures("eager")
def test_a_frozen_encoder_has_no_embeddings_to_move(two_records, tmp_path, monkeypatch):
    two_records.train.adversarial_norm = 1.0
    two_records.train.epochs = 1
    assert train(two_records, tmp_path / "model")["updates"] == 1
    two_records.model.encoder = "elmo"
    two_records.encoder = "random"
    with pytest.raises(
        UserError, match=r"config.train.adversarial_norm must be 0 .*config.elmo.trainable.* got 1"
    ):
        train(two_records, tmp_path / "elmo")
