"""Lines of progress: how often they come, and what they count."""

import logging

from emr_ner_tf.training.progress_log import ProgressLog


def _lines(caplog, seconds):
    log = ProgressLog(seconds, total_steps=10, first_step=4)
    with caplog.at_level(logging.INFO, logger="absl"):
        for step in range(5, 9):
            log.step(float(step), 100, f"step {step}")
    return [record.getMessage() for record in caplog.records]


def test_each_step_but_the_first_where_no_time_lies_between(caplog):
    lines = _lines(caplog, 0.0)
    assert [line.split(" characters/s")[0].rsplit(",", 1)[0] for line in lines] == [
        "step 6: loss 6.000",
        "step 7: loss 7.000",
        "step 8: loss 8.000",
    ]
    assert all(line.endswith(" characters/s, 0:00:00 left") for line in lines)


def test_no_more_often_than_asked_for(caplog):
    assert _lines(caplog, 3600.0) == []
