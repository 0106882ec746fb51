"""Tables (CSV, XLSX): flat memory, cells like formulas, what is lost or refused, and the forms of a CSV."""

import csv
import datetime
import itertools
import json
import re
import tracemalloc
import warnings
import zipfile

import openpyxl
import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError


def _documents(number):
    for i in range(number):
        text = f"第{i}例，左肾结石，予头孢。" * 20
        yield Document("-", text, (Entity(0, 2, "病"), Entity(2, 4, "药")), {"id": str(i)})


def _peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_rows(tmp_path, name):
    def write(number):
        assert write_documents(tmp_path / f"{number}.{name}", _documents(number), name) == number

    def read(number):
        documents = read_documents(tmp_path / f"{number}.{name}", overlaps="keep")
        assert sum(1 for _ in documents) == number

    write(10)
    read(10)  # what is imported and cached once
    # The smaller file is larger than what is read at once.
    small, large = 100, 800
    for work in (write, read):
        few, many = (_peak(lambda number=number, work=work: work(number)) for number in (small, large))
        # The texts of a record's rows have 1,200 bytes.
        assert many < few + 100 * (large - small), (work.__name__, few, many)


STRINGS = ["=1+1", "+10", "-肾结石", "@甲", "'=1", "''-", "'甲", "'", "\t=", "－甲", "甲=1"]


@pytest.mark.parametrize("name", ["csv", "xlsx"])
def test_formulas_come_back_as_they_were(tmp_path, name):
    path = tmp_path / f"records.{name}"
    documents = [
        Document(text, text, (Entity(0, len(text), label),), {"id": text})
        for text, label in itertools.product(STRINGS, ("-病", "药"))
    ]
    write_documents(path, documents, name)
    found = list(read_documents(path))
    assert found == documents
    assert [document.entities for document in found] == [document.entities for document in documents]


def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path):
    path = tmp_path / "records.csv"
    write_documents(path, [Document("1", text, (Entity(0, 1, "+病"),)) for text in STRINGS], "csv")
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(rows) == len(STRINGS)
    for row in rows:
        assert not any(cell[:1] in tuple("=+-@\t＝＋－＠") for cell in row if cell)
        assert row[header.index("label")] == "'+病"


