"""Background jobs run in their order, and every failure is raised."""

import threading

import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.background import BackgroundWriter


def _fail():
    raise UserError("the disk is full")


def test_a_job_waits_for_the_one_before():
    done, first = [], threading.Event()
    with BackgroundWriter() as writer:
        writer.submit(lambda: (first.wait(), done.append(1)))
        # Nothing to report, and nothing to wait for.
        writer.check()
        assert not done
        first.set()
        writer.submit(lambda: done.append(2))
    assert done == [1, 2]


@pytest.mark.parametrize("report", ["wait", "submit", "exit"])
def test_a_failure_is_reported(report):
    def use(writer):
        with writer:
            writer.submit(_fail)
            if report == "wait":
                writer.wait()
            elif report == "submit":
                writer.submit(lambda: None)

    with pytest.raises(UserError, match="the disk is full"):
        use(BackgroundWriter())


def test_a_failure_is_reported_once():
    with BackgroundWriter() as writer:
        writer.submit(_fail)
        with pytest.raises(UserError):
            writer.wait()
        writer.check()
        writer.wait()


def test_the_error_that_ends_the_block_comes_first(caplog):
    def use(writer):
        with writer:
            writer.submit(_fail)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use(BackgroundWriter())
    assert "the disk is full" in caplog.text
