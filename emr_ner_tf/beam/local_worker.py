"""The worker process of a job on this machine: Beam's own worker that also exits with its launcher or on failure.

`local_runner` starts `python -m emr_ner_tf.beam.local_worker PID` with the process id of the launcher. Errors are
printed on standard error; those that a user can fix have no stack trace.
"""

import logging
import os
import signal
import sys
import threading
import time
import traceback

from emr_ner_tf.errors import UserError

_POLL_SECONDS = 0.5


class _EndAtFailure(logging.Handler):
    """Exits at the first failure of a step; Beam's local runner would report it only after all other work."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None or record.exc_info[1] is None:
            return
        error = record.exc_info[1]
        if isinstance(error, UserError):
            print(error, file=sys.stderr, flush=True)
        else:
            traceback.print_exception(error)
        os._exit(1)


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _failed(error: BaseException | None) -> None:
    # If the launcher has exited, connections break; `_end_with` then exits during this pause, without a message.
    time.sleep(2 * _POLL_SECONDS)
    traceback.print_exception(error)
    os._exit(1)


def _set_logging() -> None:
    """Shows this project's log lines and failures only."""
    # Without a handler, the first message of any library would configure the root logger to print everything.
    logging.getLogger().addHandler(logging.NullHandler())
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger("emr_ner_tf").addHandler(shown)
    logging.getLogger("apache_beam.runners.common").addHandler(_EndAtFailure())
    # Beam would send all logs to the launcher.
    os.environ.pop("LOGGING_API_SERVICE_DESCRIPTOR", None)


def main() -> None:
    """Runs until the launcher reports that the job is finished."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    threading.excepthook = lambda arguments: _failed(arguments.exc_value)
    _set_logging()
    from apache_beam.runners.worker import sdk_worker_main

    try:
        sdk_worker_main.main(sys.argv)
    except Exception as error:
        _failed(error)
    # All results have been delivered, so the clean-up of libraries at exit is skipped.
    os._exit(0)


if __name__ == "__main__":
    main()
