"""The command synthesize, run with its flags."""

import json

import pytest


def test_writes_both_splits_and_the_same_bytes_again(cli, tmp_path):
    flags = ("--records=9", "--test_records=4", "--seed=3")
    done = cli("synthesize", f"--output_dir={tmp_path}/one", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path}/one/train.jsonl: 9 records",
        f"{tmp_path}/one/test.jsonl: 4 records",
    ]
    assert cli("synthesize", f"--output_dir={tmp_path}/two", *flags).returncode == 0
    for name, count in (("train.jsonl", 9), ("test.jsonl", 4)):
        written = (tmp_path / "one" / name).read_bytes()
        assert written == (tmp_path / "two" / name).read_bytes()
        records = [json.loads(line) for line in written.decode("utf-8").splitlines()]
        assert len(records) == count
        for record in records:
            assert record["id"].startswith(f"synthetic-{name.split('.')[0]}-3-")
            assert record["entities"]
            for entity in record["entities"]:
                assert 0 <= entity["start_pos"] < entity["end_pos"] <= len(record["originalText"])


def test_wrong_calls(cli, tmp_path):
    for flags in ((), (f"--output_dir={tmp_path}", "--records=-1")):
        done = cli("synthesize", *flags)
        assert done.returncode == 2
        assert done.stderr.strip()
        assert not list(tmp_path.iterdir())


def test_both_files_or_none(cli, tmp_path):
    before = '{"id": "synthetic-train-0"}\n'
    (tmp_path / "train.jsonl").write_text(before)
    (tmp_path / "test.jsonl").mkdir()
    done = cli("synthesize", f"--output_dir={tmp_path}", "--records=1", "--test_records=1")
    assert done.returncode == 1
    assert "test.jsonl" in done.stderr
    assert (tmp_path / "train.jsonl").read_text() == before


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_other_records_are_not_replaced(cli, tmp_path, name):
    flags = (f"--output_dir={tmp_path}", "--records=1", "--test_records=0")
    (tmp_path / name).write_text('{"originalText": "own"}\n')
    done = cli("synthesize", *flags)
    assert done.returncode == 1
    assert f"{tmp_path}/{name}: must not exist" in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        (name, '{"originalText": "own"}\n')
    ]
    (tmp_path / name).unlink()
    # Its own files, also one without a record.
    for _ in range(2):
        assert cli("synthesize", *flags).returncode == 0
