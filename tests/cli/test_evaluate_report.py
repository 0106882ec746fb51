"""`evaluate --report`, `--redact` and `--compare`."""

import json
import re

import pytest


def test_report_and_comparison_with_a_file(cli, bundles, corpus, tmp_path):
    page, scores = tmp_path / "report.html", tmp_path / "scores.json"
    gold = f"{corpus}/test.jsonl"
    done = cli(
        *("evaluate", f"--bundle={bundles}", f"--input={gold}", f"--train={corpus}/train.jsonl"),
        *(f"--report={page}", f"--compare={gold}", f"--output={scores}", "--by_record"),
    )
    assert done.returncode == 0, done.stderr
    assert f"report: {page} (text of records; --redact leaves it out)" in done.stdout
    assert "compared with test.jsonl" in done.stdout
    found = json.loads(scores.read_text(encoding="utf-8"))
    ours, other = (part["exact"]["micro"] for part in (found, found["comparison"]))
    assert other["f1"] == 1
    assert found["comparison"]["difference"]["difference"] == pytest.approx(ours["f1"] - 1)
    both = sum(row["both"] for row in found["comparison"]["found"].values())
    assert both == ours["tp"] == sum(tp for tp, _, _ in found["by_record"])
    html = page.read_text(encoding="utf-8")
    assert f"F1 <strong>{100 * ours['f1']:.2f}</strong>" in html
    assert "Seen mentions occur in train.jsonl" in html
    shown = re.sub("<[^>]*>", "", html)
    lines = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert any(json.loads(line)["originalText"] in shown for line in lines)


def test_redacted_report_and_comparison_with_a_model(cli, bundles, trained, corpus, tmp_path):
    page = tmp_path / "report.html"
    done = cli(
        *("evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--report={page}", "--redact"),
        f"--compare={trained}",
    )
    assert done.returncode == 0, done.stderr
    assert f"report: {page} (no text of records)" in done.stdout
    html = page.read_text(encoding="utf-8")
    assert "p = 1.0000" in html
    for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert record["id"] not in html
        for mention in record["entities"]:
            form = record["originalText"][mention["start_pos"] : mention["end_pos"]]
            assert len(form) < 4 or form not in html


def test_predictions_of_other_records(cli, bundles, corpus, tmp_path):
    other = tmp_path / "other.jsonl"
    lines = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    call = ("evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--compare={other}")
    other.write_text("\n".join(lines[1:]), encoding="utf-8")
    done = cli(*call)
    assert done.returncode == 1
    assert f"--compare={other}: must have the records of --input, got 15 records instead of 16" in done.stderr
    other.write_text("\n".join([lines[1], lines[0], *lines[2:]]), encoding="utf-8")
    done = cli(*call)
    assert done.returncode == 1
    assert f"--compare={other}: record 1: the text must be that of record 1 of --input" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--redact"], "--redact requires --report"),
        (
            ["--report=same", "--output=same"],
            "--output and --report must be different files, got same for both",
        ),
    ],
)
def test_wrong_calls(cli, bundles, corpus, flags, said):
    done = cli("evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", *flags)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_report_does_not_replace_an_input(cli, bundles, corpus):
    path = f"{corpus}/test.jsonl"
    done = cli("evaluate", f"--bundle={bundles}", f"--input={path}", f"--report={path}")
    assert done.returncode == 1
    assert f"{path}: is an input, and the output would replace it" in done.stderr
