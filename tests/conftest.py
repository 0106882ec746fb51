"""Shared fixtures: the research data where it is, and a tiny model trained once for all tests that need one."""

import collections
import gc
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

import filelock
import hypothesis
import pytest
from forked_command import finish, start_command
from in_process import OWN_PROCESS, run_in_process
from loaded_model_fixtures import bundle, restored
from privacy import assert_no_record_text

__all__ = ["bundle", "restored"]

ROOT = pathlib.Path(__file__).parents[1]

# The same examples in every run, so that a red run can be repeated; a busy machine is no failure.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

# TensorFlow's graphs are many objects that live long: the collector would look through them again and again.
gc.set_threshold(50_000, 20, 20)

# A model small enough to train in seconds, with every part of the full one.
TINY = (
    "--config=configs/quickstart.py",
    "--config.random_encoder.hidden_size=32",
    "--config.random_encoder.num_hidden_layers=1",
    "--config.random_encoder.num_attention_heads=2",
    "--config.random_encoder.intermediate_size=64",
    "--config.random_encoder.max_position_embeddings=66",
    "--config.model.units=16",
    "--config.model.heads=2",
    "--config.text.window=64",
    "--config.text.overlap=16",
    "--config.text.slack=8",
    "--config.train.batch_size=8",
)


_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "NO_COLOR": "1", "COLUMNS": "120"}


def run_command(
    command: str, *arguments: object, env: dict | None = None, **options
) -> subprocess.CompletedProcess:
    """Runs `python -m emr_ner_tf.cli.WORD` from the project's root, as a user would."""
    argv = [sys.executable, "-m", f"emr_ner_tf.cli.{command}", *map(str, arguments)]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | _ENVIRONMENT | (env or {}),
        **options,
    )
    assert_no_record_text(command, arguments, done.stdout, done.stderr)
    return done


def run_forked(
    command: str,
    *arguments: object,
    env: dict | None = None,
    input: str | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess:
    """Runs a command as `run_command` does, in a process that is forked where that is the same."""
    streams = {"stdin": None if input is None else subprocess.PIPE, "text": True}
    streams |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start_command(command, *arguments, env=_ENVIRONMENT | (env or {}), **streams)
    done = finish(process, input, timeout)
    assert_no_record_text(command, arguments, done.stdout, done.stderr)
    return done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files with the most slow tests first, so that no process works on one alone at the end."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _determinism_ends_with_its_test():
    """Training in this process may switch it on, for the whole process; later tests may run what it forbids."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


@pytest.fixture
def eager():
    """Functions run eagerly: tracing them would take longer than a few steps of a small model do."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def cli():
    """The function that runs a command with flags: in this process where that is the same, else in one of its own."""

    def run(command: str, *arguments: object, **options) -> subprocess.CompletedProcess:
        # TensorFlow reads its settings once in a process, and parts the CPU once.
        own = options.keys() - {"env", "input"} or any(
            name.startswith("TF_") for name in options.get("env") or ()
        )
        own = (
            own or command in OWN_PROCESS or any("--logical_cpus" in str(argument) for argument in arguments)
        )
        return (run_forked if own else run_in_process)(command, *arguments, **options)

    return run


@pytest.fixture(scope="session")
def cli_process():
    """The function that runs a command with flags in a process of its own, from scratch."""
    return run_command


@pytest.fixture(scope="session")
def tiny_flags():
    """Flags of the full model that train in seconds."""
    return TINY


@pytest.fixture(scope="session")
def light_flags():
    """Flags of a model that learns, and is traced and loaded in half the time of the full one."""
    return (
        *TINY,
        "--config.model.encoder=char",
        "--config.model.context=cnn",
        "--config.model.attention=none",
    )


@pytest.fixture(scope="session")
def smallest_flags(light_flags):
    """Flags of the model that is traced fastest, for tests of everything but the model."""
    return (*light_flags, "--config.model.context=none")


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of the research data and the real encoder."""
    folder = os.environ.get("EMR_NER_SHARED", "")
    if not folder:
        pytest.skip("needs the research data and the encoder: EMR_NER_SHARED is not set")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """The function that makes a directory, which none writes to, once for all test processes: (name, make) -> path."""

    def once(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
        base = tmp_path_factory.getbasetemp()
        base = base if worker_id == "master" else base.parent
        path = base / "made_once" / name
        path.parent.mkdir(exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            if not path.exists():
                beside = path.with_name(f"{name}.beside")
                shutil.rmtree(beside, ignore_errors=True)
                make(beside)
                beside.rename(path)
        return path

    return once


@pytest.fixture(scope="session")
def corpus(made_once) -> pathlib.Path:
    """A small synthetic corpus: train.jsonl with 48 records, test.jsonl with 16."""
    from emr_ner_tf.data.synthetic.generator import generate
    from emr_ner_tf.data.writing import write_documents

    def make(folder):
        write_documents(folder / "train.jsonl", generate("train", records=48, seed=7))
        write_documents(folder / "test.jsonl", generate("test", records=16, seed=7))

    return made_once("corpus", make)


@pytest.fixture(scope="session")
def train_tiny(cli, corpus, made_once) -> Callable[[str, Sequence[str]], pathlib.Path]:
    """The function that trains once, for long enough that the model finds entities: (name, flags) -> its directory."""

    def train(name: str, flags: Sequence[str]) -> pathlib.Path:
        def make(model_dir):
            done = cli(
                "train",
                *flags,
                f"--config.data.train={corpus}/train.jsonl",
                "--config.train.epochs=12",
                "--config.optimizer.encoder_rate=5e-3",
                "--config.optimizer.head_rate=1e-2",
                f"--model_dir={model_dir}",
            )
            assert done.returncode == 0, done.stderr
            best = json.loads((model_dir / "metrics.json").read_text(encoding="utf-8"))["best"]
            assert best["f1"] > 0.5, "what is compared below would be nothing with nothing"

        return made_once(name, make)

    return train


@pytest.fixture(scope="session")
def export_tiny(cli, corpus, made_once) -> Callable[[str, pathlib.Path], pathlib.Path]:
    """The function that exports a model once: (name, its directory) -> the directory of its bundle."""

    def export(name: str, model_dir: pathlib.Path) -> pathlib.Path:
        def make(output):
            done = cli(
                "export", f"--model_dir={model_dir}", f"--output={output}", f"--verify_on={corpus}/test.jsonl"
            )
            assert done.returncode == 0, done.stderr

        return made_once(name, make)

    return export


@pytest.fixture(scope="session")
def trained(train_tiny, light_flags) -> pathlib.Path:
    """The directory of a model of `light_flags`.

    Folders whose tests need the full model have it under the same names (tests/helpers/full_model_fixtures.py).
    """
    return train_tiny("trained", light_flags)


@pytest.fixture(scope="session")
def bundles(export_tiny, trained) -> pathlib.Path:
    """The directory of the bundle of `trained`."""
    return export_tiny("bundles", trained)
