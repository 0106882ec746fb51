"""The parts of an archive's job: spans of files, what is read and refused, the directory of the output."""

import bz2
import gzip
import json
import lzma
import os
import random
import zlib

import pytest
import zstandard

from emr_ner_tf.beam import sink
from emr_ner_tf.beam.model_handler import fetch, newest_version
from emr_ner_tf.beam.source import ReadRecords, find_files, lines_of, parse, spans_of
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.lines import read_lines
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"one",
        b"one\n",
        b"\n\n",
        b"one\r\ntwo\n\n\xef\xbb\xbfthree" + 30 * b"x" + b"\nlast",
        b"a\nb\nc\nd\n",
    ],
)
def test_spans_hold_every_line_once(tmp_path, data):
    path = tmp_path / "in.txt"
    path.write_bytes(data)
    whole = [(line.offset, line.raw) for line in read_lines(path)]
    for size in range(1, len(data) + 2):
        spans = list(spans_of((str(path), len(data)), size))
        assert [(line.offset, line.raw) for span in spans for line in lines_of(span)] == whole


def _lines_of_text(folder, text):
    path = folder / "line"
    path.write_text(text, encoding="utf-8")
    return read_lines(path)


def test_a_record_keeps_its_id_or_gets_its_place(tmp_path):
    for given, id_ in (
        ('"id": "x"', "x"),
        ('"id": 0', 0),
        ('"id": ""', "f:7"),
        ('"id": null', "f:7"),
        ('"n": 1', "f:7"),
    ):
        line = next(_lines_of_text(tmp_path, f'{{"originalText": "", {given}}}'))._replace(offset=7)
        record = parse(line, "f", "ccks2019")
        assert record.document.extra["id"] == id_
        assert record.document.id == str(id_)
    with pytest.raises(RecordError, match=r"^f: byte 7: the line is not JSON"):
        parse(next(_lines_of_text(tmp_path, "{"))._replace(offset=7), "f", "ccks2019")


def test_an_unreadable_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"absent\*: no such file"):
        find_files([f"{tmp_path}/absent*"])
    with pytest.raises(UserError, match="no file system of Beam supports this path"):
        find_files(["nosuch://bucket/*"])
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        list(lines_of((str(tmp_path), 0, 1)))
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"not deflated")
    with pytest.raises(UserError, match=r"broken\.gz: cannot be read"):
        list(lines_of((str(tmp_path / "broken.gz"), 0, 1 << 62)))


@pytest.mark.parametrize("name", ["bio", "conll", "csv", "label_studio", "xlsx", "text", "gb18030"])
def test_a_file_of_another_format_ends_the_job(tmp_path, name):
    documents = [Document(str(i), "患者胃癌。", (Entity(2, 4, "疾病和诊断"),)) for i in range(5)]
    path = tmp_path / "records"
    if name == "gb18030":
        path.write_bytes('{"originalText": "患者胃癌。", "entities": []}\n'.encode("gb18030"))
    else:
        write_documents(path, documents, name)
    read = ReadRecords("ccks2019", skip=True)
    message = rf"^{path}: .* looks like .*; an archive holds JSON lines .* emr-ner data convert"
    with pytest.raises(UserError, match=message) as raised:
        list(read.process((str(path), 0, path.stat().st_size)))
    assert "胃癌" not in str(raised.value)


_PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "deflate": zlib.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("ending", _PACKERS)
def test_compressed_files_are_read_whole_or_not_at_all(tmp_path, ending):
    # Larger than what is unpacked at a time, and of two parts, as `cat a.gz b.gz` makes it.
    lines = [random.Random(i).randbytes(200).hex().encode() for i in range(2000)]
    parts = [b"".join(line + b"\n" for line in part) for part in (lines[:1500], lines[1500:])]
    packed = [_PACKERS[ending](part) for part in parts]
    path = tmp_path / f"in.{ending}"

    def read():
        return [line.raw for span in spans_of((str(path), path.stat().st_size)) for line in lines_of(span)]

    path.write_bytes(b"".join(packed))
    assert read() == lines
    whole = path.read_bytes()
    cut = (whole[:-1], whole[: len(packed[0]) // 2], whole[: len(packed[0]) + 3], b"")
    second_part = whole[: len(packed[0])] + b"?" + whole[len(packed[0]) + 1 :]
    for damaged in (*cut, second_part, b"no such format", whole + b"left over"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"in\.{ending}: cannot be read"):
            read()


def test_a_pattern_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"12345")
    assert find_files(["*.jsonl", "a.jsonl"]) == [("a.jsonl", 5)]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jsonl").write_bytes(b"123")
    assert find_files(["*/*.jsonl"]) == find_files(["sub/"]) == [("sub/b.jsonl", 3)]
    assert find_files(["**.jsonl"]) == [("a.jsonl", 5), ("sub/b.jsonl", 3)]


def test_a_file_named_by_several_paths_is_read_once_under_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl", "[c].jsonl"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "d.jsonl").symlink_to("b.jsonl")
    assert find_files(["./a.jsonl", "a.jsonl", f"{tmp_path}/*.jsonl", "d.jsonl"]) == [
        ("./a.jsonl", 5),
        (f"{tmp_path}/[c].jsonl", 5),
        (f"{tmp_path}/b.jsonl", 5),
    ]
    assert find_files(["[[]c].jsonl"]) == [("[c].jsonl", 5)]


@pytest.mark.parametrize("pattern", ["*.jsonl", "*/*.jsonl", "**", "sub/"])
@pytest.mark.parametrize("target", ["missing", "b.jsonl"])
def test_a_broken_link_that_a_pattern_matches_is_refused(tmp_path, monkeypatch, pattern, target):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ("sub" if pattern != "*.jsonl" else "")
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_bytes(b"12345")
    (folder / "b.jsonl").symlink_to(target)
    for given in (pattern, f"{tmp_path}/{pattern}"):
        with pytest.raises(UserError, match=r"b\.jsonl: .*matches this link: repair or remove it"):
            find_files([given])


def test_a_broken_link_that_no_pattern_matches_is_ignored(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"12345")
    (tmp_path / "b.txt").symlink_to("missing")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.jsonl").symlink_to("missing")
    assert find_files([f"{tmp_path}/*.jsonl"]) == [(f"{tmp_path}/a.jsonl", 5)]


def test_a_linked_folder_that_patterns_do_not_look_into_is_logged(tmp_path, caplog):
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1" / "a.jsonl").write_bytes(b"12345")
    (tmp_path / "day2").symlink_to("day1")
    assert find_files([f"{tmp_path}/*/a.jsonl"]) == [(f"{tmp_path}/day1/a.jsonl", 5)]
    assert f"{tmp_path}/day2: is a link to a folder" in caplog.text
    caplog.clear()
    assert find_files([f"{tmp_path}/day2/*.jsonl"]) == [(f"{tmp_path}/day2/a.jsonl", 5)]
    assert not caplog.text


@pytest.mark.parametrize("ending", ["", "/a.jsonl"])
def test_what_workers_cannot_read_in_parts_is_refused(tmp_path, ending):
    if ending:
        os.mkfifo(f"{tmp_path}{ending}")
        message = "must be a regular file, since several workers read it in parts"
    else:
        message = f"must be a file, got a folder; name its files: {tmp_path}/*.jsonl"
    with pytest.raises(UserError) as raised:
        find_files([f"{tmp_path}{ending}"])
    assert str(raised.value).startswith(f"{tmp_path}{ending}: {message}")


def test_the_newest_version_is_taken_and_can_be_fetched(tmp_path):
    (tmp_path / "ner/2/deep").mkdir(parents=True)
    (tmp_path / "ner/10").mkdir()
    for place in ("2/saved_model.pb", "2/deep/x", "10/saved_model.pb"):
        (tmp_path / "ner" / place).write_text(place)
    assert newest_version(f"{tmp_path}/ner/") == f"{tmp_path}/ner/10"
    assert newest_version(f"{tmp_path}/ner/2") == f"{tmp_path}/ner/2"
    fetch(f"{tmp_path}/ner/2", str(tmp_path / "copy"))
    assert (tmp_path / "copy/deep/x").read_text() == "2/deep/x"
    assert (tmp_path / "copy/saved_model.pb").read_text() == "2/saved_model.pb"
    with pytest.raises(UserError, match="no bundle: looked for"):
        newest_version(str(tmp_path))
    # Half a copy, or none of it, is not passed over for an older model; a file is no version.
    (tmp_path / "ner/12").write_text("12")
    assert newest_version(f"{tmp_path}/ner") == f"{tmp_path}/ner/10"
    (tmp_path / "ner/11").mkdir()
    for _ in range(2):
        with pytest.raises(
            UserError,
            match=rf"ner/11: the newest version has no saved_model\.pb; .* name version 10: {tmp_path}/ner/10$",
        ):
            newest_version(f"{tmp_path}/ner")
        (tmp_path / "ner/11/tags.txt").write_text("O")
    # A version may be a link.
    (tmp_path / "ner/13").symlink_to("2")
    assert newest_version(f"{tmp_path}/ner") == f"{tmp_path}/ner/13"


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "out-00000-of-00002.jsonl").write_text("somebody's")
    with pytest.raises(UserError, match="is not empty and contains no unfinished job"):
        sink.begin(str(tmp_path))
    assert (tmp_path / "out-00000-of-00002.jsonl").read_text() == "somebody's"


