"""Files of records with canary texts, and commands that must not print them."""

import json
import pathlib
import threading

import pytest
from canary_text import ALL_REMARKS, BAD, BAD_ANNOTATION, BAD_COLUMNS, CANARY, GOOD, assert_silent
from in_process import OWN_PROCESS
from workers import Worker


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    """Files of records, all of them marked but for some of the good ones, and passages."""
    folder = tmp_path_factory.mktemp("marked")
    good = [json.dumps({**GOOD, "id": f"{CANARY}-{i}"}, ensure_ascii=False).encode() for i in range(8)]
    others = (corpus / "train.jsonl").read_bytes().splitlines()[:8]
    contents = {
        "good.jsonl": good + others,
        "raw.jsonl": [*good, *BAD.values()],
        "bad.jsonl": [*good, *others, *BAD.values(), *BAD_ANNOTATION.values()],
        "good.txt": [GOOD["originalText"].encode()] * 8,
        "bad.txt": [CANARY.encode(), CANARY.encode() + b"\xff"],
        "bad.bio": [f"{rows}\n".encode() for rows in BAD_COLUMNS.values()],
        "first.jsonl": [*others, BAD["cut off"]],
    }
    # Passages of their own, since what is trained and what is measured must differ.
    contents["passages.txt"] = [f"{i}。{GOOD['originalText']}{CANARY * i}。".encode() for i in range(12)]
    for name, lines in contents.items():
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    for name, line in (BAD | BAD_ANNOTATION).items():
        (folder / f"{name}.jsonl").write_bytes(good[0] + b"\n" + line + b"\n")
    return folder


@pytest.fixture(scope="module")
def with_all_remarks(cli):
    """Runs a command with all logs of TensorFlow, whose level is fixed for a process: most commands share one."""
    with Worker(pathlib.Path(__file__).with_name("commands.py"), **ALL_REMARKS) as worker:
        alone = threading.Lock()

        def run(command, *arguments):
            if command in OWN_PROCESS:
                return cli(command, *arguments, env=ALL_REMARKS)
            with alone:
                return worker.ask(command, *map(str, arguments))

        yield run


@pytest.fixture(scope="module")
def quiet(with_all_remarks):
    """Runs a command, asserts its status and that it prints no record, and returns its output."""

    def run(command, *arguments, status=0, records_on_stdout=False):
        done = with_all_remarks(command, *arguments)
        call = f"{command} {' '.join(map(str, arguments))}"
        assert done.returncode == status, f"{call}: {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, call
        assert status == 0 or done.stderr.strip(), call
        assert_silent(done.stderr, call)
        if not records_on_stdout:
            assert_silent(done.stdout, call)
        return done

    return run
