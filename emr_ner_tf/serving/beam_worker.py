"""A worker process of a job on this machine: Beam's own, but it ends with its launcher and at the first failure.

`python -m emr_ner_tf.serving.beam_worker PID` is started by `beam_local`; PID is the launcher's. What goes wrong is
told on standard error: what a user can mend without a stack trace.
"""

import logging
import os
import re
import signal
import sys
import threading
import time
import traceback

from emr_ner_tf.errors import UserError

_POLL_SECONDS = 0.5
# Beam adds which step raised.
_STEP = re.compile(r" \[while running '[^']*'\]$")


class _EndAtFailure(logging.Handler):
    """Ends the process at a step's first failure; Beam's local runner would report it when all others are done."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None or record.exc_info[1] is None:
            return
        error = record.exc_info[1]
        if isinstance(error, UserError):
            print(_STEP.sub("", str(error)), file=sys.stderr, flush=True)
        else:
            traceback.print_exception(error)
        os._exit(1)


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _log_progress() -> None:
    """Only our own progress is shown; Beam's remarks go to the launcher, which leaves them out."""
    # Otherwise the first remark of any library would set the root logger up to print everything.
    logging.getLogger().addHandler(logging.NullHandler())
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger("emr_ner_tf").addHandler(shown)
    logging.getLogger("apache_beam.runners.common").addHandler(_EndAtFailure())


def main() -> None:
    """Works until the launcher says that all is done."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    _log_progress()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
    # All results have been handed over; what libraries still take down at exit is of no use.
    os._exit(0)


if __name__ == "__main__":
    main()
