"""A pipeline on this machine: Beam's FnApiRunner, by name, with worker processes of our own."""

import logging
import os
import queue
import shlex
import sys
import threading
from collections.abc import Callable

from apache_beam import Pipeline
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from emr_ner_tf.errors import UserError

# Beam's name for the thread that waits for a worker process; it raises when that ends badly.
_WAITING_THREAD = "run_worker"


def run_on_this_machine(build: Callable[[Pipeline], object], options: PipelineOptions, workers: int) -> None:
    """Runs a pipeline to its end.

    When this raises, threads of Beam's and workers may be at work still: the process is to end, by `os._exit`, and the
    workers end with it.

    Args:
        build: adds the steps to a pipeline.
        options: of Beam; those of file systems reach the workers.
        workers: processes.

    Raises:
        UserError: a worker has ended before the job; it has said why, unless it was killed.
    """
    # Beam repeats here, with a stack trace, the message that a worker has printed already.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    options.view_as(DirectOptions).direct_num_workers = workers
    outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def thread_failed(arguments: threading.ExceptHookArgs) -> None:
        # A runner that has lost a worker waits for it for ever.
        if arguments.thread is not None and arguments.thread.name == _WAITING_THREAD:
            reason = str(arguments.exc_value)
            hint = ": killed, often for want of memory, of which fewer workers need less"
            outcome.put(UserError(f"no result: {reason}{hint if reason.endswith('-9') else ''}"))

    def work() -> None:
        try:
            pipeline = Pipeline(_runner(options), options)
            build(pipeline)
            pipeline.run().wait_until_finish()
            outcome.put(None)
        except BaseException as error:
            outcome.put(error)

    hook, threading.excepthook = threading.excepthook, thread_failed
    threading.Thread(target=work, daemon=True).start()
    error = outcome.get()
    if error is not None:
        # The hook stays: threads that read from a worker fail when it has gone, and would tell it with a stack trace.
        raise error
    threading.excepthook = hook


def _runner(options: PipelineOptions) -> FnApiRunner:
    # `exec`, so that the worker is this process's own child and sees it end.
    command = f"exec {shlex.quote(sys.executable)} -m emr_ner_tf.beam.local_worker {os.getpid()}"
    told = JobServiceHandle.encode_pipeline_options(options.get_all_options(drop_default=True))
    provision = beam_provision_api_pb2.ProvisionInfo(retrieval_token="none", pipeline_options=told)
    return FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(command),
        provision_info=ExtendedProvisionInfo(provision),
    )
