"""Records and entities in the framing of the loaders and clients (export/examples/README.md), and hard records."""

import itertools
import json
import math
import os
import pathlib
import subprocess

import forked_command

# Characters that strings of another language, or a terminal, may handle wrongly.
HARD = (
    "",
    " ",
    "\0",
    "a\0b\0",
    "\x01\x07\x1b[31m\t\x7f\x85",
    "\r\n\r\n",
    "\n7\n",
    "\ufeff",
    "😀",
    "𠮷𠀋🩺",
    "👩🏽‍⚕️👨‍👩‍👧‍👦",
    "e\u0301o\u0308\u0323",
    "\ue5e5\U000f0000\U0010ffff",
    "\u2028\u2029\u3000",
    "مرحبا שלום",
    "“”‘’；。！？",
)
MALFORMED = (
    b"\xff\xfe",
    "患".encode()[:2],
    b"\xc0\xaf",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98",
    b"\x80\x80",
)


def hard_records(texts: list[str], *, malformed: bool) -> list[bytes]:
    """Returns each hard piece by itself and around a text in which there is something to find, and a long text of many.

    Args:
        texts: at least one for each piece.
        malformed: with records that are not UTF-8, too.
    """
    pieces = [piece.encode() for piece in HARD] + list(MALFORMED if malformed else ())
    around = [b"".join((piece, text.encode(), piece)) for piece, text in zip(pieces, texts * 2, strict=False)]
    return [*pieces, *around, "😀\r\n".join(texts).encode()]


def corpus_texts(corpus: pathlib.Path) -> list[str]:
    """Returns the texts of the synthetic corpus' test part."""
    lines = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["originalText"] for line in lines]


def mixed_records(texts: list[str]) -> list[bytes]:
    """Returns one text of 2,100 characters among 31 of some 100.

    Padded to the longest, they are more characters than the development server takes in a request.

    Args:
        texts: together at least 400 characters.
    """
    whole = "".join(texts) * 6
    records = [whole[7 * i : 8 * i + 100].encode() for i in range(31)]
    records.insert(11, whole[:2100].encode())
    return records


def real_records(shared: pathlib.Path, count: int = 100) -> list[bytes]:
    """Returns the first records of the research data."""
    with open(shared / "data/ccks2019/split/held.jsonl", encoding="utf-8") as file:
        return [json.loads(line)["originalText"].encode() for line in itertools.islice(file, count)]


def frame(records: list[bytes]) -> bytes:
    """Returns the standard input of a loader."""
    return b"".join(b"%d\n%s" % (len(record), record) for record in records)


def run(command: list, records: list[bytes], **options) -> list[list[tuple[int, int, str, float]]]:
    """Runs a loader or client over records; returns the entities of each."""
    done = run_raw(command, frame(records), **options)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    lines = iter(done.stdout.decode().split("\n"))
    answers = []
    for count in lines:
        if count:
            rows = [next(lines).split("\t") for _ in range(int(count))]
            answers.append([(int(start), int(end), label, float(score)) for start, end, label, score in rows])
    assert len(answers) == len(records)
    return answers


def run_raw(command: list, stdin: bytes, **options) -> subprocess.CompletedProcess:
    """Runs a loader or client on bytes."""
    return run_streams(command, input=stdin, stdout=subprocess.PIPE, **options)


def run_streams(command: list, **options) -> subprocess.CompletedProcess:
    """Runs a loader or client; a script, FILE.py, in a process that is forked."""
    command = list(map(str, command))
    options |= {"env": os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | options.get("env", {})}
    options |= {"timeout": 300, "stderr": subprocess.PIPE}
    if command[0].endswith(".py"):
        return forked_command.run(command, **options)
    return subprocess.run(command, check=False, **options)


def expected(bundle, records: list[bytes]) -> list[list[tuple[int, int, str, float]]]:
    """Returns the entities that `Bundle.predict` finds, one record at a time."""
    texts = [record.decode(errors="replace") for record in records]
    return [[(e.start, e.end, e.label, e.score) for e in bundle.predict([text])[0]] for text in texts]


def check(answers: list, wanted: list, *, score_within: float = 2e-6) -> None:
    """Asserts that entities and offsets are the same, and that scores are as near as asked."""
    for record, (answer, right) in enumerate(zip(answers, wanted, strict=True)):
        assert [one[:3] for one in answer] == [one[:3] for one in right], f"record {record}"
        for one, other in zip(answer, right, strict=True):
            assert math.isclose(one[3], other[3], abs_tol=score_within), f"record {record}"
