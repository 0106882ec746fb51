"""The command that comes next, as it is typed in the directory at hand."""

import io
import pathlib
import re
import sys

import pytest
from rich.table import Table

from emr_ner_tf.cli.colours import coloured
from emr_ner_tf.cli.console import announce, command_line, print_table, results
from emr_ner_tf.data.document import Document, Entity

# Read as markup, the first is an error, the second nothing, the third red and the fourth a picture.
NAMES = ("症状[/体征]", "药物[name]", "[red]x[/red]", ":smile:", "\\[a]")
PACKAGE = pathlib.Path(__file__).parents[2] / "emr_ner_tf"


def test_python_of_an_environment_below(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(pathlib.Path.cwd() / ".venv/bin/python"))
    shown = command_line("annotate", "--bundle=my bundles", "--text=a")
    assert shown == ".venv/bin/python -m emr_ner_tf.cli.annotate '--bundle=my bundles' --text=a"


def test_the_console_script_of_the_running_python(monkeypatch, tmp_path):
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "emr-ner").write_text("#!/bin/sh\n")
        (tmp_path / name / "emr-ner").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "ours/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "ours"))
    assert command_line("export", "--model_dir=my model") == "emr-ner export '--model_dir=my model'"
    # That of another Python is not what the user has just run.
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert command_line("export") == "python -m emr_ner_tf.cli.export"


def test_python_of_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/opt/environment/bin/python")
    assert command_line("data", "stats") == "python -m emr_ner_tf.cli.data stats"


@pytest.mark.parametrize("name", NAMES)
def test_strings_are_printed_as_they_are(name):
    screen = io.StringIO()
    console = results(screen)
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    console.print(name)
    print_table(console, name, table)
    announce(console, name, "annotate")
    assert screen.getvalue().count(name) == 7


def test_a_title_is_not_broken_to_the_width_of_its_table():
    screen = io.StringIO()
    title = "/a folder/" + "long/" * 60
    print_table(results(screen), title, Table("a"))
    assert title in screen.getvalue()


def test_labels_of_a_coloured_record_are_printed_as_they_are():
    screen = io.StringIO()
    text = " ".join(NAMES)
    entities = [Entity(i, i + 1, name) for i, name in enumerate(NAMES)]
    coloured(Document("1", text, tuple(entities)), NAMES, results(screen))
    for name in NAMES:
        assert screen.getvalue().count(name) == 2


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_consoles_are_made_where_markup_is_off(path):
    # Results and tables, and the bar, which also runs below the commands.
    if path not in (PACKAGE / "cli/console.py", PACKAGE / "progress_bar.py"):
        assert not re.search(r"\bConsole\(|import rich\b", path.read_text(encoding="utf-8"))
