"""The command reproduce through its flags: two rows, a second call that runs nothing, failures, wrong calls."""

import json
import re
import subprocess
import sys

import pytest


@pytest.fixture
def call(cli, tiny_flags, corpus, tmp_path):
    """Calls the command on the synthetic corpus with the tiny model."""
    overrides = [
        flag.replace("--config.", "--override=") for flag in tiny_flags if flag.startswith("--config.")
    ]

    def run(*flags):
        places = [f"--{name}={tmp_path}/{name}" for name in ("runs_dir", "work_dir")]
        data = [f"--train={corpus}/train.jsonl", f"--test={corpus}/test.jsonl", "--encoder=random"]
        output = f"--output={tmp_path}/docs/paper.md"
        return cli("reproduce", "--seeds=1", "--budget=1", *data, *overrides, *places, output, *flags)

    return run


@pytest.mark.slow
def test_two_rows(call, corpus, tmp_path):
    rows = ("--tables=III,VIII", "--rows=cnn_crf,bert_idcnn_crf", f"--all_records={corpus}/train.jsonl")
    listed = call(*rows, "--dry_run")
    assert listed.returncode == 0, listed.stderr
    assert "2 left; time: unknown" in listed.stdout
    assert not (tmp_path / "docs").exists()

    # Another file is in the place of the first run's directory; the second run is carried out nevertheless.
    name = re.search(r"cnn_crf-none-\S+", listed.stdout)[0]
    in_the_way = tmp_path / "work_dir" / name / "config.json"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("{", encoding="utf-8")
    done = call(*rows)
    assert done.returncode == 1, done.stderr
    assert f"1 of 2 runs failed:\n{name}: training failed with status 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert _rows_with_runs(tmp_path) == {"bert_idcnn_crf"}
    in_the_way.unlink()
    done = call(*rows, "--disturbed")
    assert done.returncode == 0, done.stderr
    assert f"run 1 of 1: {name}; time left: about 0:00:" in done.stderr
    assert _rows_with_runs(tmp_path) == {"cnn_crf", "bert_idcnn_crf"}

    paths = sorted((tmp_path / "runs_dir").iterdir())
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert [path.stem for path in paths] == [result["name"] for result in results]
    for path, result in zip(paths, results, strict=True):
        text = path.read_text(encoding="utf-8")
        # Small, and it holds neither a record's text or id nor a place on this machine.
        assert len(text) < 20_000
        for secret in (str(tmp_path), str(corpus), "synthetic-", "患者"):
            assert secret not in text
        micro = result["scores"]["exact"]["micro"]
        sums = [sum(column) for column in zip(*result["by_record"], strict=True)]
        assert sums == [micro[count] for count in ("tp", "fp", "fn")]
        assert len(result["by_record"]) == 16
        assert result["settings"]["train.epochs"] == result["epochs"] == 1
        assert 0 < result["lookup_f1"] < 1
        assert result["machine"]["cpu"]
        model_dir = tmp_path / "work_dir" / result["name"]
        assert (model_dir / "checkpoints/best").is_dir()
        assert not (model_dir / "checkpoints/last").exists()
    assert results[0]["updates"] == results[1]["updates"] > 0
    assert {result["row"]: result["disturbed"] for result in results} == {
        "cnn_crf": True,
        "bert_idcnn_crf": False,
    }

    page = (tmp_path / "docs/paper.md").read_text(encoding="utf-8")
    assert page.startswith("# The paper's tables on a budget of 1 epoch a row")
    assert "--train=train.jsonl --test=test.jsonl --encoder=random" in page
    assert str(corpus) not in page
    written = json.loads((tmp_path / "docs/paper.json").read_text(encoding="utf-8"))
    assert written["table_III"][0]["measured"] > 0
    assert (tmp_path / "docs/figures/paper_f1.png").exists()

    before = [path.stat().st_mtime_ns for path in paths]
    again = call(*rows)
    assert again.returncode == 0, again.stderr
    assert "run 1 of" not in again.stderr
    assert before == [path.stat().st_mtime_ns for path in paths]
    assert json.loads((tmp_path / "docs/paper.json").read_text(encoding="utf-8")) == written

    # In another precision these are other runs, unless any precision counts.
    other = (*rows, "--override=train.precision=mixed_bfloat16")
    assert "2 left; time: about" in call(*other, "--dry_run").stdout
    assert "0 left; time: about 0:00:00" in call(*other, "--dry_run", "--any_precision").stdout
    again = call(*other, "--any_precision")
    assert again.returncode == 0, again.stderr
    assert before == [path.stat().st_mtime_ns for path in sorted((tmp_path / "runs_dir").iterdir())]
    page = (tmp_path / "docs/paper.md").read_text(encoding="utf-8")
    assert "--override=train.precision=mixed_bfloat16 --any_precision --output=paper.md" in page
    assert _rows_with_runs(tmp_path) == {"cnn_crf", "bert_idcnn_crf"}