def test_tables_of_other_programs_keep_their_apostrophes(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("id,text\n1,'-甲\n2,-乙\n", encoding="utf-8")
    texts = [document.text for document in read_documents(path, require_entities=False)]
    assert texts == ["'-甲", "-乙"]


def _table(path, rows):
    """Writes rows as CSV or, by the name of the file, as a workbook."""
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
        return path
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


MENTIONS = ["id", "text", "start", "end", "label"]


@pytest.mark.parametrize("name", ["csv", "xlsx"])
@pytest.mark.parametrize(
    ("rows", "kept", "lost"),
    [
        (
            [["id", "text", "备注", "备注"], ["1", "左肾", "甲", "乙"], ["2", "右肾", "丙", ""]],
            {"id": "1", "备注": "甲"},
            "1 cells of columns that have the name of another",
        ),
        (
            [["id", "text", "编号"], ["1", "左肾", "甲"]],
            {"id": "甲"},
            "1 cells of columns that have the name of another",
        ),
        (
            [["id", "text", "", "备注"], ["1", "左肾", "甲", "乙"], ["2", "右肾", "丙", ""]],
            {"id": "1", "备注": "乙"},
            "2 cells of columns without a name",
        ),
        (
            [
                [*MENTIONS, "备注"],
                *(["1", "左肾", at, at + 1, "病", note] for at, note in ((0, "甲"), (1, "乙"))),
            ],
            {"id": "1", "备注": "甲"},
            "1 cells that differ from those of their record's first row",
        ),
        (
            [["record", *MENTIONS], *(["1", f"a{at}", "左肾", at, at + 1, "病"] for at in (0, 1))],
            {"id": "a0"},
            "1 cells that differ from those of their record's first row",
        ),
        (
            [[*MENTIONS, "mention", "score"], ["1", "左肾", "", "", "", "左", "0.5"]],
            {"id": "1"},
            "2 cells of `mention` or `score` in rows without offsets and label",
        ),
        (
            [[*MENTIONS, "备注"], *(["1", "左肾", at, at + 1, "病", "甲"] for at in (0, 1))],
            {"id": "1", "备注": "甲"},
            "",
        ),
    ],
)
def test_lost_cells_are_counted_by_kind(tmp_path, caplog, name, rows, kept, lost):
    path = _table(tmp_path / f"in.{name}", rows)
    options = FormatOptions(id_column="编号" if "编号" in rows[0] else "", offset_end="exclusive")
    with caplog.at_level("WARNING", logger="absl"):
        first, *_ = read_documents(path, require_entities=False, options=options)
    assert first.extra == kept
    assert [record.getMessage() for record in caplog.records] == (
        [f"{path}: not read: {lost}"] if lost else []
    )


@pytest.mark.parametrize("name", ["csv", "xlsx"])
@pytest.mark.parametrize("header", [[], ["id"]])
def test_rows_without_an_id_are_one_record_by_their_text(tmp_path, name, header):
    rows = [
        ["左肾结石", 0, 2, "部", "左肾"],
        ["左肾结石", 2, 4, "病", "结石"],
        ["", 0, 4, "病", "左肾结石"],
        ["左肾结石", "", "", "", ""],
        ["左肾结石", "", "", "", ""],
        ["右肾", 0, 2, "部", "右肾"],
    ]
    table = [
        [*header, "text", "start", "end", "label", "mention"],
        *([*[""] * len(header), *row] for row in rows),
    ]
    documents = read_documents(_table(tmp_path / f"in.{name}", table), overlaps="keep")
    found = [(document.text, len(document.entities)) for document in documents]
    assert found == [("左肾结石", 3), ("左肾结石", 0), ("左肾结石", 0), ("右肾", 1)]


@pytest.mark.parametrize("column", ["id", "record", "编号"])
def test_a_record_in_two_places_is_refused(tmp_path, column):
    rows = [["1", "左肾结石", 0, 2, "部"], ["2", "右肾", 0, 2, "部"], ["1", "左肾结石", 2, 4, "病"]]
    rows += [["1", "另一段", 0, 2, "病"], ["2", "右肾", "", "", ""]]
    path = _table(tmp_path / "in.csv", [[column, "text", "start", "end", "label"], *rows])
    options = FormatOptions(offset_end="exclusive")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert len(list(read_documents(path, rejects=rejects, options=options))) == 4
    with pytest.raises(
        RecordError, match=rf"in\.csv:4: `{column}`=<string of 1 characters> an earlier record.*sort the"
    ):
        list(read_documents(path, options=options))


@pytest.mark.parametrize(
    ("header", "options", "named"),
    [
        (["id", "text", "Text"], {}, "2 columns of the first row are named 'text'"),
        (["id", "病历", "病历"], {"text_column": "病历"}, "2 columns of the first row are named '病历'"),
        (["ID", "id", "text"], {}, "2 columns of the first row are named 'id'"),
        ([*MENTIONS, "end"], {}, "2 columns of the first row are named 'end'"),
    ],
)
def test_a_column_that_is_read_has_its_name_alone(tmp_path, header, options, named):
    path = _table(tmp_path / "in.csv", [header, ["1"] * len(header)])
    with pytest.raises(UserError, match=rf"in\.csv:1: {named}, and one is read; rename the others"):
        list(read_documents(path, require_entities=False, options=FormatOptions(**options)))


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"score": "nan"}, "`score`=<string of 3 characters> is not a finite number"),
        ({"score": "-inf"}, "`score`=<string of 4 characters> is not a finite number"),
        ({"score": "高"}, "`score`=<string of 1 characters> is not a finite number"),
        ({"end": "9" * 5000}, "`end`=<string of 5000 characters> is not a whole number of at most 18 digits"),
        ({"start": "0.5"}, "`start`=<string of 3 characters> is not a whole number"),
        ({"start": "-1"}, "`start`=<string of 2 characters> is not a whole number"),
    ],
)
def test_numbers_that_are_none_are_refused_one_by_one(tmp_path, cells, problem):
    names = [*MENTIONS, "mention", "score"]
    good = dict(zip(names, ["1", "左肾", " 0 ", "1.0", "病", "左", "0.5"], strict=True))
    rows = [[good[name] for name in names], [(good | {"id": "2"} | cells)[name] for name in names]]
    path = _table(tmp_path / "in.csv", [names, *rows])
    with pytest.raises(RecordError, match=rf"in\.csv:3: entity 1: {problem}"):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        (document,) = read_documents(path, rejects=rejects)
    assert rejects.count == 1
    (entity,) = document.entities
    assert (entity.start, entity.end, entity.label, entity.score) == (0, 1, "病", 0.5)


def test_sheets_that_are_not_read_are_counted(tmp_path, caplog):
    book = openpyxl.Workbook()
    assert book.active is not None
    for sheet in (book.active, book.create_sheet("二"), book.create_sheet("空"), book.create_sheet("四")):
        if sheet.title != "空":
            sheet.append(["id", "text"])
            sheet.append(["1", "左肾"])
    book["空"]["B2"].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "in.xlsx")
    with caplog.at_level("WARNING", logger="absl"):
        (document,) = read_documents(tmp_path / "in.xlsx", require_entities=False)
    assert document.text == "左肾"
    assert "in.xlsx: not read: 2 sheets after the first" in caplog.text


def test_formulas_without_a_value_are_refused(tmp_path):
    path = _table(tmp_path / "in.xlsx", [["id", "text"], ["1", "左肾"], ["2", "=A1&B1"], ["3", "右肾"]])
    problem = rf"{path}:3: the row has formulas without a computed value: 1; open the workbook in a spreadsheet program"
    with pytest.raises(RecordError, match=problem):
        list(read_documents(path, require_entities=False))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        documents = list(read_documents(path, require_entities=False, rejects=rejects))
    assert (rejects.count, [document.text for document in documents]) == (1, ["左肾", "右肾"])


