"""The data command on streams: standard input and output, pipes, devices, links, and what cannot be a stream."""

import json
import os

import pytest

RECORD = {"id": 1, "originalText": "左肾结石。", "entities": []}
LINE = json.dumps(RECORD, ensure_ascii=False) + "\n"


def test_from_standard_input_to_standard_output(cli):
    done = cli("data", "convert", "--input=-", "--output=-", input=LINE * 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("肾\tO\n") == 2
    assert done.stderr == "<stdout>: 2 records as bio\n"


def test_a_bad_record_of_standard_input_is_named(cli):
    done = cli("data", "validate", "--input=-", input=LINE + "{\n")
    assert done.returncode == 1
    assert done.stderr.startswith("<stdin>:2: the line is not JSON")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("split", "--output=OUT"), "<stdin>: must be a regular file, since split reads it twice"),
        (("stats", "--labels=infer"), "<stdin>: must be a regular file, since labels=infer reads it"),
        (("split", "--output=-"), "must be a folder"),
        (("stats", "--output=-"), "--json prints"),
        (("validate", "--on_error=skip", "--output=-"), "needs --output to name a file"),
        (("validate", "--on_error=skip", "--output=/dev/null"), "beside it, got '/dev/null'"),
    ],
)
def test_what_cannot_be_a_stream(cli, tmp_path, flags, says):
    command, *others = (flag.replace("OUT", str(tmp_path / "out")) for flag in flags)
    done = cli("data", command, "--input=-", *others, input=LINE)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


def test_a_link_and_a_mode_are_kept(cli, tmp_path):
    target, link, source = tmp_path / "target", tmp_path / "link", tmp_path / "in.jsonl"
    source.write_text(LINE, encoding="utf-8")
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    done = cli("data", "validate", f"--input={source}", f"--output={link}")
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8")) == RECORD
    assert target.stat().st_mode & 0o777 == 0o600


def test_home(cli, tmp_path):
    (tmp_path / "in.jsonl").write_text(LINE, encoding="utf-8")
    done = cli("data", "validate", "--input=~/in.jsonl", "--output=~/out.jsonl", env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").exists()
