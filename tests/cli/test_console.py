"""The command that comes next, as it is typed in the directory at hand."""

import pathlib
import sys

from emr_ner_tf.cli.console import command


def test_python_of_an_environment_below(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(pathlib.Path.cwd() / ".venv/bin/python"))
    shown = command("annotate", "--bundle=my bundles", "--text=a")
    assert shown == ".venv/bin/python -m emr_ner_tf.cli.annotate '--bundle=my bundles' --text=a"


def test_python_of_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/opt/environment/bin/python")
    assert command("data", "stats") == "python -m emr_ner_tf.cli.data stats"
