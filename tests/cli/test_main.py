"""The console script: `emr-ner WORD ...`."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from emr_ner_tf import __version__
from emr_ner_tf.cli.main import COMMANDS


def test_every_word_is_a_main():
    own = {
        "data",
        "train",
        "evaluate",
        "annotate",
        "annotate_archive",
        "export",
        "serve",
        "try_serving",
        "pretrain",
        "pretrain_elmo",
        "reproduce",
        "synthesize",
        "quickstart",
    }
    assert own <= set(COMMANDS)
    for command in COMMANDS:
        assert importlib.util.find_spec(f"emr_ner_tf.cli.{command}") is not None


@pytest.mark.parametrize("flags", [(), ("--help",)])
def test_without_a_word_it_lists_the_words(cli, flags):
    done = cli("main", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == list(COMMANDS)


def test_it_runs_the_main_and_hands_its_status_on(cli, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"originalText": "x", "entities": []}\n')
    done = cli("main", "data", "validate", f"--input={path}")
    assert (done.returncode, done.stdout) == (0, "1 good records with 0 mentions\n"), done.stderr
    assert cli("main", "data", "validate", f"--input={path}.absent").returncode == 1
    assert cli("main", "data", "nonsense", f"--input={path}").returncode == 2
    assert "split" in cli("main", "data", "--help").stdout


def test_unknown_word_and_version(cli):
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
