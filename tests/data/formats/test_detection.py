"""The format of a file, found by looking; what is not certain is not guessed."""

import io
import json
import sys

import pytest
from format_cases import plain

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.options import FormatOptions, option_flags, parse_options
from emr_ner_tf.data.formats.table import FORMATS, WRITE_FORMATS
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents, read_labels
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError

DOCUMENTS = [
    Document("1", "左肾结石，予头孢。", (Entity(0, 4, "病"), Entity(6, 8, "药")), {"id": "1"}),
    Document("2", "行阑尾切除术。", (Entity(1, 6, "手术"),), {"id": "2"}),
    Document("3", "出院。\n随访。", (), {"id": "3"}),
]


@pytest.mark.parametrize("name", [name for name in WRITE_FORMATS if name != "text"])
def test_what_is_written_is_found(tmp_path, caplog, name):
    # Neither the name of the file nor its order tells.
    path = tmp_path / "records"
    write_documents(path, DOCUMENTS, name)
    found = detect(path)
    assert found is not None
    # These are read alike.
    assert found.format == {"ccks2017": "ccks2018", "conll": "bio"}.get(name, name)
    with caplog.at_level("INFO", logger="absl"):
        documents = list(read_documents(path))
    assert [plain(document) for document in documents] == [plain(document) for document in DOCUMENTS]
    assert (f"read as {found.format}, found by" in caplog.text) == (name != "ccks2019")
    assert read_labels(path) == {"病", "药", "手术"}
    if "ids" in FORMATS[name].holds:
        assert [document.id for document in documents] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a", '{"id": 1, "data": "左肾", "label": [[0, 2, "病"]]}', "doccano"),
        ("a", '{"id": 1, "text": "左肾", "label": []}', "doccano"),
        (
            "a",
            '{"text": "左", "entities": [{"id": 1, "label": "病", "start_offset": 0, "end_offset": 1}]}',
            "doccano",
        ),
        ("a", '[{"text": "左", "entities": [{"start_idx": 0, "end_idx": 0, "type": "病"}]}]', "cmeee"),
        (
            "a",
            '[{"id": 1, "text": "左", "label": [{"start": 0, "end": 1, "labels": ["病"]}], "annotator": 1}]',
            "label_studio",
        ),
        ("a", '[{"data": {"text": "左"}, "predictions": []}]', "label_studio"),
        ("a", '[{"data": {"text": "左"}}, {"data": {"text": "右"}}]', "label_studio"),
        ("a", '{"data": {"x": 1}}', None),
        (
            "a",
            '[{"text": "左", "entities": []},\n'
            '{"text": "右", "entities": [{"start_idx": 0, "end_idx": 0, "type": "病"}]}]',
            "cmeee",
        ),
        (
            "a",
            '{"text": "左", "entities": []}\n'
            '{"text": "右", "entities": [{"id": 1, "label": "病", "start_offset": 0, "end_offset": 1}]}',
            "doccano",
        ),
        ("a", '{"tokens": ["左"], "ner_tags": [0]}', "huggingface"),
        ("a", '{"originalText": "左"}', "ccks2019"),
        ("a", '{"x": 1}', None),
        ("a", '{"originalText": ', None),
        ("a", "左\tB-病\n肾\tI-病\n", "bio"),
        ("a", '# {"id": 1}\n左\tB-病\n', "bio"),
        ("a", "<U+0020>\tO\n左\tB-病\n", "bio"),
        ("a", "<\tO\nCT\tB-查\n", "conll"),
        ("a", "{\tO\n左\tB-病\n", "bio"),
        ("a", "左\tB-病\n\n肾\tI-病\n", "conll"),
        ("a", "左\tI-病\n肾\tI-病\n", "conll"),
        ("a", "左\tB-病\n肾\tE-病\n", "conll"),
        ("a.txt", "阿\tU-药\n左\tB-病\n肾\tL-病\n", "conll"),
        ("a.txt", " \tO\n左\tB-病\n", "bio"),
        ("a.txt", "阿莫西林\tU-药\n 口服\n左肾\tU-病\n", "conll"),
        ("a.txt", "左\tB-a b\n肾 I-a b\n", "bio"),
        ("a.txt", "行 B-超 检查\n予头孢 S-1 胶囊。\n", "text"),
        ("a.txt", "血型 B\n", "text"),
        ("a.txt", "予 L-门冬酰胺酶\n", "text"),
        ("a.tsv", "左\tB-病\n肾\tI-病\n", "bio"),
        ("a.tsv", "id\ttext\tsex\n1\t左肾\tM\n2\t右肾\tM\n3\t肝\tB-超\n", "csv"),
        ("a.txt", "id\ttext\tblood\n1\t左肾\tO\n2\t右肾\tO\n3\t肝\tA\n", "csv"),
        ("a.txt", "左|O 肾|B-病\n", "conll"),
        ("a.txt", "左|肾 右|O\n", "text"),
        ("a.bio", "# {}\n", "bio"),
        ("a.bio", "左肾\n", "bio"),
        ("a.bio", "CT\tB-查\n", "conll"),
        ("a.bilou", "左\tX-病\n", "conll"),
        ("a.conll", "左\t\n", "conll"),
        ("a", "左\tB-病\n\n\ufeff肾\tB-病\n", "bio"),
        ("a", "CT\tB-查\n平\tO\n", "conll"),
        ("a", "-DOCSTART- O\n\n左 O\n", "conll"),
        ("a", "编号,文本\n1,左肾\n", "csv"),
        ("a", "编号,文本\r1,左肾\r", "csv"),
        ("a", "sep=;\n病历;科室\n左肾;外科\n", "csv"),
        ("a.csv", "病历\n左肾\n", "csv"),
        ("a.txt", "内容\t科室\n左肾\t外科\n", "csv"),
        ("a.txt", "编号,内容\n1,左肾\n", "csv"),
        ("a.txt", "内容,左肾结石\n诊断,右肾积水\n", "text"),
        ("a.txt", "左肾结石\r内容,右肾\n", "text"),
        ("a.txt", "左肾结石。\n", "text"),
        ("a.txt", "<3 cm 结石。\n", "text"),
        ("a.txt", "[1]左肾结石。\n[2] 右肾积水。\n", "text"),
        ("a", "[1]左肾结石。\n[2] 右肾积水。\n", "text"),
        ("a", "[2021-03-04 10:00]入院。\n[1,3]出院。\n", "text"),
        ("a.txt", "[1, 2]\n", None),
        ("a.txt", "[1,\n2]\n", None),
        ("a.txt", "[1], [2]\n", None),
        ("a.txt", "<!DOCTYPE html>\n", None),
        ("a", "左肾结石。\n予头孢。\n", "text"),
        ("a", "左肾结石。", None),
        ("a", "#FORMAT=WebAnno TSV 3.3\n", "webanno"),
        ("a", "<?xml version='1.0'?><a/>", None),
        ("a", "", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_kinds_of_content(tmp_path, name, content, format, encoding):
    path = tmp_path / name
    path.write_text(content, encoding=encoding, newline="")
    found = detect(path, "utf-8" if encoding == "utf-8-sig" else encoding)
    assert (found and found.format) == format


@pytest.mark.parametrize("content", ['[{"text": "左肾"}]', '{"text": "左肾"}\n', '{"病历": "左肾"}\n'])
def test_a_format_that_is_not_found_is_to_be_named(tmp_path, content):
    path = tmp_path / "in.json"
    path.write_text(content, encoding="utf-8")
    problem = r"in\.json:1: `originalText` is missing"
    with pytest.raises(
        RecordError, match=rf"{problem}; no format was found by looking; name it: --format=NAME"
    ):
        list(read_documents(path))
    with pytest.raises(RecordError, match=f"{problem}$"):
        list(read_documents(path, format="ccks2019"))
    path.write_text('{"originalText": "左", "entities": []}\n{"text": "左"}\n', encoding="utf-8")
    with pytest.raises(RecordError, match=r"in\.json:2: `originalText` is missing$"):
        list(read_documents(path))


def test_a_setting_of_conll_is_not_ignored_for_columns_that_look_like_bio(tmp_path):
    path = tmp_path / "in"
    path.write_text("左\tB-病\n肾\tO\n\n右\tB-病\n肾\tI-病\n", encoding="utf-8")
    (first, second) = read_documents(path)
    assert [len(first.entities), len(second.entities)] == [1, 1]
    for options, message in (
        (FormatOptions(scheme="io"), r"in:1: .*does not fit IO"),
        (FormatOptions(scheme="bioes"), r"in:\d: .*does not fit BIOES"),
        (FormatOptions(tag_column=3), "--tag_column=3 is past the last of 2 columns"),
    ):
        with pytest.raises(RecordError, match=message):
            list(read_documents(path, options=options))
        with pytest.raises(
            UserError, match=r"bio has no such setting: --(scheme|tag_column) is one of conll"
        ):
            read_documents(path, format="bio", options=options)


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("doccano", {"text_column": "病历"}, "--text_column is one of label_studio, csv, xlsx"),
        ("conll", {"offset_end": "inclusive"}, "--offset_end is one of ccks2019, ccks2017, .*csv, xlsx"),
        (
            "text",
            {"layer": "x", "tag_names": "y"},
            "--tag_names is one of huggingface; --layer is one of webanno",
        ),
        ("huggingface", {"tag_column": 2}, "--tag_column is one of conll"),
        ("cmeee", {"discontinuous": "join"}, "--discontinuous is one of brat"),
        ("uima_xmi", {"label_studio": "annotations"}, "--label_studio is one of label_studio"),
    ],
)
def test_settings_that_a_format_does_not_have(tmp_path, caplog, name, given, problem):
    path = tmp_path / ("in.txt" if name == "text" else "in")
    write_documents(path, DOCUMENTS[:2], name, options=FormatOptions(scheme="bioes"))
    options = FormatOptions(**given)
    with pytest.raises(UserError, match=f"{name} has no such setting: {problem}.*; leave it out"):
        read_documents(path, format=name, options=options)
    # Of several files whose formats are found, others may have it.
    assert len(list(read_documents(path, options=options))) == 2
    assert f"read as {name}, which has no setting {', '.join(sorted(given, reverse=True))}" in caplog.text


