"""A command's steps end with it: asked to first, so that they clean up."""

import os
import signal
import subprocess
import sys

import pytest

_CHILD = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).write_text("clean")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
_PARENT = """
import signal, sys
from emr_ner_tf.child_process import run_to_end
from emr_ner_tf.errors import Terminated
def end(number, _):
    raise Terminated(number)
signal.signal(signal.SIGTERM, end)
run_to_end([sys.executable, "-c", *sys.argv[1:]])
"""


def test_the_status_is_the_childs():
    from emr_ner_tf.child_process import run_to_end

    assert run_to_end([sys.executable, "-c", "raise SystemExit(7)"]) == 7
    assert run_to_end([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == -9


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_child_cleans_up_before_its_parent_ends(tmp_path, number):
    mark = tmp_path / "mark"
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD, str(mark)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout.readline() == "ready\n"
    os.kill(parent.pid, number)
    parent.communicate()
    assert mark.read_text() == "clean"
