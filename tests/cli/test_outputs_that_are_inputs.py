"""No command replaces its own input by something else, and none is read while it is written."""

import json

import pytest

RECORD = json.dumps({"originalText": "左肾结石。", "entities": []}, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("annotate", ("--bundle=OUT/no_bundle", "--input=OUT/x.jsonl", "--output=OUT/x.jsonl")),
        ("annotate", ("--bundle=OUT/no_bundle", "--input=OUT/x.jsonl", "--output=OUT/link")),
        ("evaluate", ("--bundle=OUT/no_bundle", "--input=OUT/x.jsonl", "--output=OUT/x.jsonl")),
        ("evaluate", ("--bundle=OUT/b", "--input=OUT/y", "--train=OUT/x.jsonl", "--output=OUT/x.jsonl")),
        (
            "train",
            (
                "--config=quickstart",
                "--config.data.train=OUT/rejects.jsonl",
                "--model_dir=OUT",
                "--on_error=skip",
            ),
        ),
        ("data", ("convert", "--input=OUT/x.jsonl", "--output=OUT/x.jsonl", "--to=text")),
        ("data", ("validate", "--input=OUT/x.jsonl", "--output=OUT/link")),
        ("data", ("split", "--input=OUT/train.jsonl", "--output=OUT")),
        ("data", ("split", "--input=OUT/heldout.jsonl", "--output=OUT")),
        ("data", ("convert", "--input=OUT/x.jsonl", "--labels=OUT/labels.txt", "--output=OUT/labels.txt")),
        ("data", ("stats", "--input=OUT/x.jsonl", "--tag_names=OUT/labels.txt", "--output=OUT/labels.txt")),
        ("data", ("check", "--input=OUT/x.jsonl", "--against=OUT/train.jsonl", "--output=OUT/train.jsonl")),
        (
            "data",
            ("validate", "--input=OUT/x.jsonl.rejects.jsonl", "--output=OUT/x.jsonl", "--on_error=skip"),
        ),
        ("next", ("--model_dir=OUT/b", "--input=OUT/x.jsonl", "--known=OUT/y", "--output=OUT/x.jsonl")),
    ],
)
def test_refused(cli, tmp_path, command, flags):
    names = (
        "x.jsonl",
        "rejects.jsonl",
        "train.jsonl",
        "heldout.jsonl",
        "labels.txt",
        "x.jsonl.rejects.jsonl",
    )
    for name in names:
        (tmp_path / name).write_text(RECORD, encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "x.jsonl")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = cli(command, *(flag.replace("OUT", str(tmp_path)) for flag in flags))
    assert done.returncode in (1, 2)
    assert "is an input" in done.stderr or "is read" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    for name in names:
        assert (tmp_path / name).read_text(encoding="utf-8") == RECORD
