"""Output files: whole or absent, links followed, modes kept, streams written through, nothing left behind."""

import errno
import fcntl
import os
import pathlib
import stat
import subprocess
import sys
import threading

import pytest
from small_disk import no_file_beyond

from emr_ner_tf.data.atomic_io import atomic_writer, is_stream
from emr_ner_tf.errors import UserError, describe_os_error


def _write(path, content="new"):
    with atomic_writer(path) as file:
        file.write(content)


def _mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_link_is_followed(tmp_path):
    target = tmp_path / "deep" / "target"
    target.parent.mkdir()
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    _write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["target"]


def test_a_link_to_nothing_makes_its_target(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere" / "target")
    _write(link)
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "target").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_of_a_file_is_kept(tmp_path, mode):
    path = tmp_path / "records"
    path.write_text("old")
    path.chmod(mode)
    _write(path)
    assert (path.read_text(), _mode(path)) == ("new", mode)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path, umask):
    before = os.umask(umask)
    try:
        _write(tmp_path / "records")
        now = os.umask(umask)
    finally:
        os.umask(before)
    assert _mode(tmp_path / "records") == 0o666 & ~umask
    assert now == umask


def test_a_file_on_its_way_is_private(tmp_path):
    with atomic_writer(tmp_path / "records") as file:
        (beside,) = tmp_path.iterdir()
        assert _mode(beside) == 0o600
        file.write("a record")


def test_a_device_is_written_through(tmp_path):
    if os.geteuid():
        pytest.skip("needs root: a device is made")
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    _write(null)
    assert stat.S_ISCHR(os.stat(null).st_mode)
    assert os.listdir(tmp_path) == ["null"]


def test_a_pipe_is_written_through(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    _write(pipe)
    reader.join()
    assert read == ["new"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_hyphen_is_standard_output(capsysbinary, mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_writer("-", mode) as file:
        file.write("肝" if mode == "w" else "肝".encode())
    assert capsysbinary.readouterr().out == "肝".encode()
    assert os.listdir(tmp_path) == []


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(UserError, match="must be a file, got a directory"):
        _write(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "records.jsonl"
    code = (
        "import os, signal, sys\nfrom emr_ner_tf.data.atomic_io import atomic_writer\n"
        "with atomic_writer(sys.argv[1]) as file:\n"
        "    file.write('half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (left,) = os.listdir(tmp_path)
    assert left.endswith(".tmp")
    _write(tmp_path / "other")
    assert left in os.listdir(tmp_path), "it belongs to another output"
    _write(path)
    assert sorted(os.listdir(tmp_path)) == ["other", "records.jsonl"]


def test_what_another_process_is_writing_stays(tmp_path):
    path = tmp_path / "records.jsonl"
    with atomic_writer(path) as file:
        _write(path, "of another")
        file.write("of the last to end")
    assert path.read_text() == "of the last to end"
    assert os.listdir(tmp_path) == ["records.jsonl"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("肝" * 85)
    assert len(os.fsencode(path.name)) == 255
    _write(path)
    assert path.read_text() == "new"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    beside = tmp_path / ".records.0123.tmp"
    beside.write_text("who knows whose")
    _write(tmp_path / "records")
    assert sorted(os.listdir(tmp_path)) == [beside.name, "records"]


def test_a_full_disk_names_the_output_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "records"
    path.write_text("old")
    with (
        no_file_beyond(1000),
        pytest.raises(OSError, match="File too large") as raised,
        atomic_writer(path) as file,
    ):
        file.write("x" * 5000)
    assert raised.value.filename == str(path)
    assert describe_os_error(raised.value).startswith(f"{path}: File too large; ")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["records"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as raised:  # noqa: PT011 (which one depends on the system)
        _write(tmp_path / "file" / "records")
    assert str(tmp_path / "file") in str(raised.value.filename)


def test_streams(tmp_path):
    regular = tmp_path / "regular"
    regular.write_text("")
    assert [is_stream(path) for path in ("-", "/dev/null", regular, tmp_path / "absent")] == [
        True,
        True,
        False,
        False,
    ]
    assert pathlib.Path("-").exists() is False
