"""The evaluate command: what there is nothing to score in, what is written where, what an error tells to do."""

import json
import subprocess
import sys

import pytest

TEXT = "患者因右肺上叶腺癌入院。"


def _file(path, *records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("records", "has"),
    [
        ((), "it contains no good record"),
        ([{"originalText": TEXT, "entities": []}] * 2, "none of its 2 good records has a mention"),
    ],
)
def test_nothing_to_score(cli, bundles, tmp_path, records, has):
    path, output = _file(tmp_path / "in.jsonl", *records), tmp_path / "scores.json"
    done = cli("evaluate", f"--bundle={bundles}", f"--input={path}", f"--output={output}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--input={path}: must contain annotated records to score, but {has}" in done.stderr
    assert not output.exists()


def test_nothing_left_to_score(cli, bundles, tmp_path):
    path, output = _file(tmp_path / "in.jsonl", {}), tmp_path / "scores.json"
    done = cli("evaluate", f"--bundle={bundles}", f"--input={path}", f"--output={output}", "--on_error=skip")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"1 records rejected and not scored, see {output}.rejects.jsonl" in done.stderr
    assert "it contains no good record" in done.stderr
    assert not output.exists()


def test_training_records_without_mentions(cli, bundles, corpus, tmp_path):
    train = _file(tmp_path / "train.jsonl", {"originalText": TEXT, "entities": []})
    done = cli("evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--train={train}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--train={train}: must contain annotated records, but none of 1 good records has" in done.stderr


def test_a_label_that_the_model_does_not_know(cli, bundles, tmp_path):
    mention = {"label_type": "症状", "start_pos": 0, "end_pos": 2}
    path = _file(tmp_path / "in.jsonl", {"originalText": TEXT, "entities": [mention]})
    done = cli("evaluate", f"--bundle={bundles}", f"--input={path}")
    assert done.returncode == 1
    assert f"{path}:1: entity 1: `label_type`='症状' is not one of the labels" in done.stderr
    assert "the model has no such label" in done.stderr
    # A flag that this command does not have is no remedy.
    assert "--labels" not in done.stderr


def test_records_in_another_format_have_the_same_scores(cli, bundles, corpus, tmp_path):
    path = tmp_path / "in.json"
    lines = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    path.write_text(f"[{', '.join(lines)}]", encoding="utf-16")
    scores = []
    for number, flags in enumerate(
        ([f"--input={corpus}/test.jsonl"], [f"--input={path}", "--encoding=utf-16"])
    ):
        output = tmp_path / f"{number}.json"
        done = cli("evaluate", f"--bundle={bundles}", *flags, f"--output={output}")
        assert done.returncode == 0, done.stderr
        scores.append(json.loads(output.read_text(encoding="utf-8")))
    assert scores[0] == scores[1]


def test_scores_are_written_before_they_are_shown(bundles, corpus, tmp_path):
    output = tmp_path / "scores.json"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "emr_ner_tf.cli.evaluate"),
                *(f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--output={output}"),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(output.read_text(encoding="utf-8"))["records"] == 16


def test_scores_on_standard_output_are_json_alone(cli, bundles, corpus):
    done = cli("evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", "--output=-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 16
    assert "16 records" in done.stderr
