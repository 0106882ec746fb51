"""Which way a file counts, by the mentions' own text: every unit and end is found, and the wrong one is refused."""

import itertools
import json

import pytest

from emr_ner_tf.data.formats.options import FormatOptions, parse_options
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.errors import UserError

TEXT = "𠮷患者\r\n左肾结石👳🏻，予头孢。\r\n阿司匹林"
MENTIONS = ("左肾结石", "头孢", "阿司匹林")


def _units(text, unit, crlf):
    """Counts the units of a text, independently of the code."""
    text = text.replace("\r\n", "\n") if crlf == "one" else text
    return len(text.encode("utf-16-le")) // 2 if unit == "utf16" else len(text)


def _mentions(unit="codepoint", end="exclusive", crlf="two", shift=0):
    for own in MENTIONS:
        before = TEXT[: TEXT.index(own)]
        start = _units(before, unit, crlf) + shift
        yield own, start, start + _units(own, unit, crlf) - (end == "inclusive")


def _cmeee(path, with_text=True, **counting):
    entities = [
        {"start_idx": start, "end_idx": last, "type": "病"} | ({"entity": own} if with_text else {})
        for own, start, last in _mentions(**counting)
    ]
    path.write_text(json.dumps([{"text": TEXT, "entities": entities}], ensure_ascii=False), encoding="utf-8")
    return path


def _pairs(path, **counting):
    rows = [f"{own}\t{start}\t{last}\t病\n" for own, start, last in _mentions(**counting)]
    path.mkdir()
    (path / "一般项目-1.txtoriginal.txt").write_bytes(TEXT.encode())
    (path / "一般项目-1.txt").write_text("".join(rows), encoding="utf-8")
    return path


def _brat(path, **counting):
    rows = [
        f"T{i}\tD {start} {last}\t{own}\n" for i, (own, start, last) in enumerate(_mentions(**counting), 1)
    ]
    path.mkdir()
    (path / "1.txt").write_bytes(TEXT.encode())
    (path / "1.ann").write_text("".join(rows), encoding="utf-8")
    return path


def _table(path, **counting):
    rows = [[f'"{TEXT}"', str(start), str(last), "病", own] for own, start, last in _mentions(**counting)]
    rows = [["record", "text", "start", "end", "label", "mention"], *([f"{1}", *row] for row in rows)]
    path.write_bytes("\n".join(map(",".join, rows)).encode())
    return path


READINGS = list(itertools.product(("codepoint", "utf16"), ("exclusive", "inclusive"), ("one", "two")))


@pytest.mark.parametrize(("unit", "end", "crlf"), READINGS)
@pytest.mark.parametrize("write", [_cmeee, _pairs, _brat])
def test_every_reading_is_found(tmp_path, caplog, write, unit, end, crlf):
    path = write(tmp_path / "in", unit=unit, end=end, crlf=crlf)
    with caplog.at_level("INFO", logger="absl"):
        (document,) = read_documents(path)
    assert tuple(entity.text for entity in document.entities) == MENTIONS
    names = {"codepoint": "code points", "utf16": "UTF-16 units"}
    assert f"offsets read as {names[unit]}, {end} ends, CR LF as {crlf}" in caplog.text
    # The wrong one, by a flag, is refused.
    other = "inclusive" if end == "exclusive" else "exclusive"
    with pytest.raises(
        RecordError, match=f"entity 1: .*{other} ends.*it would fit {names[unit]}, {end} ends"
    ) as caught:
        list(read_documents(path, options=FormatOptions(offset_end=other)))
    assert caught.value.line == 1
    assert "左肾" not in str(caught.value)


def test_offsets_in_a_table(tmp_path):
    (document,) = read_documents(_table(tmp_path / "in.csv", unit="utf16", end="inclusive"))
    assert tuple(entity.text for entity in document.entities) == MENTIONS


def test_shifted_offsets_are_refused_with_file_and_line(tmp_path):
    path = _pairs(tmp_path / "in", shift=1)
    with pytest.raises(
        RecordError, match=r"一般项目-1\.txt:1: entity 1: .*not where the mention's own text is"
    ):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert list(read_documents(path, rejects=rejects)) == []
    assert rejects.count == 1


def test_one_bad_record_does_not_decide(tmp_path):
    path = tmp_path / "in.jsonl"
    good = {
        "text": "左肾结石",
        "entities": [{"start_idx": 0, "end_idx": 3, "type": "病", "entity": "左肾结石"}],
    }
    bad = {
        "text": "左肾结石",
        "entities": [{"start_idx": 1, "end_idx": 3, "type": "病", "entity": "左肾结石"}],
    }
    path.write_text("\n".join(json.dumps(each) for each in (good, bad, good)), encoding="utf-8")
    with pytest.raises(RecordError, match=r"in\.jsonl:2: entity 1"):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert len(list(read_documents(path, rejects=rejects))) == 2


