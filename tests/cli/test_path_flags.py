"""Flags that name files: `~/`, remote addresses, streams, empty names; and that every command uses them."""

import ast
import pathlib

import pytest
from absl import flags

from emr_ner_tf.cli import path_flags
from emr_ner_tf.config import base_config
from emr_ner_tf.errors import UsageError

CLI = pathlib.Path(path_flags.__file__).parent
HOME = str(pathlib.Path.home())
# Flags that take a path; `header` and the like do not.
PATHS = {
    "bundle", "model_dir", "input", "output", "output_dir", "work_dir", "runs_dir", "verify_on", "train", "test",
    "encoder", "adapted_encoder", "elmo", "lexicon", "unlabelled", "all_records", "labels", "licence",
    "tls_ca", "tls_cert", "tls_key", "tls_client_ca",
}  # fmt: skip


@pytest.fixture
def values():
    """Flags of every kind, in a registry of their own."""
    registry = flags.FlagValues()
    kinds = {
        "file": {},
        "source": {"stream": "input"},
        "anywhere": {"remote": True},
        "files": {"several": True},
        "perhaps": {},
    }
    for name, options in kinds.items():
        default = "" if name == "perhaps" else None
        parser = path_flags.define_path(name, default, "Help.", **options)
        registry[name] = flags.FLAGS[parser.name]
        delattr(flags.FLAGS, name)
    return registry


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--file=~/x", "file", f"{HOME}/x"),
        ("--file=a~/x", "file", "a~/x"),
        ("--file=C:/x", "file", "C:/x"),
        ("--source=-", "source", "-"),
        ("--anywhere=gs://b/x", "anywhere", "gs://b/x"),
        ("--files=a,~/b", "files", f"a,{HOME}/b"),
        ("--perhaps=", "perhaps", ""),
    ],
)
def test_accepted_paths(values, argument, name, value):
    values(["program", argument])
    assert values[name].value == value


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--file=s3://bucket/ner", "annotate_archive"),
        ("--file=hdfs://n/x", "remote address"),
        ("--source=gs://b/x", "remote address"),
        ("--files=a,s3://b/c", "remote address"),
        ("--perhaps=s3://b/c", "remote address"),
        ("--file=-", "cannot be a stream"),
        ("--file=", "empty name"),
        ("--files=a,", "empty name"),
    ],
)
def test_what_is_refused(values, argument, says):
    with pytest.raises(flags.IllegalFlagValueError, match=says) as raised:
        values(["program", argument])
    assert argument in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_configuration():
    config = base_config()
    config.encoder = "~/bert"
    config.data.train = "a.jsonl,~/b.jsonl"
    path_flags.local_paths(config)
    assert (config.encoder, config.data.train) == (f"{HOME}/bert", f"a.jsonl,{HOME}/b.jsonl")
    config.data.unlabelled = "x.txt,s3://b/y.txt"
    with pytest.raises(UsageError, match=r"^--config.data.unlabelled=s3://b/y.txt: it is a remote address"):
        path_flags.local_paths(config)


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_every_command_defines_its_paths_so(path):
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name.startswith("DEFINE_") and "bool" not in name:
            assert call.args[0].value not in PATHS, f"{path.name}: --{call.args[0].value} takes a path"