def _rows_with_runs(tmp_path):
    report = json.loads((tmp_path / "docs/paper.json").read_text(encoding="utf-8"))
    return {line["row"] for line in report["tables"]["VIII"] if line["ours"]}


@pytest.mark.parametrize(
    ("flags", "status", "messages"),
    [
        (("--tables=IV",), 2, ("--tables", "VIII", "'IV'")),
        (("--rows=no_such",), 2, ("--rows", "bert_bigru_att_crf", "'no_such'")),
        (("--rows=bigru_crf,cnn_crf",), 2, ("--tables=VII has lattice_lstm", "'cnn_crf'")),
        (("--tables=III", "--rows=cnn_crf"), 2, ("--tables=III has none", "'cnn_crf'")),
        (("--budget=0",), 2, ("--budget", "full", "'0'")),
        (("--budget=2.5",), 2, ("--budget", "'2.5'")),
        (("--seeds=0",), 2, ("--seeds",)),
        (("--override=model.units=1",), 2, ("model.units", "twice")),
        (("--override=model.width=1",), 2, ("model.units", "'model.width'")),
        (("--encoder=./nowhere",), 1, ("./nowhere", "no such directory")),
        (("--test=nowhere.jsonl",), 1, ("nowhere.jsonl",)),
        (("--unlabelled=nowhere.txt",), 1, ("nowhere.txt",)),
        (("--output=paper.txt",), 2, ("--output", ".md")),
        (("--disturbed", "--dry_run"), 2, ("--disturbed", "--dry_run", "leave one of them out")),
    ],
)
def test_wrong_calls(call, tmp_path, flags, status, messages):
    done = call("--tables=VII", *flags)
    assert done.returncode == status, done.stderr
    for message in messages:
        assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flag", "status", "message"),
    [
        ("--runs_dir={}/file", 1, "--runs_dir must be a directory, got {}/file, and {}/file is a file"),
        ("--output={}/file/paper.md", 1, "the folder of --output must be a directory, got {}/file"),
        ("--output={}/runs_dir/paper.md", 2, "--output must be outside of --runs_dir"),
    ],
)
def test_places_for_results_are_checked_before_any_training(call, tmp_path, flag, status, message):
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = call("--tables=VII", flag.format(tmp_path))
    assert done.returncode == status, done.stderr
    assert message.replace("{}", str(tmp_path)) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_report_is_written_before_it_is_shown(corpus, tmp_path):
    arguments = [f"--{name}={tmp_path}/{name}" for name in ("runs_dir", "work_dir")]
    arguments += [
        f"--train={corpus}/train.jsonl",
        f"--test={corpus}/test.jsonl",
        "--tables=VII",
        "--report_only",
    ]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "emr_ner_tf.cli.reproduce"),
                *arguments,
                f"--output={tmp_path}/paper.md",
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "paper.json").read_text(encoding="utf-8"))["tables"]["VII"]


def test_a_bad_test_record_shows_before_any_training(call, corpus, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes((corpus / "test.jsonl").read_bytes() + b"{}\n")
    done = call(f"--test={bad}")
    assert done.returncode == 1
    assert f"{bad}:17: " in done.stderr
    assert not (tmp_path / "work_dir").exists()
