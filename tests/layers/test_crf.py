"""The CRF as a Keras layer: its constraints, its configuration, precision, saving and replicas."""

import itertools
import json
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers.crf import CRF

LENGTH = np.array([4, 2, 1, 0], np.int32)


class Spans(NamedTuple):
    record: object
    start: object
    end: object
    label: object


SPANS = Spans(*(tf.constant(values) for values in ([0, 0, 1], [0, 1, 1], [2, 2, 2], [0, 1, 0])))


def filled(layer, seed=0):
    """Returns the layer with random weights, and emissions that often ask for a transition that BIO forbids."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    emissions = rng.normal(size=[4, 4, layer.units]).astype(np.float32) * 2
    emissions[:, 0, layer.table.middle] += 4
    return layer, emissions


def every_path(layer, emissions, n):
    """Paths [K^n, n] over one record, scores by eq. 12, and whether the scheme allows each."""
    transitions, start, end = (
        weight.numpy().astype(float)
        for weight in (layer.chain_kernel, layer.left_boundary, layer.right_boundary)
    )
    paths = np.array(list(itertools.product(range(layer.units), repeat=n)), int)
    scores = emissions[range(n), paths].astype(float).sum(1) + start[paths[:, 0]] + end[paths[:, -1]]
    for t in range(1, n):
        scores += transitions[paths[:, t - 1], paths[:, t]]

    def allowed(path):
        names = ["O", *(layer.table.tags[k] for k in path), "O"]
        for before, after in itertools.pairwise(names):
            open_before = before[0] in ("B", "I") if layer.scheme == "BIOES" else False
            if after[0] in ("I", "E"):
                if before[0] not in ("B", "I") or before[2:] != after[2:]:
                    return False
            elif open_before:
                return False
        return True

    return paths, scores, np.array([allowed(path) for path in paths])


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("constrained", [True, False])
def test_decoding_is_constrained_as_asked(scheme, constrained):
    labels = ["x", "y"] if scheme == "BIO" else ["x"]
    layer, emissions = filled(CRF(labels, scheme, constrain_decoding=constrained))
    tag_ids, score = layer.decode(emissions, LENGTH)
    np.testing.assert_array_equal(layer(emissions, LENGTH), tag_ids)
    marginals = layer.marginals(emissions, LENGTH).numpy()
    any_illegal = False
    for row, n in enumerate(LENGTH[:3]):
        paths, scores, allowed = every_path(layer, emissions[row, :n], n)
        any_illegal |= not allowed[scores.argmax()]
        if constrained:
            scores[~allowed] = -np.inf
        np.testing.assert_array_equal(tag_ids[row, :n], paths[scores.argmax()])
        np.testing.assert_allclose(score[row], scores.max(), rtol=1e-5)
        chance = np.exp(scores - scores.max())
        chance /= chance.sum()
        for t, k in np.ndindex(n, layer.units):
            wanted = chance[paths[:, t] == k].sum()
            assert marginals[row, t, k] == pytest.approx(wanted, abs=1e-5)
    assert any_illegal  # or the constraint has not been tested


@pytest.mark.parametrize("constrained", [True, False])
def test_the_loss_is_constrained_as_asked(constrained):
    layer, emissions = filled(CRF(["x", "y"], constrain_loss=constrained))
    gold = layer.table.encode([(0, 2, "x"), (3, 4, "y")], 4)
    tag_ids = np.stack([gold] * 4)
    with tf.GradientTape() as tape:
        loss = layer.negative_log_likelihood(emissions, tag_ids, LENGTH)
    gradient = tape.gradient(loss, layer.chain_kernel).numpy()
    loss = loss.numpy()
    for row, n in enumerate(LENGTH[:3]):
        paths, scores, allowed = every_path(layer, emissions[row, :n], n)
        kept = scores[allowed] if constrained else scores
        total = kept.max() + np.log(np.exp(kept - kept.max()).sum())
        assert loss[row] == pytest.approx(total - scores[(paths == gold[:n]).all(1)][0], abs=1e-4)
    assert loss[3] == 0
    # A forbidden transition has no gradient; without constraints it has one.
    assert np.any(gradient[~layer.table.allowed]) != constrained


def test_span_probability_uses_the_transitions_of_decoding():
    layer, emissions = filled(CRF(["x", "y"]))
    actual = layer.span_probability(emissions, LENGTH, SPANS).numpy()
    for chance, record, start, end, label in zip(actual, *(column.numpy() for column in SPANS), strict=True):
        n = LENGTH[record]
        paths, scores, allowed = every_path(layer, emissions[record, :n], n)
        weight = np.exp(scores - scores.max()) * allowed
        name = layer.labels[label]
        holds = [(start, end, name) in layer.table.decode(path) for path in paths]
        assert chance == pytest.approx(weight[holds].sum() / weight.sum(), abs=1e-5)


def test_configuration_round_trips():
    layer = CRF.from_table(
        TagTable(("药物", "手术"), "BIOES"),
        constrain_decoding=False,
        constrain_loss=True,
        chain_initializer="zeros",
        name="tags",
    )
    config = json.loads(json.dumps(layer.get_config()))
    copy = CRF.from_config(config)
    assert copy.get_config() == layer.get_config()
    assert copy.table == TagTable(("药物", "手术"), "BIOES")
    assert (copy.name, copy.units, copy.use_kernel) == ("tags", 9, False)
    assert (copy.constrain_decoding, copy.constrain_loss) == (False, True)
    assert {weight.name.split(":")[0]: tuple(weight.shape) for weight in copy.weights} == {
        "chain_kernel": (9, 9),
        "left_boundary": (9,),
        "right_boundary": (9,),
    }


def test_without_boundaries():
    layer = CRF(["x"], use_boundary=False, constrain_decoding=False)
    assert len(layer.weights) == 1
    emissions = np.array([[[0, 1, 3]]], np.float32)
    tag_ids, score = CRF.from_config(layer.get_config()).decode(emissions, [1])
    assert (tag_ids.numpy().tolist(), score.numpy().tolist()) == ([[2]], [3.0])


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    tf.keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf.keras.mixed_precision.set_global_policy("float32")


def test_float32_under_mixed_precision(policy):
    layer, emissions = filled(CRF(["x"]))
    low = tf.cast(emissions, tf.keras.mixed_precision.Policy(policy).compute_dtype)
    tag_ids = np.zeros([4, 4], np.int32)
    assert {weight.dtype for weight in layer.weights} == {tf.float32}

    @tf.function(autograph=False)
    def loss_and_gradients(emissions):
        with tf.GradientTape() as tape:
            tape.watch(emissions)
            loss = layer.negative_log_likelihood(emissions, tag_ids, LENGTH)
        return loss, *tape.gradient(loss, [emissions, layer.chain_kernel])

    loss, by_emission, by_transition = loss_and_gradients(low)
    assert (loss.dtype, by_emission.dtype, by_transition.dtype) == (tf.float32, low.dtype, tf.float32)
    same, _, same_by_transition = loss_and_gradients(tf.cast(low, tf.float32))
    np.testing.assert_array_equal(loss, same)
    np.testing.assert_array_equal(by_transition, same_by_transition)
    np.testing.assert_array_equal(layer(low, LENGTH), layer(tf.cast(low, tf.float32), LENGTH))
    assert layer.marginals(low, LENGTH).dtype == tf.float32


def test_float32_inside_a_layer_of_lower_precision(policy):
    """A layer reads its parts' variables in its own precision, unless they refuse."""
    layer, emissions = filled(CRF(["x"]))
    tag_ids = np.zeros([4, 4], np.int32)

    class Parent(tf.keras.layers.Layer):
        def __init__(self):
            super().__init__(autocast=False)
            self.crf = layer

        def call(self, emissions):
            return self.crf.negative_log_likelihood(emissions, tag_ids, LENGTH)

    inside = Parent()(emissions)
    np.testing.assert_array_equal(inside, layer.negative_log_likelihood(emissions, tag_ids, LENGTH))


