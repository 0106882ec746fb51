"""Each command: its help in a process of its own, as users start it, and a wrong call."""

import re

import pytest

from emr_ner_tf.cli.main import COMMANDS

# Fragments that only those understand who know the code.
_FRAGMENT = re.compile(r"(Of|Takes|Most|Whose) ")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_command_is_for(cli_process, command):
    done = cli_process(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    about, _, shown = done.stdout.partition("\nFlags:\n")
    assert re.match(r"[A-Z][a-z]+s,? [^\n]+\.\n", about), "it opens with one sentence"
    assert re.search(rf"^  emr-ner {command} (\w+ )?--\w+=", about, re.MULTILINE), "an example follows"
    assert "python -m" not in about
    # A docstring that is not raw would join the lines of an example.
    assert all(len(line) <= 120 and not re.search(r"\S {3,}--", line) for line in about.splitlines())
    helps = re.findall(r"^      (.+)$", shown, re.MULTILINE)
    assert helps
    for text in helps:
        assert text[0].isupper(), text
        assert text.endswith("."), text
        assert not _FRAGMENT.match(text), text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_call_is_one_line_and_status_2(cli, command):
    done = cli(command, "--no_such_flag=1")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "no_such_flag" in line
    assert line.endswith("--help shows the flags")
