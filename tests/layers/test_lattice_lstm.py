"""The Lattice LSTM against its equations in plain NumPy, written one cell at a time."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.layers.lattice_lstm import LatticeLSTM
from emr_ner_tf.text.trie import build_trie
from emr_ner_tf.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"))
WORDS = ("ab", "bc", "abc", "cd", "abcd", "dd")
TRIE = build_trie(WORDS, VOCABULARY)
TEXTS = ("abcdabcc", "ddd", "", "c", "cababcd")
WIDTH, UNITS, SIZE = 3, 4, 2
LENGTH = np.array([len(text) for text in TEXTS], np.int32)
TIME = 9
REAL = np.arange(TIME) < LENGTH[:, None]


def token_ids(time=TIME):
    ids = np.full([len(TEXTS), time], 4, np.int32)
    for row, text in enumerate(TEXTS):
        ids[row, : len(text)] = [VOCABULARY.tokens.index(character) for character in text]
    return ids


def inputs_of(seed=0):
    return np.random.default_rng(seed).normal(size=[len(TEXTS), TIME, WIDTH]).astype(np.float32)


def make(seed=1, **arguments):
    layer = LatticeLSTM(UNITS, TRIE, SIZE, name="context", **arguments)
    layer.build([None, None, WIDTH])
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def sigma(x):
    return 1 / (1 + np.exp(-x))


def one_direction(x, text, word_vectors, weights):
    """States of one record by the equations: `x` [n, H], `text` as this direction reads it, `word_vectors` by word."""
    n = len(text)
    h, c = np.zeros([n + 1, UNITS]), np.zeros([n + 1, UNITS])  # [-1] is the state before the first character
    for j in range(n):
        gates = x[j] @ weights["kernel"] + h[j - 1] @ weights["recurrent_kernel"] + weights["bias"]
        i, o, g = sigma(gates[:UNITS]), sigma(gates[UNITS : 2 * UNITS]), np.tanh(gates[2 * UNITS :])
        cells, gates_of_words = [], []
        for b in range(j):
            if text[b : j + 1] not in word_vectors:
                continue
            word = word_vectors[text[b : j + 1]] @ weights["word_kernel"] + weights["word_bias"]
            word = word + h[b] @ weights["word_recurrent_kernel"]
            forget, inlet, new = (
                sigma(word[:UNITS]),
                sigma(word[UNITS : 2 * UNITS]),
                np.tanh(word[2 * UNITS :]),
            )
            cell = forget * c[b] + inlet * new
            gate = x[j] @ weights["gate_kernel"] + cell @ weights["gate_recurrent_kernel"]
            cells.append(cell)
            gates_of_words.append(sigma(gate + weights["gate_bias"]))
        if cells:
            exponents = np.exp(np.stack([i, *gates_of_words]))
            c[j] = (exponents / exponents.sum(0) * np.stack([g, *cells])).sum(0)
        else:
            c[j] = (1 - i) * c[j - 1] + i * g
        h[j] = o * np.tanh(c[j])
    return h[:n]


def by_equations(inputs, values):
    """Returns all outputs [B, T, 2U] in float64 from the variables' values by name."""
    embedding = values["word_embedding"]
    outputs = np.zeros([len(TEXTS), inputs.shape[1], 2 * UNITS])
    forward_words = {word: embedding[number] for number, word in enumerate(WORDS)}
    backward_words = {word[::-1]: embedding[number] for number, word in enumerate(WORDS)}
    for row, text in enumerate(TEXTS):
        x, n = inputs[row, : len(text)], len(text)
        for direction, words in (("forward", forward_words), ("backward", backward_words)):
            weights = {
                name.removeprefix(f"{direction}_"): value
                for name, value in values.items()
                if name.startswith(direction)
            }
            if direction == "forward":
                outputs[row, :n, :UNITS] = one_direction(x, text, words, weights)
            else:
                outputs[row, :n, UNITS:] = one_direction(x[::-1], text[::-1], words, weights)[::-1]
    return outputs


def values_of(layer):
    return {
        weight.name.split("/")[-1].removesuffix(":0"): weight.numpy().astype(np.float64)
        for weight in layer.weights
    }


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_equals_the_equations(training, graph):
    layer = make()
    run = tf.function(layer, autograph=False) if graph else layer
    outputs = run(inputs_of(), LENGTH, token_ids(), training=training).numpy()
    np.testing.assert_allclose(outputs, by_equations(inputs_of(), values_of(layer)), atol=2e-6)
    assert not outputs[~REAL].any()
    assert np.abs(outputs[REAL]).max() > 0.1


