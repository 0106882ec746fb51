"""The rejects file: begins with the first record, belongs to the last run."""

import pytest

from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import RejectsWriter

ERROR = RecordError("is missing", key="entities", path="f", line=3)


def test_no_reject_no_file_and_an_old_one_goes(tmp_path):
    path = tmp_path / "rejects.jsonl"
    with RejectsWriter(path) as rejects:
        pass
    assert not path.exists()
    path.write_text("of an earlier run")
    with RejectsWriter(path) as rejects:
        pass
    assert rejects.count == 0
    assert not path.exists()


def test_a_run_that_fails_before_any_reject_leaves_the_old_file(tmp_path):
    path = tmp_path / "rejects.jsonl"
    path.write_text("of an earlier run")
    with pytest.raises(RuntimeError), RejectsWriter(path):
        raise RuntimeError
    assert path.read_text() == "of an earlier run"


def test_a_run_that_fails_later_keeps_its_rejects(tmp_path):
    path = tmp_path / "rejects.jsonl"
    path.write_text("of an earlier run")
    rejects = RejectsWriter(path)
    rejects.add(ERROR, b"one\x85line")
    assert (
        len(path.read_text(encoding="utf-8", errors="strict").splitlines()) == 1
    )  # there before it is closed
    with pytest.raises(RuntimeError), rejects:
        raise RuntimeError
    rejects.close()
    assert "record_base64" in path.read_text(encoding="utf-8")


def test_an_error_says_where_what_and_the_value():
    assert str(ERROR) == "f:3: `entities` is missing"
    assert str(RecordError("no such file", path="f")) == "f: no such file"
    assert (
        str(RecordError("is odd", key="k", value="3", path="f", line=1, entity=2))
        == "f:1: entity 2: `k`=3 is odd"
    )
    assert str(RecordError("is odd", value="3")) == "is odd: 3"
