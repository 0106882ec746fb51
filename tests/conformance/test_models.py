"""Every row: its parts, gradients, padding, eager and graph, and a checkpoint."""

import numpy as np
import pytest
import tensorflow as tf
from row_harness import PARTS

from emr_ner_tf.training.checkpoints import BEST
from emr_ner_tf.training.loading import restore

_TEXTS = ("患者因右肺上叶腺癌", "肺癌", "")
_LENGTH = np.array([9, 2, 0], np.int32)
# Every tag is there.
_TAGS = np.array([[0, 0, 0, 1, 2, 2, 2, 3, 4], [3, 4, 0, 0, 0, 0, 0, 0, 0], [0] * 9], np.int32)


def _outputs(tagger, token_ids, tag_ids, length):
    """Emissions, tags and losses."""
    emissions = tagger(token_ids, length, training=False)
    loss = tagger.crf.negative_log_likelihood(emissions, tag_ids, length)
    return emissions, tagger.crf.decode(emissions, length)[0], loss


def _training(tagger, token_ids, tag_ids, length):
    """Losses as in training, and the gradient of each trainable variable."""
    with tf.GradientTape() as tape:
        loss = tagger.loss_of(token_ids, tag_ids, length, training=True)
    gradients = tape.gradient(loss, tagger.trainable_variables)
    return loss, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]


@pytest.fixture(scope="module")
def expected(model):
    return _outputs(model.tagger, model.token_ids(*_TEXTS), _TAGS, _LENGTH)


@pytest.fixture(scope="module")
def expected_training(model):
    return _training(model.tagger, model.token_ids(*_TEXTS), _TAGS, _LENGTH)


@pytest.fixture(scope="module")
def graph(model):
    """`_outputs` of the row's model, traced once for every shape."""
    matrix = tf.TensorSpec([None, None], tf.int32)
    signature = [matrix, matrix, tf.TensorSpec([None], tf.int32)]
    return tf.function(
        lambda *batch: _outputs(model.tagger, *batch), input_signature=signature, autograph=False
    )


def _assert_alike(found, expected, rows=slice(None)):
    """`found` equals `expected` on some records, whatever is in the padding of either."""
    for i, record in enumerate(range(len(_LENGTH))[rows]):
        size = _LENGTH[record]
        np.testing.assert_allclose(found[0][i, :size], expected[0][record, :size], atol=1e-5)
        np.testing.assert_array_equal(found[1][i, :size], expected[1][record, :size])
    np.testing.assert_allclose(found[2], expected[2][rows], atol=1e-5)


def _size(variables):
    return sum(variable.shape.num_elements() for variable in variables)


def test_parts_and_their_sizes(model):
    assert {part.name: _size(part.weights) for part in model.tagger.layers if part.weights} == PARTS[
        model.row
    ]
    assert _size(model.tagger.variables) == sum(PARTS[model.row].values())


def test_gradient_reaches_every_variable(model, expected, expected_training):
    loss, gradients = expected_training
    np.testing.assert_allclose(loss, expected[2], atol=1e-5)
    for variable, gradient in zip(model.tagger.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all(), variable.name
        # A softmax does not change when every score moves alike: the keys' bias has no slope.
        if "/key/bias" not in variable.name:
            assert np.abs(gradient).max() > 1e-7, variable.name


def test_eager_equals_graph(model, expected, graph):
    _assert_alike(graph(model.token_ids(*_TEXTS), _TAGS, _LENGTH), expected)


def test_padding_changes_nothing(model, expected, expected_training, graph):
    wide = np.pad(model.token_ids(*_TEXTS), [[0, 0], [0, 7]])
    tags = np.pad(_TAGS, [[0, 0], [0, 7]])
    for record, size in enumerate(_LENGTH):
        # Ids of tokens, and of none.
        wide[record, size:] = np.resize([7, 10**6, -7], wide.shape[1] - size)
        tags[record, size:] = 3
    _assert_alike(graph(wide, tags, _LENGTH), expected)
    for record in (0, 1):
        one, size = slice(record, record + 1), _LENGTH[record]
        _assert_alike(graph(wide[one, :size], tags[one, :size], _LENGTH[one]), expected, one)
    loss, gradients = _training(model.tagger, wide, tags, _LENGTH)
    np.testing.assert_allclose(loss, expected_training[0], atol=1e-5)
    for variable, one, other in zip(
        model.tagger.trainable_variables, gradients, expected_training[1], strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=variable.name)


def test_what_the_encoder_gives_for_padding_is_not_read(model, expected, monkeypatch):
    encode = model.tagger._encode
    real = tf.sequence_mask(_LENGTH)[:, :, tf.newaxis]
    monkeypatch.setattr(model.tagger, "_encode", lambda *batch: tf.where(real, encode(*batch), np.nan))
    batch = model.token_ids(*_TEXTS), _TAGS, _LENGTH
    _assert_alike(_outputs(model.tagger, *batch), expected)
    np.testing.assert_allclose(model.tagger.loss_of(*batch, training=True), expected[2], atol=1e-5)


def test_a_checkpoint_restores_the_model_to_the_bit(model, expected):
    model.definition.save(model.folder)
    tf.train.Checkpoint(model=model.tagger).save(str(model.folder / "checkpoints" / BEST / "ckpt"))
    restored, definition = restore(model.folder)
    emissions = restored.ner_pipeline.tagger(model.token_ids(*_TEXTS), _LENGTH)
    np.testing.assert_array_equal(emissions, expected[0])
    assert definition == model.definition
