"""Where a rejects file may be: never in an input's place, as private as its output, named on a full disk."""

import os

import pytest

from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import RejectsWriter
from emr_ner_tf.errors import UsageError

ERROR = RecordError("is missing", key="entities", path="f", line=3)


def test_an_input_is_never_written(tmp_path):
    taken = tmp_path / "x.rejects.jsonl"
    taken.write_text("records")
    (tmp_path / "link").symlink_to(taken)
    for name in (taken, tmp_path / "link"):
        with pytest.raises(UsageError, match=r"x\.rejects\.jsonl: is an input"):
            RejectsWriter.beside(tmp_path / "x", [name])
    assert taken.read_text() == "records"


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o644, 0o644), (0o660, 0o640)])
def test_the_mode_is_that_of_the_output(tmp_path, mode, expected):
    output = tmp_path / "x"
    output.write_text("patients")
    output.chmod(mode)
    before = os.umask(0o022)
    try:
        with RejectsWriter.beside(output) as rejects:
            rejects.add(ERROR, b"record")
    finally:
        os.umask(before)
    assert rejects.path.stat().st_mode & 0o777 == expected


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    output = tmp_path / ("肝" * 81)
    message = r"must have at most 255 bytes, got 257; name a shorter --output$"
    with pytest.raises(UsageError, match=message):
        RejectsWriter.beside(output)
    shorter = tmp_path / ("肝" * 80)
    with RejectsWriter.beside(shorter) as rejects:
        rejects.add(ERROR, b"record")
    assert [path.name for path in tmp_path.iterdir()] == [f"{shorter.name}.rejects.jsonl"]


def test_a_full_disk_is_named(tmp_path):
    path = tmp_path / "x.rejects.jsonl"
    path.symlink_to("/dev/full")
    rejects = RejectsWriter(path)
    with pytest.raises(OSError, match="No space left") as raised:
        rejects.add(ERROR, b"record")
    assert raised.value.filename == str(path)