def test_without_own_texts_it_asks(tmp_path):
    path = _cmeee(tmp_path / "in.json", with_text=False, end="inclusive")
    with pytest.raises(
        RecordError, match=r"in\.json:1: entity 1: nothing in the file tells.*--offset_end=exclusive"
    ):
        list(read_documents(path))
    options = FormatOptions(offset_unit="codepoint", offset_end="inclusive", offset_crlf="two")
    (document,) = read_documents(path, options=options)
    assert tuple(entity.text for entity in document.entities) == MENTIONS


@pytest.mark.parametrize(
    ("text", "flags", "asked"),
    [
        ("左肾结石", {}, None),
        # All units give the same mention.
        ("左肾结石𠮷", {}, None),
        ("𠮷。左肾结石。。", {}, r"--offset_unit=codepoint\|utf16\|grapheme$"),
        ("\r\n左肾结石。。", {}, r"--offset_crlf=one\|two$"),
        # As UTF-16 units it would begin inside a character, which may be a mistake in the file.
        ("𠮷左肾结石", {}, r"--offset_unit=codepoint\|utf16\|grapheme$"),
        ("👳🏻左肾结石。。", {}, r"--offset_unit=codepoint\|utf16\|grapheme$"),
        ("e\u0301左肾结石", {}, r"--offset_unit=codepoint\|utf16\|grapheme$"),
        ("\r左肾结石", {}, None),
        ("𠮷左肾结石", {"offset_unit": "utf16"}, None),
        ("👳🏻左肾结石", {"offset_unit": "grapheme"}, None),
        ("\r\n左肾结石", {"offset_unit": "grapheme"}, None),
        ("\r\n左肾结石", {"offset_crlf": "one"}, None),
    ],
)
def test_doccano_asks_where_units_differ(tmp_path, text, flags, asked):
    unit = flags.get("offset_unit", "codepoint")
    before = text[: text.index("左")]
    start = 1 if unit == "grapheme" else _units(before, unit, flags.get("offset_crlf", "two"))
    path = tmp_path / "in.jsonl"
    record = {"id": 1, "text": text, "label": [[start, start + 4, "病"]], "Comments": []}
    path.write_text(json.dumps(record), encoding="utf-8")
    if asked:
        with pytest.raises(RecordError, match=rf"in\.jsonl:1: entity 1: nothing in the file tells.*{asked}"):
            list(read_documents(path))
        return
    (document,) = read_documents(path, options=FormatOptions(**flags))
    assert [entity.text for entity in document.entities] == ["左肾结石"]
    assert document.id == "1"


