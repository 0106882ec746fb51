"""The console script: `emr-ner COMMAND ...`."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from emr_ner_tf import __version__
from emr_ner_tf.cli.main import COMMANDS


def test_every_command_has_a_module():
    steps = ("synthesize", "data", "train", "distill", "evaluate", "export", "serve", "try", "try_serving")
    others = ("annotate", "annotate_archive", "next", "pretrain", "pretrain_elmo", "reproduce", "quickstart")
    assert set(COMMANDS) == {*steps, *others}
    for command in COMMANDS:
        assert importlib.util.find_spec(f"emr_ner_tf.cli.{command}") is not None


@pytest.mark.parametrize("flags", [(), ("--help",)])
def test_without_a_command_it_lists_the_commands(cli, flags):
    done = cli("main", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == list(COMMANDS)


def test_it_runs_the_command_and_returns_its_status(cli, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"originalText": "x", "entities": []}\n')
    done = cli("main", "data", "validate", f"--input={path}")
    assert (done.returncode, done.stdout) == (0, "1 good records with 0 mentions\n"), done.stderr
    assert cli("main", "data", "validate", f"--input={path}.absent").returncode == 1
    assert cli("main", "data", "nonsense", f"--input={path}").returncode == 2
    assert "split" in cli("main", "data", "--help").stdout


def test_unknown_command_and_version(cli):
    done = cli("main", "no_such")
    assert (done.returncode, done.stdout) == (2, "")
    choices = ", ".join(COMMANDS)
    assert (
        done.stderr == f"the command must be one of {choices}, got 'no_such'; emr-ner --help describes them\n"
    )
    assert cli("main", "--version").stdout == f"emr-ner {__version__}\n"


@pytest.mark.parametrize("arguments", [("main", "--help"), ("main", "--version"), ("data", "--help")])
def test_help_that_cannot_be_written(arguments):
    command = [sys.executable, "-m", f"emr_ner_tf.cli.{arguments[0]}", *arguments[1:]]
    root = pathlib.Path(__file__).parents[2]
    # As `--help | head` does once it has enough.
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (1, b"")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=root, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"<stdout>: ")
    assert len(done.stderr.splitlines()) == 1
