"""The commands train, export and evaluate through their flags: wrong calls and bad input."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from emr_ner_tf.config import load_config, save_config
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("flags", "status", "messages"),
    [
        (
            ("--config=configs/default.py", "--model_dir=x", "--config.train.no_such=1"),
            2,
            ("no_such", "epochs"),
        ),
        (
            ("--config=configs/default.py", "--model_dir=x", "--config.train.epochs=many"),
            2,
            ("epochs", "many"),
        ),
        (
            ("--config=configs/paper.py:no_such_row", "--model_dir=x"),
            2,
            ("bert_bigru_att_crf", "no_such_row"),
        ),
        (("--model_dir=x",), 2, ("--config",)),
        (("--config=pretrain", "--model_dir=x"), 1, ("--config: the recipe lacks key", "a recipe of this")),
        (("--config=default:bert_crf", "--model_dir=x"), 2, ("default.py: a recipe must", "RECIPE:ROW")),
        (
            ("--config=configs/default.py", "--model_dir=x", "extra"),
            2,
            ("unexpected argument of 5 characters",),
        ),
    ],
)
def test_wrong_calls(cli, flags, status, messages):
    done = cli("train", *flags)
    assert done.returncode == status, done.stderr
    for message in messages:
        assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", [("--config={}",), ("--config", "{}")])
def test_a_recipe_is_executed_once(cli, tmp_path, given):
    own, seen = tmp_path / "own.py", tmp_path / "seen"
    own.write_text(
        f"with open({str(seen)!r}, 'a') as file:\n    file.write('executed ')\n"
        "from emr_ner_tf.config import base_config\n\n\ndef get_config():\n    return base_config().unlock()\n"
    )
    done = cli(
        "train", *(flag.format(own) for flag in given), f"--model_dir={tmp_path}/x", "--config.new.key=1"
    )
    assert done.returncode == 2, done.stderr
    # Its keys are locked, whatever the recipe does.
    assert "the configuration key must be one of char, data, " in done.stderr
    assert seen.read_text() == "executed "


@pytest.mark.parametrize(
    ("command", "recipe", "flags"),
    [
        ("distill", "pretrain", ("--teacher=x", "--unlabelled=x")),
        ("pretrain", "default", ("--output=y",)),
        ("pretrain_elmo", "pretrain", ("--output=y",)),
    ],
)
def test_the_recipe_of_another_command(cli, command, recipe, flags):
    done = cli(command, f"--config={recipe}", "--model_dir=x", *flags)
    assert done.returncode == 1, done.stderr
    assert "--config: the recipe lacks key" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("key", ["distillation.teacher", "data.unlabelled"])
def test_distill_with_two_answers_to_one_question(cli, key):
    flags = ("--teacher=x", "--unlabelled=x", "--model_dir=x", f"--config.{key}=other")
    done = cli("distill", "--config=default", *flags)
    assert done.returncode == 2, done.stderr
    assert (
        f"--{key.split('.')[1]}: the configuration names another, 'other'; leave one of them out"
        in done.stderr
    )


def test_bad_records_and_missing_encoder(cli, tiny_flags, tmp_path):
    records = tmp_path / "bad.jsonl"
    good = {
        "originalText": "患者入院。",
        "entities": [{"label_type": "手术", "start_pos": 2, "end_pos": 4, "overlap": 0}],
    }
    bad = {
        "originalText": "患者入院。",
        "entities": [{"label_type": "手术", "start_pos": 3, "end_pos": 9, "overlap": 0}],
    }
    lines = [json.dumps(record, ensure_ascii=False) for record in (good, bad)]
    records.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = (f"--config.data.train={records}", f"--model_dir={tmp_path}/model")
    done = cli("train", *tiny_flags, *flags)
    assert done.returncode == 1
    assert f"{records}:2: entity 1" in done.stderr
    assert "患者" not in done.stderr
    done = cli(
        "train", "--config=configs/default.py", f"--config.encoder={tmp_path}/none", "--on_error=skip", *flags
    )
    assert done.returncode == 1
    assert f"{tmp_path}/none" in done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "model/rejects.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_a_run_that_finds_nothing_says_so(cli, smallest_flags, corpus, tmp_path):
    done = cli(
        "train",
        *smallest_flags,
        f"--config.data.train={corpus}/test.jsonl",
        "--config.train.epochs=2",
        "--config.optimizer.encoder_rate=0.0",
        "--config.optimizer.head_rate=0.0",
        f"--model_dir={tmp_path}/model",
    )
    assert done.returncode == 0, done.stderr
    assert "validation F1 is 0" in done.stdout
    assert "next:" not in done.stdout
    best = json.loads((tmp_path / "model/metrics.json").read_text(encoding="utf-8"))["best"]
    assert (best["epoch"], best["f1"]) == (2, 0)


# The command, up to where the records have been read: the workers of a cluster would wait for each other.
_READS_ONLY = """
from emr_ner_tf.cli import train
from emr_ner_tf.cli.runner import run
from emr_ner_tf.training import trainer
from emr_ner_tf.training.dataset import training_records

