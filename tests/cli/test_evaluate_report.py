"""`evaluate --report`, `--redact` and `--compare`."""

import json
import os
import re

import pytest

from emr_ner_tf.cli.evaluate_compare import is_model, read_predictions
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError

TEXTS = ("患者𠮷头痛。", "予头孢静滴。", "患者𠮷头痛。")
GOLD = [Document(f"in:{n}", text) for n, text in enumerate(TEXTS)]
MENTIONS = ((Entity(3, 5, "症状"),), (Entity(1, 3, "药物"),), ())


def test_report_and_comparison_with_a_file(cli, bundles, corpus, tmp_path):
    page, scores = tmp_path / "report.html", tmp_path / "scores.json"
    gold, other = corpus / "test.jsonl", tmp_path / "test.jsonl"
    other.write_text(gold.read_text(encoding="utf-8"), encoding="gb18030")
    done = cli(
        *("evaluate", f"--bundle={bundles}", f"--input={gold}", f"--train={corpus}/train.jsonl"),
        *(f"--compare={other}", "--compare_options=encoding=gb18030"),
        *(f"--report={page}", f"--output={scores}", "--by_record"),
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


def test_names_of_files_that_are_not_utf8(cli, bundles, corpus, tmp_path):
    # As they are when an archive from another system is unpacked.
    path = tmp_path / os.fsdecode("病历.jsonl".encode("gb18030"))
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    # A record without an id is named by its file.
    path.write_text("".join(f"{json.dumps(row | {'id': None})}\n" for row in rows), encoding="utf-8")
    page, scores = tmp_path / "report.html", tmp_path / "scores.json"
    done = cli(
        *("evaluate", f"--bundle={bundles}", f"--input={path}", f"--compare={path}"),
        *(f"--report={page}", f"--output={scores}"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(scores.read_text(encoding="utf-8"))["comparison"]["name"].endswith(".jsonl")
    assert "\\udcb2\\udca1" in page.read_text(encoding="utf-8")


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


def test_predictions_still_have_the_records_that_are_rejected(cli, bundles, corpus, tmp_path):
    gold, scores = tmp_path / "gold.jsonl", tmp_path / "scores.json"
    lines = (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()
    bad = json.loads(lines[0])
    bad["entities"][0]["end_pos"] = 10_000
    gold.write_text("\n".join([json.dumps(bad), *lines[1:]]), encoding="utf-8")
    done = cli(
        *("evaluate", f"--bundle={bundles}", f"--input={gold}", "--on_error=skip", f"--output={scores}"),
        f"--compare={corpus}/test.jsonl",
    )
    assert done.returncode == 0, done.stderr
    (reject,) = (tmp_path / "scores.json.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(reject)["line"] == 1
    assert json.loads(scores.read_text(encoding="utf-8"))["comparison"]["exact"]["micro"]["f1"] == 1


def _read(path, format="auto", *, gold=GOLD, rejected=0, **options):
    return read_predictions(
        str(path),
        gold,
        format=format,
        overlaps="error",
        options=FormatOptions(**options),
        rejected=rejected,
    )


@pytest.mark.parametrize("format", ["ccks2019", "brat"])
def test_predictions_of_rejected_records_are_left_out(tmp_path, format):
    path, gold = tmp_path / "found", [GOLD[0], GOLD[2]]
    found = [
        Document(str(n), text, mentions, extra={"id": str(n)})
        for n, (text, mentions) in enumerate(zip(TEXTS, MENTIONS, strict=True))
    ]
    write_documents(path, found, format)
    predicted = _read(path, format, gold=gold, rejected=1)
    assert [(document.id, document.entities) for document in predicted] == [
        ("in:0", MENTIONS[0]),
        ("in:2", MENTIONS[2]),
    ]
    for others, rejected, message in (
        (gold, 0, "got 3 records instead of 2$"),
        (gold[:1], 1, "got 3 records instead of 1, or up to 2 with those that were rejected$"),
        ([GOLD[0], Document("in:2", "另一份。")], 1, "got none with the text of record 2, of 4 characters$"),
    ):
        with pytest.raises(UserError, match=message):
            _read(path, format, gold=others, rejected=rejected)


@pytest.mark.parametrize("format", ["brat", "uima_xmi", "uima_json"])
def test_a_folder_of_predictions(tmp_path, format):
    if format != "brat":
        pytest.importorskip("cassis", reason="needs the extra uima")
    # In the order of the names, the records are others than in --input; of equal texts, the first comes first.
    found = [
        Document(name, text, mentions, extra={"id": name})
        for name, text, mentions in zip("bac", TEXTS, MENTIONS, strict=True)
    ]
    write_documents(tmp_path / "found", found, format)
    assert not is_model(str(tmp_path / "found"), "auto", DEFAULT_OPTIONS)
    predicted = _read(tmp_path / "found")
    assert [document.id for document in predicted] == ["in:0", "in:1", "in:2"]
    assert [document.entities for document in predicted] == list(MENTIONS)


def test_a_folder_of_predictions_of_other_records(tmp_path):
    found = [Document(str(n), text, extra={"id": str(n)}) for n, text in enumerate((*TEXTS[:2], "另一份。"))]
    write_documents(tmp_path / "found", found, "brat")
    with pytest.raises(UserError, match=r"got none with the text of record 3, of 6 characters") as caught:
        _read(tmp_path / "found")
    assert str(caught.value).startswith(f"--compare={tmp_path}/found: must have the records of --input")


def test_a_directory_of_a_model_is_no_folder_of_predictions(tmp_path):
    for name in (
        "1/saved_model.pb",
        "1/assets/config.json",
        "config.json",
        "metrics.json",
        "best/weights.index",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert is_model(str(tmp_path), "auto", DEFAULT_OPTIONS)
    assert not is_model(str(tmp_path / "config.json"), "auto", DEFAULT_OPTIONS)


def test_predictions_have_an_encoding_and_offsets_of_their_own(tmp_path):
    path = tmp_path / "found.json"
    # Offsets are UTF-16 units, and no mention has its text, by which a reader would notice.
    rows = [
        {"text": TEXTS[0], "entities": [{"start_offset": 4, "end_offset": 6, "label": "症状"}]},
        {"text": TEXTS[1], "entities": [{"start_offset": 1, "end_offset": 3, "label": "药物"}]},
        {"text": TEXTS[2], "entities": []},
    ]
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="gb18030")
    predicted = _read(path, "doccano", encoding="gb18030", offset_unit="utf16")
    assert [document.entities for document in predicted] == list(MENTIONS)
    with pytest.raises(RecordError) as caught:
        _read(path)
    assert "--compare_options=encoding=gb18030" in str(caught.value)
    assert " --encoding" not in str(caught.value)


def test_remedies_about_predictions_name_their_flags(tmp_path):
    path = tmp_path / "found.jsonl"
    # Nothing tells whether the offsets count UTF-16 units.
    rows = [
        {"text": TEXTS[0], "label": [[3, 5, "症状"]]},
        *({"text": text, "label": []} for text in TEXTS[1:]),
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(
        RecordError, match=r"name it: --compare_options=offset_unit=codepoint\|utf16\|grapheme$"
    ):
        _read(path)
    rows[0] = {"text": f"{TEXTS[0]}\r\n二", "label": [[7, 9, "症状"]]}
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        _read(path)
    asked = "name it: --compare_options=offset_unit=codepoint|utf16|grapheme,offset_crlf=one|two"
    assert str(caught.value).endswith(asked)
    columns = tmp_path / "found.conll"
    columns.write_text("左 O\n", encoding="utf-8")
    with pytest.raises(RecordError, match="--compare_options=tag_column=3 is past the last of 2 columns"):
        _read(columns, "conll", tag_column=3)
    rows[0] = {"originalText": "左𠮷右", "entities": [{"label_type": "a", "start_pos": 3, "end_pos": 4}]}
    rows[0]["entities"][0]["text"] = "右"
    path.write_text(json.dumps(rows[0]), encoding="utf-8")
    with pytest.raises(RecordError, match="read them with --compare_options=offset_unit=utf16"):
        _read(path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--compare_options=encoding=gb18030"], "--compare_format and --compare_options require --compare"),
        (["--redact"], "--redact requires --report"),
        (["--by_record"], "--by_record requires --output"),
        (["--checkpoint=best"], "--checkpoint requires --model_dir"),
        (["--output=tests"], "--output and --report must name files, and tests is a directory"),
        (["--report=tests"], "--output and --report must name files, and tests is a directory"),
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


@pytest.mark.parametrize("flag", ["output", "report"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(cli, bundles, corpus, flag):
    done = cli(
        "evaluate", f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--{flag}=README.md/scores"
    )
    assert done.returncode == 1
    assert "the folder of --output and --report must be a directory, got README.md" in done.stderr
    assert "annotating" not in done.stderr


def test_the_report_does_not_replace_an_input(cli, bundles, corpus):
    path = f"{corpus}/test.jsonl"
    done = cli("evaluate", f"--bundle={bundles}", f"--input={path}", f"--report={path}")
    assert done.returncode == 1
    assert f"{path}: is an input, and the output would replace it" in done.stderr
