"""The objective of the character language model against plain NumPy, row by row, and what its gradient reaches."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.pretraining.bilm import CharacterLM

VOCABULARY = 9
CONFIG = {"hidden_size": 3, "intermediate_size": 4, "num_hidden_layers": 2, "hidden_dropout_prob": 0.5}
IDS = np.array([[2, 4, 5, 6, 3, 0], [2, 7, 3, 8, 8, 8], [2, 4, 8, 5, 6, 3], [0, 0, 0, 0, 0, 0]], np.int32)
LENGTH = np.array([5, 3, 6, 0], np.int32)


@pytest.fixture
def model():
    tf.keras.utils.set_random_seed(2)
    model = CharacterLM(CONFIG, VOCABULARY)
    for variable in model.variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_numpy(model, ids, direction):
    """Returns negative log-likelihood of what one direction predicts of one text."""
    ids = ids[::-1] if direction else ids
    table = model.language_model.embeddings.numpy()
    outputs = [table[ids]]
    for depth, layer in enumerate(model.language_model.recurrences):
        kernel, recurrent, bias, projection = (variable.numpy()[direction] for variable in layer.variables)
        state, cell, states = np.zeros(3), np.zeros(4), []
        for x in outputs[-1]:
            i, f, g, o = np.split(x @ kernel + state @ recurrent + bias, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            state = (sigmoid(o) * np.tanh(cell)) @ projection
            states.append(state)
        outputs.append(np.array(states) + (outputs[-1] if depth else 0))
    loss = 0.0
    for state, target in zip(outputs[-1][:-1], ids[1:], strict=True):
        logits = table @ state + model.output_bias.numpy()
        loss += np.log(np.exp(logits).sum()) - logits[target]
    return loss


def test_losses_are_those_of_each_text_alone(model):
    texts = [ids[:size] for ids, size in zip(IDS, LENGTH, strict=True) if size]
    expected = [sum(by_numpy(model, ids, direction) for ids in texts) for direction in range(2)]
    found = model.losses(tf.constant(IDS), tf.constant(LENGTH), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_scaled_losses_add_up_to_the_mean(model):
    for dropout in model.language_model.dropouts:
        dropout.rate = 0.0
    predictions = np.float32((LENGTH - 1)[:3].sum())
    whole, characters = model.scaled_loss(tf.constant(IDS), tf.constant(LENGTH), predictions)
    assert characters.numpy() == 3 + 1 + 4
    parts = [model.scaled_loss(IDS[i : i + 1], LENGTH[i : i + 1], predictions) for i in range(4)]
    np.testing.assert_allclose(sum(loss for loss, _ in parts), whole, rtol=1e-5)
    assert sum(int(count) for _, count in parts) == 8
    losses = model.losses(tf.constant(IDS), tf.constant(LENGTH), training=False)
    np.testing.assert_allclose(whole, np.sum(losses) / (2 * predictions), rtol=1e-5)


def test_the_gradient_reaches_every_variable(model):
    with tf.GradientTape() as tape:
        loss, _ = model.scaled_loss(tf.constant(IDS), tf.constant(LENGTH), 11.0)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name


def test_half_precision_is_near(model):
    exact = model.losses(tf.constant(IDS), tf.constant(LENGTH), training=False).numpy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        narrow = CharacterLM(CONFIG, VOCABULARY)
        narrow.set_weights(model.get_weights())
        found = narrow.losses(tf.constant(IDS), tf.constant(LENGTH), training=False)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, exact, rtol=0.02)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