@pytest.mark.parametrize(
    "cell",
    [
        b'<c r="C3" s="1"><v>98765432109</v></c>',
        b'<c r="C3" s="1"><v>1E+300</v></c>',
        b'<c r="C3" t="d"><v>98765-43-21</v></c>',
    ],
)
def test_dates_outside_the_range_of_dates_are_refused_without_their_value(tmp_path, cell):
    """openpyxl reads them as an error of a formula, and puts their value into a warning."""
    date = datetime.date(2020, 1, 2)
    rows = [["id", "text", "生日"], ["1", "左肾", date], ["2", "右肾", date], ["3", "药", "#VALUE!"]]
    plain = _table(tmp_path / "plain.xlsx", rows)
    path = _with_sheet(plain, tmp_path / "in.xlsx", lambda sheet: re.sub(rb'<c r="C3".*?</c>', cell, sheet))
    place = re.escape(f"{path}:3: ")
    with pytest.raises(
        RecordError, match=rf"^{place}the row has dates outside .*, in column: C; correct them"
    ):
        list(read_documents(path, require_entities=False))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects, warnings.catch_warnings():
        warnings.simplefilter("error")
        documents = list(read_documents(path, require_entities=False, rejects=rejects))
    assert rejects.count == 1
    assert [document.extra["生日"] for document in documents] == ["2020-01-02 00:00:00", "#VALUE!"]


def _with_sheet(path, changed, change):
    """Copies a workbook and changes the XML of its sheet."""
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith("sheet1.xml"):
                content, old = change(content), content
                assert content != old
            after.writestr(name, content)
    return changed


@pytest.mark.parametrize(("value", "text"), [("右肾", "右肾"), ("", "")])
def test_formulas_are_read_as_their_computed_values(tmp_path, value, text):
    path = _table(tmp_path / "plain.xlsx", [["id", "text"], ["2", "=A1&B1"]])

    def change(sheet):
        # As spreadsheet programs write it.
        return re.sub(rb'<c r="B2"(.*?)<v ?/?>(</v>)?', rb'<c r="B2" t="str"\1<v>@</v>', sheet).replace(
            b"@", value.encode()
        )

    computed = _with_sheet(path, tmp_path / "computed.xlsx", change)
    (document,) = read_documents(computed, require_entities=False)
    assert (document.text, document.extra) == (text, {"id": "2"})


def _texts(path, **keys):
    return [document.text for document in read_documents(path, require_entities=False, **keys)]


@pytest.mark.parametrize(
    "content",
    [
        "id,text\r1,左肾\r2,右肾\r",
        "id,text\r1,左肾\r2,右肾",
        "id,text\r\r1,左肾\r\n2,右肾\n",
        "\r\rid,text\r1,左肾\r2,右肾\r\n",
        "\nid;text\n1;左肾\n2;右肾\n",
        " \r\n\r\nid\ttext\r\n1\t左肾\r\n2\t右肾\r\n",
        "sep=;\nid;text\n1;左肾\n2;右肾\n",
        '"sep=|"\r\n"id"|text\r\n1|左肾\r\n2|右肾\r\n',
        "SEP=\t\rid\ttext\r1\t左肾\r2\t右肾\r",
    ],
)
def test_forms_of_a_csv(tmp_path, content):
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8", newline="")
    documents = list(read_documents(path, require_entities=False))
    assert [(document.text, document.extra) for document in documents] == [
        ("左肾", {"id": "1"}),
        ("右肾", {"id": "2"}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_within_quotation_marks_are_text(tmp_path, end):
    path = tmp_path / "in.csv"
    rows = ["id,text", '1,"左\r肾\n结\r\n石"', '2,"右""肾\r"', "3,药", '4,"左']
    path.write_text(end.join(rows), encoding="utf-8", newline="")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        texts = _texts(path, rejects=rejects)
    assert texts == ["左\r肾\n结\r\n石", '右"肾\r', "药"]
    (rejected,) = map(json.loads, rejects.path.read_text(encoding="utf-8").splitlines())
    assert rejected["record"] == '4,"左'
    # Two line feeds within the text of the first row are lines of the file.
    assert rejected["line"] == 7
    assert "quotation mark is not closed" in rejected["message"]


def test_a_carriage_return_among_line_feeds_is_named(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\n1,左肾\n2,右\r肾\n3,药\n", encoding="utf-8", newline="")
    with pytest.raises(RecordError, match=r"in\.csv:3: .* carriage return outside quotation marks"):
        _texts(path)
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert _texts(path, rejects=rejects) == ["左肾", "药"]
    assert rejects.count == 1


def test_bytes_of_a_csv_are_named_in_their_line(tmp_path):
    path = tmp_path / "in.csv"
    content = "\ufeffid,text\r1,左肾\r2,@\r".encode().replace(b"@", b"\xff")
    path.write_bytes(content)
    at = content.index(b"\xff")
    with pytest.raises(RecordError, match=rf"in\.csv:3: .*0xff at byte 2 of the line, {at} of the file"):
        _texts(path)