def test_records_of_one_format_are_found_whichever_is_first(tmp_path):
    # The head of the file ends within a record.
    path = tmp_path / "in.json"
    empty = [Document(str(number), "复查。" * 9, (), {}) for number in range(9)]
    write_documents(path, [*empty, *DOCUMENTS * 2000], "cmeee")
    assert detect(path) == ("cmeee", "the keys of its records")
    assert [len(document.entities) for document in read_documents(path)][8:12] == [0, 2, 1, 0]


@pytest.mark.parametrize("size", range(44, 66))
def test_columns_from_a_stream_are_found_wherever_its_buffer_ends(monkeypatch, size):
    content = "左\tB-病\n肾\tI-病\n\n" * 6
    stream = io.BufferedReader(io.BytesIO(content.encode()), size)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    assert detect("-") == ("bio", "columns with a tag last")
    assert [document.entities for document in read_documents("-")] == [(Entity(0, 2, "病"),)] * 6


def test_utf_8_that_is_read_as_another_encoding_is_a_warning(tmp_path, caplog):
    path, text = tmp_path / "in.txt", "左肾结石"
    path.write_text(f"{text}\n", encoding="utf-8")
    with caplog.at_level("WARNING", logger="absl"):
        (document,) = read_documents(
            path, format="text", options=FormatOptions(encoding="gb18030"), require_entities=False
        )
        assert document.text != text
        assert "in.txt: read as gb18030, as `encoding` says, and it looks like UTF-8 text" in caplog.text
        caplog.clear()
        for encoding in ("gb18030", "utf-16"):
            path.write_text(f"{text}\n", encoding=encoding)
            options = FormatOptions(encoding=encoding)
            (document,) = read_documents(path, options=options, require_entities=False)
            assert document.text == text
    assert not caplog.text


