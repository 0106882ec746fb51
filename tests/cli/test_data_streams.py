"""The data command on streams: standard input and output, pipes, devices, links, and what cannot be a stream."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
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


def test_a_descriptor_is_written_on(tmp_path):
    taken = tmp_path / "all.jsonl"
    taken.write_text("before\n", encoding="utf-8")
    (tmp_path / "in.jsonl").write_text(LINE, encoding="utf-8")
    command = (
        f"{sys.executable} -m emr_ner_tf.cli.data validate --input={tmp_path}/in.jsonl --output=/dev/stdout"
    )
    subprocess.run(f"{command} >> {taken}", shell=True, check=True, cwd=ROOT)
    lines = taken.read_text(encoding="utf-8").splitlines()
    assert (lines[0], json.loads(lines[1])) == ("before", RECORD)


@pytest.mark.parametrize(
    ("shell", "status", "says"),
    [
        ("--input=- <&-", 1, "<stdin>: standard input is closed"),
        ("--input=IN >&-", 0, ""),
        ("--input=IN > /dev/full", 1, "<stdout>: No space left on device"),
        ("--input=IN --output=\udcff.jsonl", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, shell, status, says):
    (tmp_path / "in.jsonl").write_text(LINE, encoding="utf-8")
    flags = shell.replace("IN", f"{tmp_path}/in.jsonl").replace("--output=", f"--output={tmp_path}/")
    done = subprocess.run(
        os.fsencode(f"{sys.executable} -m emr_ner_tf.cli.data validate {flags}"),
        shell=True,
        check=False,
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, says.encode() in done.stderr) == (status, True), done.stderr
    assert b"Traceback" not in done.stderr


def test_figures_do_not_replace_records(cli, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(LINE, encoding="utf-8")
    done = cli("data", "stats", f"--input={path}", f"--output={path}")
    assert done.returncode == 1
    assert "is an input" in done.stderr
    assert path.read_text(encoding="utf-8") == LINE


def test_a_file_where_a_folder_is_needed(cli, tmp_path):
    (tmp_path / "in.jsonl").write_text(LINE * 2, encoding="utf-8")
    done = cli("data", "split", f"--input={tmp_path}/in.jsonl", f"--output={tmp_path}/in.jsonl")
    assert done.returncode == 1
    assert "a folder is needed there" in done.stderr
