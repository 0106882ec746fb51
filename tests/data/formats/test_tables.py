"""Tables (CSV, XLSX): flat memory, and cells that a spreadsheet program would take for formulas."""

import csv
import itertools
import tracemalloc

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents


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
