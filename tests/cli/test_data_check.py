"""`data check`: a corpus with one planted fault of every kind; each is found in its place, and nothing else."""

import collections
import itertools
import json
import os

import pytest

from emr_ner_tf.data.checks.findings import KINDS

DRUG, DISEASE, UNUSED, RARE = "药物", "疾病", "手术", "检查"
# No character of a form occurs anywhere else.
_FRESH = (chr(code) for code in itertools.count(0x5000))
WINDOW = 40


def _new(length):
    return "".join(itertools.islice(_FRESH, length))


def _record(*parts, **keys):
    """Returns a record of strings and of (form, label) mentions."""
    text, entities = "", []
    for part in parts:
        form, label = part if isinstance(part, tuple) else (part, None)
        if label is not None:
            mention = {"label_type": label, "overlap": 0, "start_pos": len(text)}
            entities.append(mention | {"end_pos": len(text) + len(form)})
        text += form
    return keys | {"originalText": text, "entities": entities}


def _mention(record, start, end, label):
    mention = {"label_type": label, "overlap": 0, "start_pos": start, "end_pos": end}
    return record | {"entities": [*record["entities"], mention]}


def _clean(number):
    """Returns records without a fault, of which every label has some and lacks some."""
    return [
        _record("予", (_new(3), DRUG), *(("。诊断", (_new(4), DISEASE)) if i % 9 else ()), "。")
        for i in range(number)
    ]


def _faults():
    """Returns the records by the kind of their fault, and the index within them of the record that has it."""
    form, other, whole, latin, block, same = _new(3), _new(3), _new(4), _new(2), _new(30), _new(5)
    contradicted = _record(_new(3), (_new(1), DRUG))
    overlapping = _mention(_mention(_record(_new(6)), 0, 3, DRUG), 2, 5, DISEASE)
    return {
        "unreadable_record": ([_mention(_record(_new(3)), 0, 9, DRUG)], 0),
        "repeated_id": ([_record(_new(3), id="a"), _record(_new(3), id="a")], 1),
        "record_without_text": ([_record("  ")], 0),
        "duplicate_record": ([_record((same, DRUG)), _record((same, DRUG))], 1),
        "contradicting_records": ([contradicted, contradicted | {"entities": []}], 1),
        "near_duplicate_records": ([_record(_new(3), block), _record(block, _new(4))], 1),
        "unknown_label": ([_record((_new(3), "异常"))], 0),
        "overlapping_mentions": ([overlapping], 0),
        "repeated_mention": ([_mention(_record((_new(3), DRUG)), 0, 3, DRUG)], 0),
        "white_space_at_edge": ([_record((f" {_new(3)}", DRUG))], 0),
        "punctuation_at_edge": ([_record((f"{_new(3)}，", DRUG))], 0),
        "unbalanced_brackets": ([_record((f"{_new(3)}（{_new(1)}", DRUG))], 0),
        "mention_over_sentence_end": ([_record((f"{_new(3)}。{_new(2)}", DRUG))], 0),
        "missed_repeat": ([_record(((repeat := _new(3)), DRUG), "与", repeat)], 0),
        "missed_form": ([_record((form, DRUG)), _record("予", (form, DRUG)), _record("停", form)], 2),
        "several_labels": (
            [_record("甲", (other, DRUG)), _record("乙", (other, DRUG)), _record("丙", (other, DISEASE))],
            2,
        ),
        "differing_boundaries": ([_record((whole, DRUG)), _record("予", (whole[:2], DRUG), whole[2:])], 1),
        "variant_forms": (
            [_record((f"CT{latin}", DRUG), tail) for tail in "丁戊"]
            + [_record("己", (f"ＣＴ{latin}", DRUG))],
            2,
        ),
        "rare_label": ([_record((_new(3), RARE))], None),
        "unknown_character": ([_record("\ue000", _new(3))], 0),
        "long_record": ([_record(*(f"{_new(20)}。" for _ in range(5)))], 0),
        "cut_mention": ([_record(_new(3), (_new(WINDOW + 5), DRUG), _new(3))], 0),
    }


