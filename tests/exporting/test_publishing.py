"""Versions under one directory: many exports at once, entries that are no versions, and what killed exports left."""

import contextlib
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.publishing import keep_newest, publish, unpublished_version


def _publish(output: pathlib.Path, content: str = "") -> pathlib.Path:
    with unpublished_version(output) as unpublished:
        (unpublished / "variables").mkdir()
        (unpublished / "variables/data").write_text(content)
        return publish(unpublished, output)


def test_versions_count_up(tmp_path):
    output = tmp_path / "made" / "bundles"
    assert [_publish(output, str(i)) for i in range(3)] == [output / "1", output / "2", output / "3"]
    assert (output / "2/variables/data").read_text() == "1"
    assert sorted(path.name for path in output.iterdir()) == ["1", "2", "3"]


def test_many_exports_at_once_all_get_a_number(tmp_path):
    failures, begin = [], threading.Barrier(4)

    def work(worker):
        begin.wait()
        for i in range(60):
            try:
                version = _publish(tmp_path, f"{worker} {i}")
                assert (version / "variables/data").read_text() == f"{worker} {i}"
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    contents = [(tmp_path / f"{number}/variables/data").read_text() for number in range(1, 241)]
    assert len(set(contents)) == len(list(tmp_path.iterdir())) == 240


@pytest.mark.parametrize("kind", ["file", "dangling link", "empty folder", "link to a folder"])
def test_whatever_bears_the_next_number_is_skipped(tmp_path, kind):
    output = tmp_path / "bundles"
    _publish(output)
    if kind == "file":
        (output / "2").write_text("mine")
    elif kind == "empty folder":
        (output / "2").mkdir()
    else:
        (output / "2").symlink_to(tmp_path / "elsewhere")
        if kind == "link to a folder":
            (tmp_path / "elsewhere").mkdir()
    assert _publish(output) == output / "3"
    assert (output / "2").is_symlink() == ("link" in kind)
    assert (output / "2").is_file() == (kind == "file")


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path):
    """Between looking for a number and the rename another program may reserve it by an empty folder."""
    reserved = []

    def reserve():
        for number in range(1, 400):
            with contextlib.suppress(FileExistsError):
                (tmp_path / str(number)).mkdir()
                reserved.append(number)
                time.sleep(0.0002)

    thread = threading.Thread(target=reserve)
    thread.start()
    published = [int(_publish(tmp_path).name) for _ in range(40)]
    thread.join()
    assert not set(published) & set(reserved)
    assert reserved


def test_no_number_is_left(tmp_path):
    highest = tmp_path / str((1 << 63) - 1)
    highest.mkdir()
    with pytest.raises(UserError, match="a new version needs a higher number"):
        _publish(tmp_path)
    assert list(tmp_path.iterdir()) == [highest]


def test_an_output_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="must be a directory"):
            _publish(output)
    assert (tmp_path / "file").read_text() == "mine"


def test_keeping_removes_a_link_and_never_its_target(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "saved_model.pb").write_text("precious")
    output = tmp_path / "bundles"
    output.mkdir()
    (output / "1").symlink_to(elsewhere)
    for name in ("02", "2"):
        (output / name).mkdir()
        (output / name / "saved_model.pb").write_text("a graph")
    (output / "3").write_text("a file of the user's")
    (output / "0").mkdir()
    (output / "0" / "mine.txt").write_text("no version")
    newest = _publish(output)
    assert newest == output / "4"
    (newest / "saved_model.pb").write_text("a graph")
    assert keep_newest(output, 1) == [output / "1", output / "02", output / "2"]
    assert sorted(path.name for path in output.iterdir()) == ["0", "3", "4"]
    assert (elsewhere / "saved_model.pb").read_text() == "precious"


def test_folders_are_counted_and_files_are_not(tmp_path):
    for name in ("1", "2", "5"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text("a graph")
    (tmp_path / "4").write_text("a file")
    (tmp_path / "7").mkdir()
    assert keep_newest(tmp_path, 2) == [tmp_path / "1"]
    assert keep_newest(tmp_path, 3) == []


def test_a_failure_leaves_nothing(tmp_path):
    def fail():
        with unpublished_version(tmp_path / "a" / "b") as unpublished:
            (unpublished / "part").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


_HALF_AN_EXPORT = """
import sys, time
from emr_ner_tf.exporting.publishing import unpublished_version
with unpublished_version(sys.argv[1]) as path:
    (path / "saved_model.pb").write_text("half")
    print(path, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_export_left_is_removed_and_what_is_in_use_is_not(tmp_path):
    (tmp_path / ".unpublished.mine").mkdir()
    removed = tmp_path / f".removed.3.{'0' * 32}"
    (removed / "variables").mkdir(parents=True)
    (tmp_path / f".unpublished.{'1' * 32}").symlink_to(tmp_path / "1")
    with subprocess.Popen(
        [sys.executable, "-c", _HALF_AN_EXPORT, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        killed = pathlib.Path(process.stdout.readline().strip())
        assert not removed.exists()
        with unpublished_version(tmp_path) as own:
            assert (killed / "saved_model.pb").exists(), "another process is at work on it"
            (own / "saved_model.pb").write_text("half")
            process.send_signal(signal.SIGKILL)
            process.wait()
            _publish(tmp_path)
            assert not killed.exists()
            assert own.exists(), "it is this process's own"
    assert {path.name for path in tmp_path.iterdir()} == {
        "1",
        ".unpublished.mine",
        f".unpublished.{'1' * 32}",
    }