def test_words_make_a_difference():
    layer = make()
    without = token_ids()
    without[:, 1::2] = 1
    outputs, others = (layer(inputs_of(), LENGTH, ids).numpy() for ids in (token_ids(), without))
    assert np.abs(outputs - others)[0].max() > 0.05
    np.testing.assert_allclose(outputs[3], others[3], atol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
def test_gradients_are_the_slopes_of_the_equations(graph):
    layer, inputs = make(), tf.constant(inputs_of())
    weight = np.random.default_rng(5).normal(size=[len(TEXTS), TIME, 2 * UNITS])
    variables = [*layer.trainable_variables]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(
                layer(inputs, LENGTH, token_ids(), training=True) * tf.constant(weight, tf.float32)
            )
        return [tf.convert_to_tensor(each) for each in tape.gradient(loss, [inputs, *variables])]

    found = (tf.function(gradients, autograph=False) if graph else gradients)()
    values, rng, step = values_of(layer), np.random.default_rng(6), 1e-5
    names = ["inputs", *values]
    assert len(names) == len(found) == 1 + 1 + 2 * 9

    def loss_at(name, change):
        moved = values | ({name: values[name] + change} if name in values else {})
        x = inputs.numpy().astype(np.float64) + (change if name == "inputs" else 0)
        return (by_equations(x, moved) * weight).sum()

    for name, gradient in zip(names, found, strict=True):
        for _ in range(2):
            direction = rng.normal(size=gradient.shape)
            slope = (loss_at(name, step * direction) - loss_at(name, -step * direction)) / (2 * step)
            np.testing.assert_allclose(
                (gradient.numpy() * direction).sum(), slope, rtol=1e-3, atol=1e-3, err_msg=name
            )


@pytest.mark.parametrize("garbage", [np.nan, 1e30])
def test_padding_and_company_change_nothing(garbage):
    layer = make()

    def run(inputs, length, ids):
        inputs = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, length, ids, training=True)
            loss = tf.reduce_sum(outputs**2)
        return [
            outputs,
            *map(tf.convert_to_tensor, tape.gradient(loss, [inputs, *layer.trainable_variables])),
        ]

    clean = run(np.where(REAL[:, :, None], inputs_of(), 0), LENGTH, token_ids())
    dirty = np.where(REAL[:, :, None], inputs_of(), np.float32(garbage))
    ids = np.pad(np.where(REAL, token_ids(), 5), [(0, 0), (0, 2)], constant_values=6)
    wider = run(np.pad(dirty, [(0, 0), (0, 2), (0, 0)], constant_values=garbage), LENGTH, ids)
    for ours, theirs in zip(wider, clean, strict=True):
        if ours.shape[:2] == (len(TEXTS), TIME + 2):
            assert not ours[:, TIME:].numpy().any()
            ours = ours[:, :TIME]
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for row, n in enumerate(LENGTH):
        if not n:
            continue
        alone = layer(inputs_of()[row : row + 1, :n], LENGTH[row : row + 1], token_ids()[row : row + 1, :n])
        np.testing.assert_allclose(alone[0], clean[0][row, :n], atol=1e-5)


def test_records_without_a_character():
    layer = make()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, WIDTH]),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
        ],
        autograph=False,
    )
    def run(inputs, length, ids):
        with tf.GradientTape() as tape:
            outputs = layer(inputs, length, ids, training=True)
        gradients = tape.gradient(outputs, layer.trainable_variables)
        return outputs, layer(inputs, length, ids), [tf.convert_to_tensor(each) for each in gradients]

    for shape in [(0, 0), (0, 3), (2, 0), (2, 1)]:
        length = tf.zeros([shape[0]], tf.int32)
        trained, outputs, gradients = run(tf.ones([*shape, WIDTH]), length, tf.fill(shape, 4))
        for each in (trained, outputs):
            np.testing.assert_array_equal(each, np.zeros([*shape, 2 * UNITS]))
        assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_float32_under_mixed_precision():
    previous = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer = make()
        outputs = layer(tf.cast(inputs_of(), tf.bfloat16), LENGTH, token_ids())
    finally:
        tf.keras.mixed_precision.set_global_policy(previous)
    assert outputs.dtype == tf.float32
    assert {weight.dtype for weight in layer.weights} == {tf.float32}


def test_dropout_is_on_words_and_for_training_only():
    layer, plain = make(dropout=0.5), make()
    arguments = (inputs_of(), LENGTH, token_ids())
    np.testing.assert_allclose(layer(*arguments), plain(*arguments), atol=1e-6)
    difference = np.abs(layer(*arguments, training=True).numpy() - plain(*arguments).numpy())
    assert difference[0].max() > 0.01
    assert not difference[3].max() > 1e-6


def test_vectors_go_to_the_words_that_the_trie_kept():
    layer = LatticeLSTM(UNITS, build_trie(["ab", "a*", "AB", "cd"], VOCABULARY), SIZE)
    layer.build([None, None, WIDTH])
    layer.assign_vectors(np.float32([[1, 2], [3, 4], [5, 6], [7, 8]]))
    np.testing.assert_array_equal(layer.word_embedding, [[1, 2], [7, 8]])


def test_the_configuration_builds_a_twin():
    layer = make(dropout=0.25)
    twin = LatticeLSTM.from_config(layer.get_config())
    assert (twin.name, twin.units, twin.word_size, twin.dropout) == ("context", UNITS, SIZE, 0.25)
    twin.build([None, None, WIDTH])
    twin.set_weights(layer.get_weights())
    arguments = (inputs_of(), LENGTH, token_ids())
    np.testing.assert_array_equal(twin(*arguments), layer(*arguments))


def test_a_saved_model_of_unknown_shapes_holds_core_operations(tmp_path):
    module, layer = tf.Module(), make()
    module.layer = layer
    module.run = tf.function(
        lambda inputs, length, ids: layer(inputs, length, ids),
        input_signature=[
            tf.TensorSpec([None, None, WIDTH]),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
        ],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"run": module.run})
    loaded = tf.saved_model.load(str(tmp_path))
    arguments = (tf.constant(inputs_of()), tf.constant(LENGTH), tf.constant(token_ids()))
    np.testing.assert_allclose(loaded.run(*arguments), layer(*arguments), atol=1e-6)
    graph = loaded.signatures["run"].graph.as_graph_def()
    types = {node.op for node in graph.node}
    types |= {node.op for function in graph.library.function for node in function.node_def}
    assert not {name for name in types if "Py" in name or "HashTable" in name or "Xla" in name}
