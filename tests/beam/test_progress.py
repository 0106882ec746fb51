"""The bar of an archive: what workers have counted, on a terminal only."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from emr_ner_tf import progress_bar
from emr_ner_tf.beam import progress

_WORKER = """
from emr_ner_tf.beam.progress import RecordCounter
for records in (2, 3):
    counter = RecordCounter()
    counter.add(records)
    counter.flush()
    assert counter.is_shown
"""


def test_without_a_terminal_there_is_no_bar():
    with progress.shown_progress("annotating"):
        assert progress.FOLDER not in os.environ
        counter = progress.RecordCounter()
        counter.add(5)
        counter.flush()
    assert (counter.count, counter.is_shown) == (5, False)


@pytest.mark.parametrize("fails", [False, True])
def test_the_bar_has_what_workers_have_counted(monkeypatch, fails):
    shown = []
    monkeypatch.setattr(progress, "bars_enabled", lambda: True)
    monkeypatch.setattr(progress_bar.ProgressBar, "advance", lambda self, steps: shown.append(steps))
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.01)
    threads = threading.active_count()
    outcome = pytest.raises(ValueError, match="stopped") if fails else contextlib.nullcontext()
    with outcome, progress.shown_progress("annotating"):
        folder = os.environ[progress.FOLDER]
        for _ in range(2):
            subprocess.run([sys.executable, "-c", _WORKER], check=True)
        if fails:
            raise ValueError("stopped")
    assert sum(shown) == 10
    assert all(steps >= 0 for steps in shown)
    assert not os.path.exists(folder)
    assert progress.FOLDER not in os.environ
    assert threading.active_count() == threads