def test_what_is_missing_is_not_found(tmp_path):
    assert detect(tmp_path / "absent") is None
    assert detect(tmp_path) is None
    with pytest.raises(RecordError, match="absent: no such file"):
        list(read_documents(tmp_path / "absent"))
    for name in FORMATS:
        with pytest.raises(RecordError, match="absent: no such file"):
            list(read_documents(tmp_path / "absent", format=name))


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-16", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize(
    "name", ["ccks2019", "bio", "cmeee", "doccano", "label_studio", "conll", "uie", "csv"]
)
def test_encodings(tmp_path, encoding, name):
    path, other = tmp_path / "utf8", tmp_path / "other"
    write_documents(path, DOCUMENTS, name)
    other.write_bytes(path.read_bytes().decode("utf-8-sig").encode(encoding))
    options = FormatOptions(encoding="utf-8" if encoding == "utf-8-sig" else encoding)
    documents = list(read_documents(other, options=options))
    assert [plain(document) for document in documents] == [plain(document) for document in DOCUMENTS]


@pytest.mark.parametrize("name", ["ccks2019", "bio", "text", "cmeee", "doccano", "conll", "csv"])
def test_gb18030_is_named_where_it_is_not_asked_for(tmp_path, name):
    path = tmp_path / "in"
    write_documents(path, DOCUMENTS[:2], name)
    path.write_bytes(path.read_bytes().decode("utf-8-sig").encode("gb18030"))
    with pytest.raises(
        RecordError, match=r"in:[12]: .*not valid UTF-8.*GB18030.*--encoding=gb18030"
    ) as caught:
        list(read_documents(path, format=name))
    assert "左肾" not in str(caught.value)