def _heldout(faults):
    same = faults["duplicate_record"][0][0]
    block = faults["near_duplicate_records"][0][1]["originalText"][:30]
    # No mention of DISEASE, and one of a label that is not in the training records.
    return [same, _record(_new(2), block), _record((_new(3), RARE)), _record((_new(3), "新的"))]


def _write(path, records):
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _write_encoder(folder, records):
    characters = set().union(*(record["originalText"] for record in records)) - {"\ue000", " "}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(characters)]
    folder.mkdir()
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in [*tokens, "[U+0020]"]), encoding="utf-8"
    )
    config = {"model_type": "bert", "vocab_size": len(tokens) + 1}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The flags that name a corpus with one fault of every kind, and the line of each fault by kind."""
    folder = tmp_path_factory.mktemp("planted")
    records, lines, faults = _clean(120), {}, _faults()
    for kind, (some, index) in faults.items():
        lines[kind] = None if index is None else len(records) + index + 1
        records += some
    heldout = _heldout(faults)
    names = folder / "labels.txt"
    names.write_text("".join(f"{label}\n" for label in (DRUG, DISEASE, UNUSED, RARE)), encoding="utf-8")
    train = _write(folder / "train.jsonl", records)
    against = _write(folder / "heldout.jsonl", heldout)
    encoder = _write_encoder(folder / "encoder", records)
    flags = (f"--input={train}", f"--against={against}", f"--labels={names}", f"--encoder={encoder}")
    return (*flags, f"--window={WINDOW}"), lines


def test_each_planted_fault_is_found_and_nothing_else(cli, planted, tmp_path):
    flags, lines = planted
    output = tmp_path / "findings.json"
    done = cli("data", "check", *flags, f"--output={output}")
    assert done.returncode == 1, done.stderr
    report = json.loads(output.read_text(encoding="utf-8"))
    found = collections.Counter(finding["kind"] for finding in report["findings"])
    expected = collections.Counter(list(KINDS))
    # Planted below, since a label that every record has excludes a record without text.
    del expected["label_in_every_record"]
    expected["label_on_one_side"] = 2
    assert found == expected
    by_kind = {finding["kind"]: finding for finding in report["findings"]}
    for kind, line in lines.items():
        assert by_kind[kind].get("line") == line, kind
        assert line is None or by_kind[kind]["file"].endswith("train.jsonl")
    assert (by_kind["leaked_record"]["line"], by_kind["leaked_text"]["line"]) == (1, 2)
    assert by_kind["leaked_record"]["file"].endswith("heldout.jsonl")
    sides = {
        finding["severity"]: finding["figures"]["label"]
        for finding in report["findings"]
        if "side" in finding["kind"]
    }
    assert sides == {"error": "新的", "warning": DISEASE}
    assert (by_kind["missed_form"]["start"], by_kind["missed_form"]["end"]) == (1, 4)
    assert by_kind["missed_form"]["figures"] == {"annotated": 2, "not_annotated": 1}
    assert by_kind["several_labels"]["figures"] == {DRUG: 2, DISEASE: 1}
    assert (by_kind["differing_boundaries"]["start"], by_kind["differing_boundaries"]["end"]) == (1, 5)
    assert by_kind["cut_mention"]["label"] == DRUG
    assert by_kind["long_record"]["count"] == 2
    assert by_kind["unknown_character"]["figures"]["character"] == "U+E000"
    errors = sum(each["findings"] for each in report["counts"] if each["severity"] == "error")
    assert f"{errors} errors: 1 unreadable_record" in done.stderr
    for kind in expected:
        assert f"{kind}" in done.stdout


def test_text_is_shown_on_request_only(cli, planted):
    flags, _ = planted
    quiet = cli("data", "check", *flags, "--json").stdout
    assert not any("\u5000" <= character < "\u5a00" for character in quiet)
    shown = json.loads(cli("data", "check", *flags, "--json", "--show_text").stdout)
    (finding,) = [each for each in shown["findings"] if each["kind"] == "white_space_at_edge"]
    assert finding["text"].startswith(" ")
    table = cli("data", "check", *flags, "--show_text", "--examples=1").stdout
    assert repr(finding["text"]) in table


def test_warnings_alone_are_no_failure(cli, tmp_path):
    records = [record | {"entities": record["entities"][:1]} for record in _clean(110)]
    done = cli(
        "data", "check", f"--input={_write(tmp_path / 'in.jsonl', records)}", "--labels=infer", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    counts = {each["kind"]: each["severity"] for each in json.loads(done.stdout)["counts"]}
    assert counts == {"few_records": "warning", "label_in_every_record": "warning"}
    done = cli("data", "check", f"--input={_write(tmp_path / 'in.jsonl', records[:9])}", "--labels=infer")
    assert done.returncode == 1
    assert "1 errors: 1 few_records" in done.stderr


def test_overlaps_are_what_the_flag_says(cli, tmp_path):
    record = _mention(_mention(_record(_new(6)), 0, 3, DRUG), 2, 5, DISEASE)
    path = _write(tmp_path / "in.jsonl", [record])
    for overlaps, expected in (("error", ["error"]), ("longest", ["warning"]), ("keep", [])):
        done = cli("data", "check", f"--input={path}", "--labels=infer", f"--overlaps={overlaps}", "--json")
        counts = json.loads(done.stdout)["counts"]
        found = [each["severity"] for each in counts if each["kind"] == "overlapping_mentions"]
        assert found == expected


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--on_error=skip",), 2, "--on_error is not a flag of check"),
        (("--window=12",), 2, "--window must be 0 or above 12, got 12"),
        (("--output=-",), 2, "--json prints the findings to standard output"),
        (("--output=IN",), 1, "is an input"),
        (("--against=ABSENT",), 1, "ABSENT: no such file"),
    ],
)
def test_wrong_calls(cli, tmp_path, flags, status, message):
    path = _write(tmp_path / "in.jsonl", _clean(2))
    flags = [flag.replace("IN", str(path)).replace("ABSENT", f"{tmp_path}/ABSENT") for flag in flags]
    done = cli("data", "check", f"--input={path}", *flags)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_found_and_not_read_is_said_once(cli, tmp_path):
    train, heldout = tmp_path / "train.csv", tmp_path / "heldout.csv"
    train.write_text("id,text,start,end,label,mention,\n1,左肾结石,0,2,病,左肾,x\n", encoding="utf-8")
    heldout.write_text("id,text,start,end,label,mention\n", encoding="utf-8")
    done = cli("data", "check", f"--input={train}", f"--against={heldout}", "--labels=infer", "--json")
    json.loads(done.stdout)
    for said in (
        f"{train}: read as csv, found by its name",
        f"{train}: offsets read as exclusive ends (by the mentions' own text)",
        f"{train}: not read: 1 cells of columns without a name",
        f"{heldout}: read as csv, found by its name",
        f"{heldout}: the file holds no record",
    ):
        assert done.stderr.count(said) == 1, said


def test_a_record_that_cannot_be_read_has_its_remedy(cli, tmp_path):
    path = tmp_path / "in.csv"
    lines = ["id,text,start,end,label", "1,左肾结石,0,2,病", "2,右肾积水,0,2,病"]
    path.write_bytes(b"".join(f"{line}\n".encode("gb18030" if "右" in line else "utf-8") for line in lines))
    done = cli("data", "check", f"--input={path}", "--labels=infer", "--offset_end=exclusive", "--json")
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    (message,) = [each["message"] for each in findings if each["kind"] == "unreadable_record"]
    assert message.startswith("the line is not valid UTF-8: 0xd3 at byte 2")
    assert "; it looks like GBK or GB18030 text: read it with --encoding=gb18030" in message


def test_the_name_of_a_file_may_not_be_utf8(cli, tmp_path):
    path, output = tmp_path / os.fsdecode("病.jsonl".encode("gb18030")), tmp_path / "findings.json"
    path.write_text(json.dumps(_record("左", ("肾结石", DISEASE), "，肾结石。")) + "\n", encoding="utf-8")
    done = cli("data", "check", f"--input={path}", "--labels=infer", "--json", f"--output={output}")
    assert "Traceback" not in done.stderr
    findings = json.loads(output.read_text(encoding="utf-8"))["findings"]
    assert str(path) in {finding.get("file") for finding in findings}
    assert json.loads(done.stdout)["findings"] == findings