def test_one_bad_record_without_own_texts_does_not_decide(tmp_path):
    path = tmp_path / "in.jsonl"
    records = [
        {"text": "𠮷左肾结石", "label": [[1, 3, "病"]]},
        {"text": "𠮷左肾结石。", "label": [[2, 6, "病"]]},
    ]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    with pytest.raises(
        RecordError, match=r"in\.jsonl:1: entity 1: nothing in the file tells.*--offset_unit="
    ):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        options = FormatOptions(offset_unit="utf16")
        (document,) = read_documents(path, rejects=rejects, options=options)
    assert document.entities[0].text == "左肾结石"
    assert "inside a character" in (tmp_path / "rejects.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", "id,text,start,end,label\n1,予阿莫西林口服。,1,5,药物\n2,左肾结石。,2,2,病\n"),
        ("past.csv", "id,text,start,end,label\n1,予阿莫西林口服。,1,4,药物\n2,左肾结石,0,4,病\n"),
        (
            "past.json",
            '[{"text": "左肾结石", "entities": [{"start_idx": 0, "end_idx": 3, "type": "病"}, '
            '{"start_idx": 2, "end_idx": 4, "type": "病"}]}]',
        ),
    ],
)
def test_one_bad_mention_without_its_text_does_not_decide_the_ends(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(
        RecordError, match=r"entity 1: nothing in the file tells.*--offset_end=exclusive\|inclusive$"
    ):
        list(read_documents(path))


def test_a_record_without_own_texts_is_refused_where_a_later_one_decides_against_it(tmp_path):
    path = tmp_path / "in.jsonl"
    inside = {"text": "𠮷左肾", "entities": [{"start_idx": 1, "end_idx": 2, "type": "病"}]}
    mention = {"start_idx": 2, "end_idx": 3, "type": "病", "entity": "左肾"}
    path.write_text(
        "\n".join(json.dumps(each) for each in (inside, {"text": "𠮷左肾。", "entities": [mention]})),
        encoding="utf-8",
    )
    with pytest.raises(
        RecordError, match=r"in\.jsonl:1: entity 1: .*inside a character \(read as UTF-16 units"
    ):
        list(read_documents(path))


def test_a_later_record_decides_for_an_earlier_one(tmp_path):
    path = tmp_path / "in.json"
    tasks = []
    for text, start, own in (("𠮷药药药", 2, None), ("𠮷左肾", 2, "左肾"), ("肝癌", 0, "肝癌")):
        value = {"start": start, "end": start + len(own or "药"), "labels": ["病"]} | (
            {"text": own} if own else {}
        )
        result = {"type": "labels", "from_name": "label", "to_name": "text", "value": value}
        tasks.append({"data": {"text": text}, "annotations": [{"result": [result]}]})
    path.write_text(json.dumps(tasks), encoding="utf-8")
    documents = list(read_documents(path))
    assert [document.entities[0].start for document in documents] == [1, 1, 0], "UTF-16 units"


@pytest.mark.parametrize("format", ["auto", "ccks2017", "ccks2018"])
@pytest.mark.parametrize("end", ["inclusive", "exclusive"])
def test_ends_that_are_decided_leave_the_convention_for_the_rest(tmp_path, caplog, format, end):
    # The mention's text occurs at both places, however CR LF counts.
    (tmp_path / "1.txtoriginal.txt").write_text("左肾\r\n左左左", encoding="utf-8", newline="")
    (tmp_path / "1.txt").write_text(f"左\t4\t{4 + (end == 'exclusive')}\t病\n", encoding="utf-8")
    with caplog.at_level("INFO", logger="absl"):
        (document,) = read_documents(tmp_path, format=format)
    assert [(entity.start, entity.end) for entity in document.entities] == [(4, 5)]
    assert f"offsets read as {end} ends (by the mentions' own text)" in caplog.text
    assert "CR LF as two (as the format counts; the texts fit other places, too)" in caplog.text
    # A later record decides.
    (tmp_path / "2.txtoriginal.txt").write_text("甲\r\n肾", encoding="utf-8", newline="")
    (tmp_path / "2.txt").write_text(f"肾\t2\t{2 + (end == 'exclusive')}\t病\n", encoding="utf-8")
    first, second = read_documents(tmp_path, format=format)
    assert [document.entities[0].start for document in (first, second)] == [5, 3]


def test_ccks2019_with_other_offsets_by_flags(tmp_path):
    path = tmp_path / "in.jsonl"
    mention = {"label_type": "病", "start_pos": 2, "end_pos": 3}
    path.write_text(json.dumps({"originalText": "𠮷左肾", "entities": [mention]}), encoding="utf-8")
    options = FormatOptions(offset_unit="utf16", offset_end="inclusive")
    (document,) = read_documents(path, options=options)
    assert document.entities[0].text == "左肾"


@pytest.mark.parametrize(
    ("entity", "problem"),
    [
        ({"start_idx": 0, "end_idx": 9, "type": "病"}, "past the end of the text"),
        ({"start_idx": -1, "end_idx": 1, "type": "病"}, "before the text"),
        ({"start_idx": 3, "end_idx": 1, "type": "病"}, "empty or reversed"),
        ({"start_idx": "0", "end_idx": 1, "type": "病"}, "is not a whole number"),
        ({"start_idx": 0, "end_idx": 1}, "`type` is missing"),
        ({"start_idx": 0, "end_idx": 1, "type": " 病", "entity": "左肾"}, "white space at an edge"),
        (7, "the mention is not an object"),
    ],
)
def test_mentions_that_are_wrong_in_any_reading(tmp_path, entity, problem):
    path = tmp_path / "in.json"
    path.write_text(json.dumps([{"text": "左肾结石", "entities": [entity]}]), encoding="utf-8")
    with pytest.raises(RecordError, match=rf"in\.json:1: entity 1: .*{problem}"):
        list(read_documents(path, format="cmeee"))


def test_numbers_of_many_digits_are_refused(tmp_path):
    path = tmp_path / "in.tsv"
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=x.NamedEntity|value\n\n\n#Text=左\n"
    path.write_text(f"{head}1-1\t0-{'9' * 5000}\t左\t_\t\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"in\.tsv:6: the line is not a number, a start and an end"):
        list(read_documents(path))
    with pytest.raises(UserError, match="tag_column must be a whole number, got '9999"):
        parse_options(f"tag_column={'9' * 5000}", "options")


def test_overlaps_are_named_by_no_key_of_another_format(tmp_path):
    path = tmp_path / "in.json"
    mentions = [{"start_idx": 0, "end_idx": end, "type": "病", "entity": "左肾"[: end + 1]} for end in (1, 0)]
    path.write_text(json.dumps([{"text": "左肾", "entities": mentions}]), encoding="utf-8")
    with pytest.raises(RecordError, match="entity 1: `start`=0 overlaps entity 2"):
        list(read_documents(path))
