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
    ],
)
def test_refused(cli, tmp_path, command, flags):
    for name in ("x.jsonl", "rejects.jsonl"):
        (tmp_path / name).write_text(RECORD, encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "x.jsonl")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = cli(command, *(flag.replace("OUT", str(tmp_path)) for flag in flags))
    assert done.returncode in (1, 2)
    assert "is an input" in done.stderr or "is read" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    for name in ("x.jsonl", "rejects.jsonl"):
        assert (tmp_path / name).read_text(encoding="utf-8") == RECORD
