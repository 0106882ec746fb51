"""The command quickstart starts over in a directory of its own, and in no other. CI runs `make quickstart` itself."""

import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def _start(work):
    command = [sys.executable, "-m", "emr_ner_tf.cli.quickstart", f"--work_dir={work}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    for line in process.stdout:
        if line.startswith("1/5"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_it_starts_over_where_an_earlier_one_was(tmp_path):
    work = tmp_path / "quickstart"
    _start(work)
    for name in ("model/config.json", "bundles/1/saved_model.pb", "scores.json", "mine.txt"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("old", encoding="utf-8")
    _start(work)
    assert not {"model", "bundles", "scores.json"} & set(os.listdir(work))
    assert (work / "mine.txt").exists()


def test_it_leaves_the_files_of_others_alone(cli, tmp_path):
    (tmp_path / "model").mkdir()
    done = cli("quickstart", f"--work_dir={tmp_path}")
    assert done.returncode == 1
    assert "--work_dir" in done.stderr
    assert (tmp_path / "model").exists()
