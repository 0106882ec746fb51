"""Flags that take a number."""

import ast
import pathlib

import pytest
from absl import flags

from emr_ner_tf.cli.number_flags import define_float, define_seconds

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = sorted([*(ROOT / "emr_ner_tf/cli").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])


@pytest.fixture(scope="module", autouse=True)
def _flags():
    define_seconds("test_seconds", 1.0, "Seconds.", 0.5)
    define_float("test_number", None, "A number.")
    yield
    for name in ("test_seconds", "test_number"):
        delattr(flags.FLAGS, name)


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("name", ["test_seconds", "test_number"])
def test_what_is_not_finite(name, value):
    with pytest.raises(
        flags.IllegalFlagValueError, match=f"flag --{name}={value}: it must be a finite number"
    ):
        flags.FLAGS[name].parse(value)


@pytest.mark.parametrize("value", ["0.4", "1e12", "x", ""])
def test_what_is_out_of_bounds(value):
    with pytest.raises(flags.IllegalFlagValueError, match=f"flag --test_seconds={value}: "):
        flags.FLAGS["test_seconds"].parse(value)


def test_numbers():
    flags.FLAGS["test_seconds"].parse("2.5")
    flags.FLAGS["test_number"].parse("-1e9")
    assert (flags.FLAGS["test_seconds"].value, flags.FLAGS["test_number"].value) == (2.5, -1e9)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_no_command_takes_numbers_by_absl_alone(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("DEFINE_float", "DEFINE_multi_float"), f"{path}:{node.lineno}"
