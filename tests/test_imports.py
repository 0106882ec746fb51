"""Each public package first in its process: `tf.keras` works there, whether transformers comes before or after."""

import os
import pathlib
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PACKAGE = pathlib.Path(__file__).parents[1] / "emr_ner_tf"
PACKAGES = sorted(f"emr_ner_tf.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py"))
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
WITHOUT_TENSORFLOW = ("emr_ner_tf.data", "emr_ner_tf.evaluation")
# The flag is set where the package begins, whichever part of it is asked for: so other libraries are imported after the
# parts that leave TensorFlow to them, and before and after one that imports it.
AFTER = (*WITHOUT_TENSORFLOW, "emr_ner_tf.encoders")
CASES = [
    *((name, "after" if name in AFTER else "alone") for name in PACKAGES),
    ("emr_ner_tf.encoders", "before"),
]

CODE = """
import importlib, os, pkgutil, sys

def import_all(name):
    package = importlib.import_module(name)
    modules = [module.name for module in pkgutil.iter_modules(package.__path__, name + ".")]
    # Each main has flags of its own, some of one name, so that only one can be imported.
    for module in modules if name != "emr_ner_tf.cli" else ["emr_ner_tf.cli.train"]:
        importlib.import_module(module)

def check(name, order):
    if order == "before":
        from transformers import TFBertModel
    import_all(name)
    alone = sorted({"tensorflow", "transformers"} & set(sys.modules))
    if order == "after":
        from transformers import TFBertModel
    import tensorflow as tf
    assert tf.keras.layers.Dense(2)(tf.ones([1, 3])).shape == [1, 2]
    if order != "alone":
        assert issubclass(TFBertModel, tf.keras.Model)
        import contextlib, io
        with contextlib.redirect_stdout(io.StringIO()):
            import keras_nlp
        assert issubclass(keras_nlp.models.BertBackbone, tf.keras.Model)
    print(*alone)

order, folder, *names = sys.argv[1:]
if order == "alone":
    # Once for all of them: this alone takes seconds, and none of its parts is used before a package is imported.
    import tensorflow
for name in names:
    child = os.fork()
    if not child:
        for number, stream in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}/{name}.{stream}", os.O_WRONLY | os.O_CREAT), number)
        check(name, order)
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(f"{folder}/{name}.status", "w") as file:
        file.write(str(status))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The outcome of each case."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    found = {}
    for order in sorted({order for _, order in CASES}):
        folder = tmp_path_factory.mktemp(order)
        names = [name for name, other in CASES if other == order]
        subprocess.run([sys.executable, "-c", CODE, order, folder, *names], check=True, env=environment)
        for name in names:
            status, *said = (
                (folder / f"{name}.{kind}").read_text(encoding="utf-8")
                for kind in ("status", "stdout", "stderr")
            )
            found[name, order] = subprocess.CompletedProcess(name, int(status), *said)
    return found


def test_there_are_packages():
    assert {"emr_ner_tf.encoders", "emr_ner_tf.training", *WITHOUT_TENSORFLOW} <= set(PACKAGES)


@pytest.mark.parametrize(("name", "order"), CASES)
def test_keras_works(outcomes, name, order):
    outcome = outcomes[name, order]
    assert outcome.returncode == 0, outcome.stderr
    # One line, ours: results go to standard output, so an import must write nothing there.
    imported = outcome.stdout.splitlines()
    assert len(imported) == 1, outcome.stdout
    if name in WITHOUT_TENSORFLOW:
        assert imported == [""]


def test_the_backend_on_transformers_says_nothing_of_what_is_settled(outcomes):
    said = outcomes["emr_ner_tf.encoders", "after"].stderr
    assert "Keras 2" not in said
    code = """
import logging
from emr_ner_tf.encoders.transformers_encoder import TransformersEncoder
sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
TransformersEncoder(dict(model_type="bert", max_position_embeddings=8, **sizes), 8)
logging.getLogger("transformers.modeling_tf_utils").warning("another")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Keras 2" not in done.stderr
    assert "deprecated" not in done.stderr
    # Nothing else is kept back.
    assert "another" in done.stderr


@pytest.mark.parametrize("given", [None, "0", "1"])
def test_onednn_is_on_unless_the_user_says_otherwise(given):
    environment = {key: value for key, value in os.environ.items() if key != ONEDNN}
    environment |= {} if given is None else {ONEDNN: given}
    code = f"import os, emr_ner_tf; print(os.environ.get({ONEDNN!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    default = "1" if platform.machine() in ("x86_64", "AMD64") else "None"
    assert done.stdout.split() == [given or default]


def test_tensorflow_takes_it_in_the_order_of_the_tests():
    from tensorflow.python.framework.test_util import IsMklEnabled

    # The package is imported before TensorFlow here, as in every command. It sets the variable on x86 alone.
    if ONEDNN in os.environ:
        assert IsMklEnabled() == (os.environ[ONEDNN] == "1")
