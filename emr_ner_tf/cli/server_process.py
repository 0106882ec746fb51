"""A server as the work of a command: it runs until a signal arrives and answers what it has before it exits."""

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from absl import logging

if TYPE_CHECKING:
    from emr_ner_tf.server.server import Server


def serve_until_signal(
    server: "Server", grace_s: float, ready: str, then: Callable[[], object] = lambda: None
) -> None:
    """Prints `ready`, waits for SIGTERM, SIGINT or SIGHUP, stops the server and exits the process.

    Args:
        server: the running server.
        grace_s: seconds that running requests may take after the signal.
        ready: line for standard output.
        then: called after the line has been printed.
    """
    ended = threading.Event()
    # SIGHUP that is ignored (nohup) stays ignored.
    hang_up = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    ending = (signal.SIGTERM, signal.SIGINT, *hang_up)
    for number in ending:
        signal.signal(number, lambda *_: ended.set())
    print(ready, flush=True)
    then()
    # A signal may be delivered to a thread of TensorFlow or gRPC, which does not wake this one.
    while not ended.wait(0.2):
        pass
    for number in ending:
        signal.signal(number, signal.SIG_DFL)
    logging.info("stopping: running requests have %g s to finish", grace_s)
    in_time = server.stop(grace_s)
    if in_time:
        logging.info("stopped: every request was answered")
    else:
        logging.warning("stopped: requests were aborted after %g s", grace_s)
    # Neither a call of the graph nor the loading of a version can be aborted, and a normal exit would wait for it.
    os._exit(0 if in_time else 1)