def test_training_never_decodes():
    layer, emissions = filled(CRF(["x"]))

    def operations(function):
        definition = tf.function(function, autograph=False).get_concrete_function().graph.as_graph_def()
        bodies = [definition.node, *(body.node_def for body in definition.library.function)]
        return {node.op for nodes in bodies for node in nodes}

    def gradients():
        with tf.GradientTape() as tape:
            loss = layer.negative_log_likelihood(emissions, np.zeros([4, 4], np.int32), LENGTH)
        return tape.gradient(loss, layer.weights)

    assert "ArgMax" in operations(lambda: layer.decode(emissions, LENGTH))
    assert "ArgMax" not in operations(gradients)


@pytest.mark.parametrize("kind", ["saved_model", "archive.keras", "weights.h5"])
def test_a_model_is_saved_and_loaded(tmp_path, kind):
    def build():
        emissions = tf.keras.Input([None, 4])
        length = tf.keras.Input([], dtype=tf.int32)
        scores = tf.keras.layers.Dense(5, kernel_initializer=tf.keras.initializers.GlorotUniform(7))(
            emissions
        )
        layer = CRF(["x", "y"], name="crf")
        return tf.keras.Model([emissions, length], layer(scores, length)), layer

    model, layer = build()
    filled(layer)
    inputs = [np.random.default_rng(2).normal(size=[4, 4, 4]).astype(np.float32) * 3, LENGTH]
    path = tmp_path / kind
    if kind == "weights.h5":
        model.save_weights(path)
        loaded, _ = build()
        loaded.load_weights(path)
    else:
        model.save(path)
        loaded = tf.keras.models.load_model(path)
    expected = model(inputs).numpy()
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(loaded(inputs), expected)
    if kind == "saved_model":
        served = tf.saved_model.load(str(path)).signatures["serving_default"]
        inputs = dict(zip([spec.name for spec in model.inputs], map(tf.constant, inputs), strict=True))
        np.testing.assert_array_equal(*served(**inputs).values(), expected)