@pytest.mark.parametrize("name", ["brat", "ccks2018"])
@pytest.mark.parametrize("text", ["text", "mentions"])
def test_an_encoding_is_named_in_a_folder(tmp_path, name, text):
    path = tmp_path / "in"
    write_documents(path, DOCUMENTS[:1], name)
    suffix = {"brat": (".txt", ".ann"), "ccks2018": (".txtoriginal.txt", ".txt")}[name][text == "mentions"]
    file = path / f"1{suffix}"
    content = file.read_bytes().decode()
    file.write_bytes(content.encode("gb18030"))
    seen = r"not valid utf-8, and looks like GBK or GB18030 text: 0x.* at byte \d+, from 0; .*--encoding=.*gb18030"
    with pytest.raises(RecordError, match=rf"1{suffix}:1: the file is {seen}"):
        list(read_documents(path, format=name))
    file.write_bytes(content.encode("utf-16"))
    with pytest.raises(RecordError, match="not valid utf-8, and looks like UTF-16 text"):
        list(read_documents(path, format=name))
    file.write_bytes(f"{content}\u00ff".encode())
    with pytest.raises(RecordError, match="not valid gb18030, and looks like UTF-8 text"):
        list(read_documents(path, format=name, options=FormatOptions(encoding="gb18030")))


@pytest.mark.parametrize("name", [None, "in.tsv", "in.txt"])
@pytest.mark.parametrize("format", ["auto", "csv", "conll", "ccks2019"])
def test_a_folder_of_no_format_is_refused_with_a_remedy(tmp_path, name, format):
    if name:
        (tmp_path / name).write_text("id\ttext\n1\t左肾\n", encoding="utf-8")
    with pytest.raises(RecordError, match="Is a directory; name a file in it, or the format of a folder"):
        list(read_documents(tmp_path, format=format))