def read(config, model_dir, strategy_name, rejects, teacher):
    training_records(config.data, config.train.seed, rejects)
    return {"epochs": 0, "best": {"epoch": 0}, "parameters": 0, "training_seconds": 0}

trainer.train = read
run(train.main)
"""


@pytest.mark.parametrize(("index", "rejects"), [(0, 1), (1, 0)])
def test_one_worker_writes_the_rejects(corpus, tmp_path, index, rejects):
    records = tmp_path / "records.jsonl"
    records.write_bytes((corpus / "test.jsonl").read_bytes() + b"{}\n")
    task = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
    done = subprocess.run(
        [
            *(sys.executable, "-c", _READS_ONLY, "--config=configs/default.py", "--on_error=skip"),
            *(
                "--strategy=multi_worker_mirrored",
                f"--config.data.train={records}",
                f"--model_dir={tmp_path}/m",
            ),
        ],
        cwd=ROOT,
        env=os.environ | {"TF_CONFIG": json.dumps(task)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = tmp_path / "m/rejects.jsonl"
    assert (len(written.read_text(encoding="utf-8").splitlines()) if written.exists() else 0) == rejects
    assert ("records rejected" in done.stdout) == bool(rejects)


def test_evaluate_and_its_errors(cli, bundles, trained, corpus, tmp_path):
    scores = tmp_path / "scores.json"
    flags = (f"--input={corpus}/test.jsonl", f"--train={corpus}/train.jsonl")
    done = cli("evaluate", f"--bundle={bundles}", *flags, "--lookup_baseline", f"--output={scores}")
    assert done.returncode == 0, done.stderr
    by_bundle = json.loads(scores.read_text(encoding="utf-8"))
    assert by_bundle["records"] == 16
    assert by_bundle["lookup_baseline"]["exact"]["micro"]["f1"] > 0
    assert by_bundle["unseen"]["support"] > 0
    # The same by the model directory, whose configuration names the training file and, unlike --format, BIO columns.
    # Either file has a bad record; the rejects are those of --input.
    model_dir, columns, records = tmp_path / "model", tmp_path / "train.bio", tmp_path / "test.jsonl"
    shutil.copytree(trained, model_dir)
    write_documents(columns, read_documents(corpus / "train.jsonl"), "bio")
    columns.write_text(columns.read_text(encoding="utf-8") + "\n右 no_tag\n", encoding="utf-8")
    config = load_config(model_dir / "config.json")
    config.data.train, config.data.format = str(columns), "bio"
    save_config(config, model_dir / "config.json")
    records.write_bytes((corpus / "test.jsonl").read_bytes() + b"{}\n")
    done = cli(
        "evaluate", f"--model_dir={model_dir}", f"--input={records}", "--on_error=skip", f"--output={scores}"
    )
    assert done.returncode == 0, done.stderr
    by_model = json.loads(scores.read_text(encoding="utf-8"))
    assert by_model["exact"] == by_bundle["exact"]
    assert by_model["unseen"] == by_bundle["unseen"]
    rejects = (tmp_path / "scores.json.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["file"] for line in rejects] == [str(records)]
    for wrong, message in ((flags, "exactly one of"), ((*flags, "--format=xml"), "ccks2019|bio")):
        done = cli("evaluate", *wrong)
        assert done.returncode == 2
        assert message in done.stderr


def test_export_of_nothing(cli, tmp_path):
    done = cli("export", f"--model_dir={tmp_path}/none", f"--output={tmp_path}/bundles")
    assert done.returncode == 1
    assert "metrics.json" in done.stderr
    assert not (tmp_path / "bundles").exists()