def test_every_function_as_a_signature(tmp_path):
    layer, emissions = filled(CRF(["x", "y"]))
    module = tf.Module()
    module.crf = layer

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, 5]), *[tf.TensorSpec([None], tf.int32)] * 5],
        autograph=False,
    )
    def serve(emissions, length, record, start, end, label):
        tag_ids, score = layer.decode(emissions, length)
        marginals = layer.marginals(emissions, length)
        chance = layer.span_probability(emissions, length, Spans(record, start, end, label))
        return {"tag_ids": tag_ids, "score": score, "marginals": marginals, "chance": chance}

    tf.saved_model.save(module, str(tmp_path), signatures=serve)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    inputs = dict(zip(["emissions", "length"], map(tf.constant, [emissions, LENGTH]), strict=True))
    result = loaded(**inputs, **SPANS._asdict())
    np.testing.assert_array_equal(result["tag_ids"], layer(emissions, LENGTH))
    np.testing.assert_array_equal(result["score"], layer.decode(emissions, LENGTH)[1])
    np.testing.assert_allclose(result["marginals"], layer.marginals(emissions, LENGTH), atol=1e-6)
    np.testing.assert_allclose(result["chance"], layer.span_probability(emissions, LENGTH, SPANS), atol=1e-6)


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def test_the_import_says_nothing_and_hides_nothing():
    script = """
import warnings
before = list(warnings.filters)
import emr_ner_tf.layers.crf
assert [f for f in warnings.filters if f not in before and "Addons" in str(f[1])] == []
warnings.warn("still heard")
"""
    done = run("-W", "default", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "still heard" in done.stderr
    assert "Addons" not in done.stderr


REPLICAS = """
import json
import numpy as np
import tensorflow as tf
from emr_ner_tf.layers.crf import CRF

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
records = rng.normal(size=[5, 6, 3]).astype(np.float32)
tags = rng.integers(0, 5, [5, 6]).astype(np.int32)
length = np.array([6, 3, 1, 0, 5], np.int32)

def train(count):
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])
    with strategy.scope():
        dense = tf.keras.layers.Dense(5, kernel_initializer=tf.keras.initializers.GlorotUniform(3))
        crf = CRF(["x", "y"], chain_initializer=tf.keras.initializers.RandomNormal(seed=4))
        dense.build([None, None, 3])
        optimizer = tf.keras.optimizers.SGD(0.5)
        optimizer.build(dense.trainable_variables + crf.trainable_variables)

    def split(*bounds):
        # One replica has all five records.
        bounds = (0, 5) if count == 1 else bounds
        def part(context):
            rows = slice(*bounds[context.replica_id_in_sync_group :][:2])
            return tf.constant(records[rows]), tf.constant(tags[rows]), tf.constant(length[rows])
        return strategy.experimental_distribute_values_from_function(part)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(batch):
        def replica(batch):
            inputs, tag_ids, sizes = batch
            variables = dense.trainable_variables + crf.trainable_variables
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(crf.negative_log_likelihood(dense(inputs), tag_ids, sizes)) / 5.0
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return loss
        return strategy.reduce("sum", strategy.run(replica, args=(batch,)), axis=None)

    losses = [float(step(split(*bounds))) for bounds in ((0, 5, 5), (0, 2, 5), (0, 0, 5))]
    return losses, [weight.numpy().tolist() for weight in dense.weights + crf.weights]

print(json.dumps([train(1), train(2)]))
"""


def test_two_replicas_equal_one():
    """Also where one of the two gets no records."""
    done = run("-c", REPLICAS)
    assert done.returncode == 0, done.stderr
    (losses, weights), (two_losses, two_weights) = json.loads(done.stdout.splitlines()[-1])
    assert losses[2] < losses[0]
    np.testing.assert_allclose(two_losses, losses, rtol=1e-5)
    for one, two in zip(weights, two_weights, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
