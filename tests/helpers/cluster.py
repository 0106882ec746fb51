"""A command in two processes on this machine that train together, by TF_CONFIG."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf
from forked_command import start_command, start_from_scratch

STRATEGY = "multi_worker_mirrored"


def start_two(
    command: str,
    *flags: str,
    each: Sequence[Sequence[str]] = ((), ()),
    inputs: Sequence[str | os.PathLike[str]] = (os.devnull, os.devnull),
) -> list[subprocess.Popen[str]]:
    """Starts both workers of `emr-ner COMMAND` and returns them, the chief first.

    Args:
        command: name of the command.
        flags: of both.
        each: further ones of one of them alone.
        inputs: files that are their standard input.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]}
    processes = []
    # Forked processes share their hashes; these two must agree although the orders of their sets differ.
    for index, start in enumerate((start_command, start_from_scratch)):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        with open(inputs[index], "rb") as standard_input:
            processes.append(
                start(
                    command,
                    f"--strategy={STRATEGY}",
                    *flags,
                    *each[index],
                    env={"TF_CONFIG": json.dumps(task)},
                    stdin=standard_input,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
    return processes


@contextlib.contextmanager
def _ended(processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def logs(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Waits for processes and returns the output of each."""
    with _ended(processes):
        return [process.communicate(timeout=600)[1] for process in processes]


def run_two(command: str, *flags: str) -> list[str]:
    """Runs both to a good end and returns their output."""
    processes = start_two(command, *flags)
    output = logs(processes)
    assert [process.returncode for process in processes] == [0, 0], output
    return output


def kill_one_of_two(command: str, *flags: str, model_dir: str | os.PathLike[str]) -> None:
    """Starts both, kills the second at the first checkpoint, and asserts that the chief ends and says why."""
    chief, worker = processes = start_two(command, *flags)
    with _ended(processes):
        while tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last") is None:
            assert chief.poll() is None, chief.communicate()
            time.sleep(0.05)
        worker.kill()
        _, output = chief.communicate(timeout=120)
        assert chief.returncode == 1, output
        assert "lost worker 1; its log has the cause. Start all workers again" in output
        assert "Traceback" not in output
    assert not pathlib.Path(model_dir, "metrics.json").exists()
