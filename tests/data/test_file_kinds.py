"""Files of another format than the one they are read as: one message that says what they look like."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pytest

from emr_ner_tf.data.passages import read_passages
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents

RECORDS = [{"originalText": f"肝癌{i}", "entities": []} for i in range(3)]
LINES = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in RECORDS)
COLUMNS = "左\tB-病\n肾\tI-病\n\n。\tO\n"
TEXT = "患者因腹痛入院。\n予头孢。\n"
PRETTY = json.dumps(RECORDS, indent=2, ensure_ascii=False)
SPREAD = "\n".join(json.dumps(record, indent=1) for record in RECORDS)


def _zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", content)
    return file.getvalue()


def _read(tmp_path, content, format, rejects=None):
    path = tmp_path / "in"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path, list(read_documents(path, format=format, rejects=rejects))


@pytest.mark.parametrize(
    ("format", "content", "looks", "remedy"),
    [
        ("ccks2019", COLUMNS, "BIO columns", "--format=bio"),
        ("ccks2019", f'# {{"id": 1}}\n{COLUMNS}', "BIO columns", "--format=bio"),
        ("ccks2019", "左 NN B-病\n肾 NN I-病\n", "BIO columns", "--format=bio"),
        ("ccks2019", " \tO\n左\tU-病\n", "BIO columns", "--format=bio"),
        ("ccks2019", TEXT, "plain text", "--format=text"),
        ("ccks2019", "[患者]腹痛。\n" + TEXT, "plain text", "--format=text"),
        ("ccks2019", "[1]腹痛。\n[2] 发热。\n", "plain text", "--format=text"),
        ("ccks2019", '<?xml version="1.0"?>\n<records>\n', "XML", "JSON lines"),
        ("bio", LINES, "JSON lines", "--format=ccks2019"),
        ("bio", PRETTY, "one JSON array", "jq"),
        ("bio", TEXT, "plain text", "--format=text"),
        ("bio", "左 NN B-病\n肾 NN I-病\n", "3 columns", "keep these two columns"),
        ("text", LINES, "JSON lines", "--format=ccks2019"),
        ("text", PRETTY, "one JSON array", "jq"),
        ("text", json.dumps(RECORDS), "one JSON array", "jq"),
        ("text", SPREAD, "JSON objects that are spread", "jq"),
        ("text", COLUMNS, "BIO columns", "--format=bio"),
    ],
)
def test_one_message_says_what_it_looks_like(tmp_path, format, content, looks, remedy):
    # Not as a bad record either: there is no good one in the file.
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects, pytest.raises(RecordError) as caught:
        _read(tmp_path, content, format, rejects)
    assert str(caught.value).startswith(f"{tmp_path}/in: the file looks like {looks}"), caught.value
    assert remedy in caught.value.remedy
    assert not (tmp_path / "rejects.jsonl").exists()
    assert not any(text in str(caught.value) for text in ("肝癌", "患者", "左"))


@pytest.mark.parametrize("format", ["ccks2019", "bio", "text"])
@pytest.mark.parametrize(
    ("content", "looks", "remedy"),
    [
        (gzip.compress(LINES.encode(), mtime=0), "compressed by gzip", "gunzip"),
        (bz2.compress(LINES.encode()), "compressed by bzip2", "bunzip2"),
        (lzma.compress(LINES.encode()), "compressed by xz", "unxz"),
        (_zip(LINES), "ZIP archive", "unpack"),
        (LINES.encode("utf-16"), "UTF-16", "iconv -f UTF-16"),
        (LINES.encode("utf-16-be"), "UTF-16", "iconv -f UTF-16"),
        (LINES.encode("gb18030"), "GB18030", "iconv -f GB18030"),
        (COLUMNS.encode("gbk"), "GB18030", "iconv -f GB18030"),
        (TEXT.encode("gbk"), "GB18030", "iconv -f GB18030"),
    ],
)
def test_what_is_no_utf8_text(tmp_path, format, content, looks, remedy):
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects, pytest.raises(RecordError) as caught:
        _read(tmp_path, content, format, rejects)
    assert str(caught.value).startswith(
        f"{tmp_path}/in:1: the line is not valid UTF-8, and the file looks like "
    )
    assert looks in str(caught.value)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("format", "content", "good", "bad"),
    [
        # A first line that is cut off, broken or no object says nothing of the others.
        ("ccks2019", '{"originalText": "肝\n' + LINES, 3, 1),
        ("ccks2019", "{\n" + LINES, 3, 1),
        ("ccks2019", "x\n" + LINES, 3, 1),
        ("ccks2019", "[1]\n[2]\n", 0, 2),
        ("ccks2019", LINES.encode()[:20] + b"\xe8\n" + LINES.encode(), 3, 1),
        ("ccks2019", "患者因腹痛入院。", 0, 1),
        # Nor does a first line that is as it should be.
        ("ccks2019", LINES + PRETTY, 3, 14),
        ("bio", COLUMNS + "\n\n" + TEXT, 2, 1),
        ("bio", "[ O\n{ O\n\n# {}\n\n# O\n肝 O\n", 3, 0),
        ("bio", "\ufeff<U+0020> O\n", 1, 0),
        ("bio", "肝癌\tO\n胃\tO\n", 0, 1),
        # Texts may be anything that is not surely something else.
        ("text", '{"a": 1}\n[]\n[1]\n肝 O\n', 4, 0),
        ("text", "[\n肝\n", 2, 0),
        ("text", "肝 O\n", 1, 0),
    ],
)
def test_files_that_have_faults_or_none(tmp_path, format, content, good, bad):
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        _, documents = _read(tmp_path, content, format, rejects)
    assert (len(documents), rejects.count) == (good, bad)


@pytest.mark.parametrize(
    "content", [PRETTY, json.dumps(RECORDS), f"\ufeff\n \n{PRETTY}", f"[\n{LINES}\n]", SPREAD]
)
@pytest.mark.parametrize("format", ["ccks2019", "auto"])
def test_one_array_and_objects_over_several_lines_are_read(tmp_path, content, format):
    _, documents = _read(tmp_path, content, format)
    assert [document.text for document in documents] == [record["originalText"] for record in RECORDS]


def test_passages_are_not_taken_from_what_is_no_text(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(gzip.compress(TEXT.encode(), mtime=0))
    with pytest.raises(RecordError, match="the file looks like"):
        list(read_passages(path))


@pytest.mark.parametrize("content", [PRETTY, json.dumps(RECORDS)])
def test_passages_of_an_array_are_its_texts(tmp_path, content):
    path = tmp_path / "in"
    path.write_text(content, encoding="utf-8")
    assert list(read_passages(path)) == [record["originalText"] for record in RECORDS]
