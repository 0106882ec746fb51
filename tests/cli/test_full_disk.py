"""Every command that writes meets a full disk: one line with place, cause and remedy; nothing half written."""

import os
import resource
import subprocess

import pytest
from small_disk import no_file_beyond

REMEDY = "ulimit -f"


def _tells(done, place):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert str(place) in last, done.stderr
    assert REMEDY in last, done.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "written"),
    [
        ("data", ("convert", "--input=IN", "--output=OUT/a.bio"), "a.bio"),
        ("data", ("validate", "--input=IN", "--output=OUT/a.jsonl"), "a.jsonl"),
        ("data", ("split", "--input=IN", "--output=OUT/split"), "split"),
        ("data", ("stats", "--input=IN", "--output=OUT/a.json"), "a.json"),
        ("synthesize", ("--output_dir=OUT",), "train.jsonl"),
    ],
)
def test_commands_on_records(cli, corpus, tmp_path, command, arguments, written):
    out = tmp_path / "out"
    out.mkdir()
    (out / "other").write_text("of another")
    given = [
        argument.replace("IN", f"{corpus}/train.jsonl").replace("OUT", str(out)) for argument in arguments
    ]
    with no_file_beyond(500):
        done = cli(command, *given)
    _tells(done, out / written)
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["other"]


def test_annotate_and_evaluate(cli, corpus, bundles, tmp_path):
    records = f"--input={corpus}/test.jsonl"
    with no_file_beyond(1000):
        done = cli("annotate", f"--bundle={bundles}", records, f"--output={tmp_path}/found.jsonl")
        _tells(done, tmp_path / "found.jsonl")
        done = cli("evaluate", f"--bundle={bundles}", records, f"--output={tmp_path}/scores.json")
        _tells(done, tmp_path / "scores.json")
    assert not (tmp_path / "found.jsonl").exists()
    assert not (tmp_path / "scores.json").exists()
    # What was found before the disk was full is kept, and the job goes on from there.
    done = cli("annotate", f"--bundle={bundles}", records, f"--output={tmp_path}/found.jsonl", "--resume")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "found.jsonl").read_bytes().splitlines()) == 16


def test_train_and_export(cli, tiny_flags, corpus, trained, tmp_path):
    with no_file_beyond(100_000):
        done = cli(
            "train",
            *tiny_flags,
            f"--config.data.train={corpus}/train.jsonl",
            "--config.train.epochs=1",
            f"--model_dir={tmp_path}/model",
        )
        _tells(done, tmp_path / "model")
        done = cli("export", f"--model_dir={trained}", f"--output={tmp_path}/bundles")
        _tells(done, tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists() or os.listdir(tmp_path / "bundles") == []


@pytest.mark.slow
def test_an_archive(cli_process, corpus, bundles, tmp_path):
    done = cli_process(
        "annotate_archive",
        f"--bundle={bundles}",
        f"--input={corpus}/train.jsonl",
        f"--output_dir={tmp_path}/found",
        "--shards=1",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    _tells(done, tmp_path / "found")
    assert not (tmp_path / "found" / "summary.json").exists()


def test_a_small_file_system(cli, corpus, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        done = cli("data", "convert", f"--input={corpus}/train.jsonl", f"--output={disk}/a.bio")
        assert done.returncode == 1
        assert done.stderr == (
            f"{disk}/a.bio: No space left on device; free some space there, or name another place\n"
        )
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