def test_other_bytes_are_named_by_row_and_byte(tmp_path):
    path = tmp_path / "in.jsonl"
    write_documents(path, DOCUMENTS, "ccks2019")
    content = path.read_bytes()
    with pytest.raises(RecordError, match=r"in\.jsonl:1: .*not valid utf-16-le|looks like UTF-8") as caught:
        list(read_documents(path, format="ccks2019", options=FormatOptions(encoding="gb18030")))
    assert "looks like UTF-8 text" in str(caught.value)
    bad = content.decode().encode("gb18030").replace(b"\n", b"\n\xff", 1)
    path.write_bytes(bad)
    at = bad.index(b"\xff")
    with pytest.raises(
        RecordError, match=rf"in\.jsonl:2: the file is not valid gb18030: byte {at} of the file, from 0"
    ):
        list(read_documents(path, format="ccks2019", options=FormatOptions(encoding="gb18030")))


def test_line_ends_stay_as_they_are(tmp_path):
    text = "左肾\r结石\r\n予\n头孢"
    document = Document("1", text, (Entity(0, 5, "病"), Entity(9, 11, "药")), {"id": "1"})
    for name in ("csv", "xlsx", "cmeee", "ccks2018", "brat", "label_studio"):
        write_documents(tmp_path / name, [document], name)
        (found,) = read_documents(tmp_path / name)
        assert plain(found) == plain(document)
    crlf = (tmp_path / "cmeee").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "crlf").write_bytes(crlf)
    (found,) = read_documents(tmp_path / "crlf")
    assert plain(found) == plain(document)


def test_wrong_options():
    for values, message in (
        ({"scheme": "bieso"}, "scheme must be one of bio"),
        ({"offset_unit": "byte"}, "offset_unit must be one of"),
        ({"encoding": "klingon"}, "encoding must be a name such as"),
        ({"encoding": "base64"}, "encoding must be a character encoding"),
        ({"encoding": "idna"}, "encoding must be a character encoding, got 'idna'"),
        ({"encoding": "undefined"}, "encoding must be a character encoding, got 'undefined'"),
        ({"encoding": "\ud800"}, r"encoding must be a name such as utf-8.*, got '\\ud800'"),
        ({"discontinuous": "split"}, "discontinuous must be one of"),
        ({"tag_column": -1}, "tag_column must be 0"),
    ):
        with pytest.raises(UserError, match=message):
            FormatOptions(**values)
    assert parse_options("", "x") == FormatOptions()
    assert parse_options("encoding=gb18030,tag_column=2", "x") == FormatOptions(
        encoding="gb18030", tag_column=2
    )
    with pytest.raises(UserError, match=r"config\.data\.reading must be NAME=VALUE"):
        parse_options("encodings=gb18030", "config.data.reading")
    assert option_flags(FormatOptions()) == []
    assert option_flags(FormatOptions(encoding="gb18030", tag_column=2)) == [
        "--encoding=gb18030",
        "--tag_column=2",
    ]


@pytest.mark.parametrize("name", ["cmeee", "doccano", "label_studio", "huggingface", "uie"])
def test_bad_records_are_rejected_one_by_one(tmp_path, name):
    path = tmp_path / "in.json"
    write_documents(path, DOCUMENTS, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("{"))
    lines[at + 1 : at + 1] = [
        '{"text": 7, "tokens": 7, "content": 7, "data": {"text": 7}},',
        '{"text": "左},',
        "[7]",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        documents = list(read_documents(path, format=name, rejects=rejects))
    assert rejects.count >= 3
    rejected = [json.loads(line)["line"] for line in rejects.path.read_text(encoding="utf-8").splitlines()]
    assert rejected[:2] == [at + 2, at + 3]
    assert plain(DOCUMENTS[1]) in [plain(document) for document in documents]


@pytest.mark.parametrize("suffix", ["", ".txt", ".jsonl"])
def test_names_as_long_as_names_may_be(tmp_path, suffix):
    path = tmp_path / ("a" * (255 - len(suffix)) + suffix)
    write_documents(path, DOCUMENTS, "ccks2019")
    assert [document.id for document in read_documents(path)] == ["1", "2", "3"]