@pytest.mark.parametrize("below", ["empty", "full"])
def test_a_directory_of_folders_is_refused(tmp_path, below):
    (tmp_path / "out" / below).mkdir(parents=True)
    if below == "full":
        (tmp_path / "out" / below / "unfinished").write_text("somebody's")
    with pytest.raises(UserError, match="is not empty"):
        sink.begin(f"{tmp_path}/out")
    with pytest.raises(UserError, match=r"must not contain \*, \? or \["):
        sink.begin(f"{tmp_path}/out[1]")


def test_files_of_other_jobs_are_kept(tmp_path):
    sink.begin(str(tmp_path))
    theirs = ["out-00001-of-00002.jsonl", "rejects.jsonl", ".summary.json.1f.tmp"]
    for name in [*theirs, "notes.docx", "out.jsonl"]:
        (tmp_path / name).write_text("x")
    sink.begin(str(tmp_path))
    assert set(os.listdir(tmp_path)) == {"unfinished", "notes.docx", "out.jsonl"}


def test_renaming_can_be_repeated(tmp_path):
    commit = sink.Commit(str(tmp_path), sink.begin(str(tmp_path)))
    (tmp_path / ".one.tmp").write_text("1")
    (tmp_path / sink.REJECTS).write_text("an earlier try has renamed it")
    written = [("one", ".one.tmp", 1, 2, 3), (sink.REJECTS, ".gone.tmp", 4, 0, 0)]
    for _ in range(2):
        commit.process(("", written))
    assert (tmp_path / "one").read_text() == "1"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == {"records": 1, "entities": 2, "characters": 3, "rejected": 4, "shards": 1}


def test_records_on_their_way_are_private(tmp_path):
    commit = sink.Commit(str(tmp_path), sink.begin(str(tmp_path)))
    row = sink.Row("1", "in.jsonl", 0, 0, 2, '{"originalText": "肝癌"}')
    (written,) = sink.WriteFile(str(tmp_path)).process(("one", [sink.pack([row])]))
    (beside,) = tmp_path.glob("*.tmp")
    assert beside.stat().st_mode & 0o777 == 0o600
    before = os.umask(0o027)
    try:
        commit.process(("", [written[1]]))
    finally:
        os.umask(before)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o640


def test_deleted_files_are_not_part_of_the_result(tmp_path):
    commit = sink.Commit(str(tmp_path), sink.begin(str(tmp_path)))
    with pytest.raises(UserError, match=r"one: neither this file nor its temporary file exists"):
        commit.process(("", [("one", ".one.tmp", 1, 2, 3)]))
    assert set(os.listdir(tmp_path)) == {"unfinished"}


def test_a_job_whose_directory_another_has_taken_has_no_result(tmp_path):
    first = sink.Commit(str(tmp_path), sink.begin(str(tmp_path)))
    second = sink.Commit(str(tmp_path), sink.begin(str(tmp_path)))
    (tmp_path / ".one.tmp").write_text("1")
    written = [("one", ".one.tmp", 1, 2, 3)]
    with pytest.raises(UserError, match="claimed by another job"):
        first.process(("", written))
    second.process(("", written))
    assert sink.finish(str(tmp_path))["records"] == 1
    assert set(os.listdir(tmp_path)) == {"one", "summary.json"}


def test_files_left_by_a_kill_after_the_summary_are_deleted(tmp_path):
    sink.begin(str(tmp_path))
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / ".two.tmp").write_text("of a try that was repeated")
    with pytest.raises(UserError, match="contains a finished job"):
        sink.begin(str(tmp_path))
    assert set(os.listdir(tmp_path)) == {"summary.json"}
