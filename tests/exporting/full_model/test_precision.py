"""Bundles whose encoder computes in bfloat16."""

import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.export import export
from emr_ner_tf.exporting.packed_weights import VARIABLE, keep_packed_weights
from emr_ner_tf.exporting.parity_check import compare_with_float32
from emr_ner_tf.exporting.reduced_precision import choose_precision

# The probabilities of two texts' tags from each bundle, one after the other in one process.
_MARGINALS = """
import json, sys
from emr_ner_tf.exporting.bundle import Bundle

texts = ["患者因右肺上叶腺癌入院，予顺铂化疗。" * 9, "腹痛3天。"]
for path in sys.argv[1:]:
    bundle = Bundle(path)
    print(json.dumps([found.tolist() for text in texts for found in bundle.marginals([text])]))
"""


@pytest.fixture(scope="module")
def exported(trained, corpus, made_once):
    def make(output):
        result = export(trained, output, verify_on=str(corpus / "test.jsonl"), precision="bfloat16")
        assert (result.precision, result.comparison.records) == ("bfloat16", 16)
        assert result.comparison.different <= 0.05 * result.comparison.entities
        assert abs(result.comparison.f1 - result.comparison.float32_f1) < 0.02

    return made_once("bfloat16", make)


def test_its_encoder_multiplies_in_bfloat16_and_its_recurrence_in_float32(exported, bundles, marginals_of):
    reduced, full = marginals_of(exported), marginals_of(bundles)
    np.testing.assert_allclose(reduced, full, atol=0.05)
    assert np.abs(reduced - full).max() > 0
    functions = tf.saved_model.load(str(exported / "1")).signatures["serving_default"].graph.as_graph_def()
    products = [
        node.attr["T"].type
        for function in functions.library.function
        for node in function.node_def
        if node.op == "MatMul"
    ]
    types = {tf.dtypes.as_dtype(kind) for kind in products}
    assert types == {tf.bfloat16, tf.float32}


def test_what_is_stored_and_what_the_card_says(exported):
    reader = tf.train.load_checkpoint(str(exported / "1/variables/variables"))
    types = reader.get_variable_to_dtype_map()
    sizes = {name: int(np.prod(shape)) for name, shape in reader.get_variable_to_shape_map().items()}
    # Of the tiny model, only the encoder has variables of this size.
    assert {types[name] for name in types if sizes[name] >= 4096} == {tf.bfloat16}
    assert tf.float32 in types.values()
    card = (exported / "1/assets/model_card.md").read_text(encoding="utf-8")
    assert "stored as bfloat16 in the encoder, float32 elsewhere" in card
    assert "the products of the recurrence's inputs compute in bfloat16, the rest in float32" in card
    metrics = json.loads((exported / "1/assets/metrics.json").read_text(encoding="utf-8"))
    compared = metrics["exported"]["compared_with_float32"]
    assert f"F1 {compared['f1']:.4f} against {compared['float32_f1']:.4f}" in card


def test_the_policy_of_the_process_is_as_before(exported):
    assert tf.keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize(
    ("speedup", "expected"), [(2.0, "bfloat16"), (1.3, "bfloat16"), (1.1, "float32"), (0.5, "float32")]
)
def test_auto_takes_the_faster_one(speedup, expected):
    # Other work on the machine makes single measurements longer.
    disturbance = itertools.cycle([5.0, 1.0, 1.0, 9.0, 1.0])

    def seconds(dtype):
        return next(disturbance) / (speedup if dtype == tf.bfloat16 else 1.0)

    assert choose_precision("auto", seconds) == expected


def test_auto_measures_this_machine():
    assert choose_precision("auto") in ("float32", "bfloat16")
    assert (choose_precision("float32"), choose_precision("bfloat16")) == ("float32", "bfloat16")


def test_a_model_that_another_precision_changes_is_refused():
    label = "疾病和诊断"
    plain, float32, other = (
        [Document(str(i), "右肺上叶腺癌", entities) for i in range(10)]
        for entities in ((), (Entity(0, 2, label),), (Entity(0, 3, label),))
    )
    assert compare_with_float32(float32, float32, plain, (label,)) == (10, 10, 0, None, None)
    with pytest.raises(UserError, match=r"finds 20 entities that differ from its 10 .*--precision=float32"):
        compare_with_float32(other, float32, plain, (label,))


@pytest.fixture
def other(exported, tmp_path):
    """A version with the same graph and other weights."""
    path = tmp_path / "2"
    shutil.copytree(exported / "1", path)
    prefix = str(path / "variables/variables")
    reader = tf.train.load_checkpoint(prefix)
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_dtype_map()}

    def other_value(value):
        return tf.constant(0.5 * value, value.dtype) if getattr(value, "dtype", None) in floating else value

    floating = (np.float32, tf.bfloat16.as_numpy_dtype)
    changed = [other_value(value) for value in tensors.values()]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(tensors), shape_and_slices=[""] * len(tensors), tensors=changed
    )
    return path


def test_only_for_bundles_that_compute_in_bfloat16(exported, bundles, tmp_path, monkeypatch):
    # Restored after the test.
    monkeypatch.setenv(VARIABLE, "")
    for given, expected in (
        ((), None),
        ((bundles,), None),
        ((tmp_path / "none", bundles / "1"), None),
        ((exported,), "1"),
        ((bundles, str(exported / "1")), "1"),
    ):
        os.environ.pop(VARIABLE, None)
        keep_packed_weights(*given)
        assert os.environ.get(VARIABLE) == expected, given
    monkeypatch.setenv(VARIABLE, "0")
    keep_packed_weights(exported)
    assert os.environ[VARIABLE] == "0"


def test_a_command_that_ends_its_process_keeps_them_and_finds_the_same(
    exported, corpus, cli, cli_process, tmp_path
):
    found = []
    for run, name in ((cli, "in.jsonl"), (cli_process, "own.jsonl")):
        done = run(
            "annotate", f"--bundle={exported}", f"--input={corpus}/test.jsonl", f"--output={tmp_path / name}"
        )
        assert done.returncode == 0, done.stderr
        found.append(
            [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        )
    # The process of the tests also trains.
    assert VARIABLE not in os.environ
    for plain, packed in zip(*found, strict=True):
        scores = [[entity.pop("score") for entity in record["entities"]] for record in (plain, packed)]
        assert packed == plain
        np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)


def test_a_version_that_replaces_another_has_its_own_weights(exported, other):
    def marginals(*paths, **env):
        command = [sys.executable, "-c", _MARGINALS, *map(str, paths)]
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [[np.array(text) for text in json.loads(line)] for line in done.stdout.splitlines()]

    plain = marginals(exported, other)
    packed = marginals(exported, other, **{VARIABLE: "1"})
    assert np.abs(plain[0][0] - plain[1][0]).max() > 0.01
    for bundle, expected in zip(packed, plain, strict=True):
        for text in range(2):
            np.testing.assert_allclose(bundle[text], expected[text], atol=1e-4)
