"""Files of records: marks and line ends, what is passed over, places in errors, rejects, several passes."""

import base64
import json

import pytest
from absl import logging

from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_again, read_documents
from emr_ner_tf.errors import UserError

GOOD = '{"originalText": "肝癌", "entities": []}'.encode()
BAD = '{"originalText": "肝癌"}'.encode()
NOT_UTF8 = b'{"originalText": "\xe8\x82", "entities": []}'


def _file(tmp_path, content, name="records.jsonl"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_line_ends_and_blank_lines(tmp_path, mark, end, last):
    content = mark + end + end.join([GOOD, b" \t", b"", GOOD]) + (end if last else b"")
    documents = list(read_documents(_file(tmp_path, content)))
    assert [document.text for document in documents] == ["肝癌", "肝癌"]
    assert [document.id for document in documents] == [f"{tmp_path}/records.jsonl:{line}" for line in (2, 5)]


def test_marks_of_joined_files(tmp_path):
    path = _file(tmp_path, b"\xef\xbb\xbf" + GOOD + b"\n\xef\xbb\xbf" + GOOD)
    assert len(list(read_documents(path))) == 2


def test_only_a_line_feed_ends_a_line(tmp_path):
    text = "肝\u2028癌\x85"
    path = _file(tmp_path, json.dumps({"originalText": text, "entities": []}, ensure_ascii=False).encode())
    assert [document.text for document in read_documents(path)] == [text]


def test_empty_file(tmp_path):
    assert list(read_documents(_file(tmp_path, b""))) == []


def test_first_bad_record_ends_reading(tmp_path):
    found = []
    with pytest.raises(RecordError) as caught:
        found.extend(read_documents(_file(tmp_path, GOOD + b"\n\n" + BAD + b"\n" + GOOD)))
    assert str(caught.value) == f"{tmp_path}/records.jsonl:3: `entities` is missing"
    assert (caught.value.path, caught.value.line) == (f"{tmp_path}/records.jsonl", 3)


def test_not_utf8_is_named_by_line_and_byte(tmp_path):
    path = _file(tmp_path, b"\xef\xbb\xbf" + GOOD + b"\n" + NOT_UTF8)
    at = 3 + len(GOOD) + 1 + 18
    with pytest.raises(RecordError) as caught:
        list(read_documents(path))
    assert str(caught.value) == (
        f"{path}:2: the line is not valid UTF-8: 0xe8 at byte 18 of the line, {at} of the file, from 0"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
@pytest.mark.parametrize("format", ["ccks2019", "bio", "text"])
def test_other_encodings_are_refused(tmp_path, encoding, format):
    path = _file(tmp_path, "肝\tO\n".encode(encoding))
    with pytest.raises(RecordError, match=r":1: the line is not valid UTF-8"):
        list(read_documents(path, format=format))


@pytest.mark.parametrize("format", ["ccks2019", "bio", "text"])
def test_files_that_cannot_be_read(tmp_path, format):
    with pytest.raises(RecordError, match=r"absent\.jsonl: no such file"):
        list(read_documents(tmp_path / "absent.jsonl", format=format))
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        list(read_documents(tmp_path, format=format))


def test_a_file_that_cannot_be_read_is_no_reject(tmp_path):
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects, pytest.raises(RecordError):
        list(read_documents(tmp_path / "absent.jsonl", rejects=rejects))
    assert not (tmp_path / "rejects.jsonl").exists()


def test_arguments_are_checked_at_once():
    with pytest.raises(UserError, match=r"auto, ccks2019, bio, text, .*, got 'xml'"):
        read_documents("absent", format="xml")
    with pytest.raises(UserError, match="error, longest, keep, got 'first'"):
        read_documents("absent", overlaps="first")


def test_rejects_hold_every_bad_record_as_it_was(tmp_path):
    path = _file(tmp_path, b"\n".join([GOOD, BAD + b"\r", NOT_UTF8, b"\x00\xff", GOOD]))
    with RejectsWriter(tmp_path / "deep" / "rejects.jsonl") as rejects:
        assert len(list(read_documents(path, rejects=rejects))) == 2
    assert rejects.count == 3
    lines = rejects.path.read_text(encoding="utf-8").splitlines()
    first, second, third = map(json.loads, lines)
    assert first == {
        "file": str(path),
        "line": 2,
        "entity": None,
        "rule": "`entities` is missing",
        "value": None,
        "message": f"{path}:2: `entities` is missing",
        "record": f"{BAD.decode()}\r",
    }
    assert (second["line"], base64.b64decode(second["record_base64"])) == (3, NOT_UTF8)
    assert (third["line"], base64.b64decode(third["record_base64"])) == (4, b"\x00\xff")


def test_rejects_of_columns_are_whole_records(tmp_path):
    path = _file(tmp_path, '肝\tO\n\n# {"id": 1}\n肝\tO\n癌\tI-病\r\n痛\tO\n\n药\tO\n'.encode())
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        documents = list(read_documents(path, format="bio", rejects=rejects))
    assert [document.text for document in documents] == ["肝", "药"]
    (line,) = rejects.path.read_text(encoding="utf-8").splitlines()
    reject = json.loads(line)
    assert (reject["line"], reject["record"]) == (5, '# {"id": 1}\n肝\tO\n癌\tI-病\r\n痛\tO')


def test_plain_text(tmp_path):
    path = _file(tmp_path, "\ufeff肝癌\r\n\n 痛 \r药\n\ufeff{}\n".encode(), "notes.txt")
    documents = list(read_documents(path, format="text"))
    assert [document.text for document in documents] == ["肝癌", " 痛 \r药", "\ufeff{}"]
    assert [document.id for document in documents] == [f"{path}:{line}" for line in (1, 3, 4)]


def _overlapping(tmp_path):
    mentions = [
        {"label_type": "病", "start_pos": start, "end_pos": end} for start, end in ((0, 1), (0, 2), (1, 2))
    ]
    return _file(tmp_path, json.dumps({"originalText": "肝癌", "entities": mentions}).encode())


def test_remedies_name_the_options(tmp_path):
    path = _overlapping(tmp_path)
    for options, remedy in (
        ({}, "use --overlaps=longest, .*--config.data.overlaps=longest"),
        (
            {"overlaps": "longest", "labels": ("药",)},
            "use --labels=infer, .*--labels=FILE.*--config.data.labels=infer",
        ),
        (
            {"overlaps": "longest", "labels": ("药",), "remedies": {"labels": "train with it"}},
            "; train with it$",
        ),
    ):
        with pytest.raises(RecordError, match=remedy) as caught:
            list(read_documents(path, **options))
        # A list of errors gives each remedy once.
        assert caught.value.fault + f"; {caught.value.remedy}" == str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
@pytest.mark.parametrize("format", ["ccks2019", "bio", "text"])
def test_a_file_without_records_is_logged(tmp_path, caplog, content, format):
    path = _file(tmp_path, content)
    logging.use_absl_handler()
    with caplog.at_level("WARNING", logger="absl"):
        assert list(read_documents(path, format=format)) == []
    assert f"{path}: the file holds no record" in caplog.text


def test_a_file_of_bad_records_is_not_called_empty(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="absl"), RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        assert list(read_documents(_file(tmp_path, BAD), rejects=rejects)) == []
    assert caplog.text == ""


def test_dropped_mentions_are_counted_in_the_log(tmp_path, caplog):
    path = _overlapping(tmp_path)
    logging.use_absl_handler()
    with caplog.at_level("WARNING", logger="absl"):
        (document,) = read_documents(path, overlaps="longest")
    assert len(document.entities) == 1
    assert f"{path}: 2 mentions left out" in caplog.text


def test_a_second_pass_is_silent_and_gives_the_good_records(tmp_path, caplog):
    path = _overlapping(tmp_path)
    path.write_bytes(path.read_bytes() + b"\n" + BAD + b"\n" + GOOD)
    with caplog.at_level("WARNING", logger="absl"):
        documents = list(read_again(path, overlaps="longest"))
    assert [len(document.entities) for document in documents] == [1, 0]
    assert caplog.text == ""


def test_reading_holds_one_record_at_a_time(tmp_path):
    path = _file(tmp_path, GOOD + b"\n" + BAD)
    documents = read_documents(path)
    assert next(documents).text == "肝癌"
    with pytest.raises(RecordError):
        next(documents)


def test_real_records_come_back(shared, tmp_path):
    from emr_ner_tf.data.labels import CCKS2019_LABELS
    from emr_ner_tf.data.writing import write_documents

    source = shared / "data/ccks2019/subtask1_training_part2.txt"
    documents = list(read_documents(source, labels=CCKS2019_LABELS))
    expected = [
        json.loads(line) for line in source.read_text(encoding="utf-8-sig").split("\n") if line.strip()
    ]
    assert (len(documents), sum(len(document.entities) for document in documents)) == (600, 10311)
    for format in ("ccks2019", "bio"):
        between, back = tmp_path / f"between.{format}", tmp_path / f"{format}.jsonl"
        write_documents(between, documents, format)
        write_documents(back, read_documents(between, format=format))
        assert [json.loads(line) for line in back.read_text(encoding="utf-8").splitlines()] == expected
