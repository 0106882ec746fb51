"""CoNLL columns: files in which two columns hold tags, and characters by number; the lines for spaCy."""

import pathlib
import re

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents

ROOT = pathlib.Path(__file__).parents[3]

TWO = "two columns hold tags"


def _file(folder, *records):
    path = folder / "in.conll"
    path.write_text("\n".join("".join(f"{row}\n" for row in rows) for rows in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (["左 B-病 B-病", "肾 I-病 O"], (2, 3)),
        (["左 n B-病 B-病", "肾 n I-病 O"], (3, 4)),
        (["左 B-病 n B-病", "肾 I-病 n O"], (2, 4)),
        (["左 B-病 B-药", "肾 I-病 O"], (2, 3)),
        (["左 n B-病 O", "肾 n I-病 O"], (3, 4)),
        (["左 n O B-病", "肾 n O I-病"], (3, 4)),
        (["左 病 病", "肾 病 O"], (2, 3)),
        (["左 n B-病 B-病", "肾 n I-病 I-病"], (3, 4)),
        (["左 n B-NP B-NP", "肾 n I-NP O"], (3, 4)),
    ],
)
def test_gold_annotation_and_prediction_cannot_be_distinguished(tmp_path, rows, columns):
    path = _file(tmp_path, rows)
    first, second = columns
    problem = f"{path}:1: {TWO}.*; name the column to read: --tag_column={first} or --tag_column={second}"
    with pytest.raises(RecordError, match=problem):
        list(read_documents(path, format="conll"))
    options = FormatOptions(tag_column=first, scheme="io" if "B" not in rows[0] else "bio")
    (document,) = read_documents(path, format="conll", options=options)
    expected = [] if rows[0].split()[first - 1] == "O" else ["左肾"]
    assert [entity.text for entity in document.entities] == expected


def test_phrases_are_no_mentions(tmp_path):
    # As in CoNLL-2003, where a sentence may have no phrase, and a mention that is in none.
    path = _file(
        tmp_path,
        ["EU NNP B-NP B-ORG", "rejects VBZ B-VP O"],
        ["1. CD O O"],
        ["Rome NNP O B-LOC"],
        ["Bonn NNP B-NP B-LOC"],
    )
    documents = list(read_documents(path, format="conll"))
    found = [[(entity.text, entity.label) for entity in document.entities] for document in documents]
    assert found == [[("EU", "ORG")], [], [("Rome", "LOC")], [("Bonn", "LOC")]]


def test_parts_of_speech_are_no_mentions(tmp_path):
    path = _file(tmp_path, ["左 f f B-病", "肾 n n I-病", "。 w w O"])
    (document,) = read_documents(path, format="conll")
    assert [entity.text for entity in document.entities] == ["左肾"]


@pytest.mark.parametrize(
    ("rows", "scheme", "remedy"),
    [
        (["左 S-病", "肾 I-病"], "", "correct it"),
        (["左 S-病", "肾 I-病"], "bio", "correct it"),
        (["左 S-病", "肾 O"], "bio", "correct it, or name the scheme: --scheme=bioes|bmes"),
        (["左 I-病", "肾 O"], "bioes", "correct it, or name the scheme: --scheme=iob1|io"),
        (["左 O", "肾 U-病"], "bmes", "correct it, or name the scheme: --scheme=bilou"),
    ],
)
def test_tags_that_do_not_fit_name_the_schemes_that_they_fit(tmp_path, rows, scheme, remedy):
    path = _file(tmp_path, rows)
    with pytest.raises(RecordError) as caught:
        list(read_documents(path, format="conll", options=FormatOptions(scheme=scheme)))
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("rows", "problem", "labels"),
    [
        (["左 O", "肾 B", "结 I"], "2: `tag`=<string of 1 characters> has no dash and label", ["B", "I"]),
        (
            ["左 O", "肾 B_病", "结 I_病"],
            "2: `tag`=<string of 3 characters> has no dash and label",
            ["B_病", "I_病"],
        ),
        (
            ["1 左 B-病", "2 肾 I-病"],
            "1: the first column numbers the rows.*: 1 to 2; remove that column",
            None,
        ),
    ],
)
@pytest.mark.parametrize("format", ["auto", "conll"])
def test_variants_that_would_be_misread_are_refused(tmp_path, rows, problem, labels, format):
    path = _file(tmp_path, rows)
    with pytest.raises(RecordError, match=rf"in\.conll:{problem}"):
        list(read_documents(path, format=format))
    if labels:
        (document,) = read_documents(path, format="conll", options=FormatOptions(scheme="io"))
        assert [entity.label for entity in document.entities] == labels


@pytest.mark.parametrize("rows", [["1 m O", "例 q O"], ["1 O", "2 O"], ["左 B B-病", "肾 E I-病"]])
def test_numbers_and_tags_of_words_are_read(tmp_path, rows):
    (document,) = read_documents(_file(tmp_path, rows), format="conll")
    assert document.text == "".join(row[0] for row in rows)


def test_a_document_starts_without_a_blank_line(tmp_path):
    path = _file(
        tmp_path, ["-DOCSTART- O", "左 B-病", "-DOCSTART- O", "-DOCSTART- O", "\ufeff右 B-病"], ["\ufeff肾 O"]
    )
    documents = list(read_documents(path))
    assert [document.text for document in documents] == ["左", "右", "肾"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("<U+110000>", "`token`=<U+110000> is no code point"),
        ("<U+FFFFFF>", "`token`=<U+FFFFFF> is no code point"),
        ("<U+D800>", "lone surrogate"),
    ],
)
def test_numbers_of_no_character_are_refused(tmp_path, code, problem):
    path = _file(tmp_path, ["左 O"], ["右 O", f"{code} O"], ["<U+10FFFF> O", "<U+0020> O"])
    with pytest.raises(RecordError, match=rf"in\.conll:[34]: .*{re.escape(problem)}"):
        list(read_documents(path, format="conll"))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        texts = [document.text for document in read_documents(path, format="conll", rejects=rejects)]
    assert (texts, rejects.count) == (["左", "\U0010ffff "], 1)


def test_the_documents_show_the_lines_for_spacy(tmp_path):
    documents = [Document("1", "左肾。", (Entity(0, 2, "病"),)), Document("2", "停药", ())]
    write_documents(tmp_path / "out.conll", documents, "conll")
    written = (tmp_path / "out.conll").read_text(encoding="utf-8")
    assert written.endswith("\tO\n\n")
    for page in ("docs/data.md", "docs/zh/data.md"):
        assert f"```\n{written[:-1]}```\n" in (ROOT / page).read_text(encoding="utf-8")
    # As spaCy's converter `ner` reads them: columns between white space, the token first and the tag last.
    found = [[line.split() for line in record.split("\n")] for record in written.strip().split("\n\n")]
    assert [[row[0] for row in record] for record in found] == [list(one.text) for one in documents]
    assert [row[-1] for row in found[0]] == ["B-病", "I-病", "O"]
