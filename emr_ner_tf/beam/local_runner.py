"""Runs a pipeline on this machine: Beam's FnApiRunner, selected by name, with this project's worker processes."""

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

    After an error, threads of Beam and worker processes may still be running. The caller must then exit with
    `os._exit`; the workers exit with their launcher.

    Args:
        build: adds the steps to a pipeline.
        options: Beam's options; those of file systems are passed on to the workers.
        workers: number of processes.

    Raises:
        UserError: a worker ended before the job; unless it was killed, it has printed the reason.
    """
    # Beam would repeat, with a stack trace, the message that a worker has already printed.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    options.view_as(DirectOptions).direct_num_workers = workers
    outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def thread_failed(arguments: threading.ExceptHookArgs) -> None:
        # Without this, a runner that has lost a worker would wait for it forever.
        if arguments.thread is not None and arguments.thread.name == _WAITING_THREAD:
            reason = str(arguments.exc_value)
            hint = ": killed, often for lack of memory; fewer workers need less memory"
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
        # The hook stays: threads that read from a worker fail once it has exited, and would print a stack trace.
        raise error
    threading.excepthook = hook


def _runner(options: PipelineOptions) -> FnApiRunner:
    # `exec`, so that the worker is this process's own child and sees it end.
    command = f"exec {shlex.quote(sys.executable)} -m emr_ner_tf.beam.local_worker {os.getpid()}"
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options(drop_default=True))
    provision = beam_provision_api_pb2.ProvisionInfo(retrieval_token="none", pipeline_options=encoded)
    return FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(command),
        provision_info=ExtendedProvisionInfo(provision),
    )
