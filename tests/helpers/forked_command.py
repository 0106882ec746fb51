"""Commands in processes of their own, forked from one that has TensorFlow imported: a start costs no import.

The server is a process without threads that has imported modules and run nothing. What it forks becomes a child of
this process, so that waiting, signals and exit statuses are those of any other child.
"""

import ctypes
import functools
import gc
import importlib
import inspect
import os
import pathlib
import pickle
import runpy
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).parents[2]
# They define no flags. What TensorFlow reads from the environment when it is imported is not in `_READ_LATE`.
_IMPORTED = (
    "emr_ner_tf",
    "tensorflow",
    "tensorflow.keras",
    "emr_ner_tf.exporting.bundle",
    "emr_ner_tf.training.trainer",
)
# Variables that nothing reads before a command begins; with another one, a command is a process from scratch.
_READ_LATE = frozenset(("COLUMNS", "NO_COLOR", "TF_CONFIG", "TF_CPP_MIN_LOG_LEVEL"))
# They import no TensorFlow: they run other commands in processes of their own.
_LIGHT = frozenset(("annotate_archive", "try_serving", "quickstart", "reproduce", "main"))
_PR_SET_CHILD_SUBREAPER = 36
_PID = struct.Struct("q")


class ForkedCommand(subprocess.Popen):
    """A `Popen` whose process is forked from the server.

    Its arguments are those of Python: a script, FILE.py, or a module without `-m`, and what follows.
    """

    def _execute_child(self, *arguments: object) -> None:
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *arguments).arguments
        streams = [
            standard if given[name] == -1 else given[name]
            for standard, name in enumerate(("p2cread", "c2pwrite", "errwrite"))
        ]
        new_session = given["start_new_session"]
        task = list(map(os.fspath, given["args"])), os.fspath(given["cwd"]), dict(given["env"]), new_session
        self.pid = _server().fork(task, streams)
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in names))


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: dict[str, str],
    input: str | bytes | None = None,
    stdin: int | None = None,
    timeout: float | None = None,
    **options,
) -> subprocess.CompletedProcess:
    """Runs a forked command to its end, as `subprocess.run` does."""
    stdin = stdin if input is None else subprocess.PIPE
    return finish(ForkedCommand(command, cwd=ROOT, env=env, stdin=stdin, **options), input, timeout)


def finish(
    process: subprocess.Popen, input: str | bytes | None, timeout: float | None
) -> subprocess.CompletedProcess:
    """Waits for a process, which is killed if anything goes wrong."""
    with process:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start_command(
    command: str, *arguments: object, env: dict[str, str] | None = None, **options
) -> subprocess.Popen:
    """Starts `emr-ner COMMAND` from the project's root, forked where that is the same as a start from scratch.

    Args:
        command: name of the command.
        arguments: its flags.
        env: additional variables.
        options: of `subprocess.Popen`.
    """
    env = env or {}
    if command in _LIGHT or env.keys() - _READ_LATE or env.get("TF_CPP_MIN_LOG_LEVEL", "2") not in "23":
        return start_from_scratch(command, *arguments, env=env, **options)
    return ForkedCommand(_module(command, arguments), cwd=ROOT, env=os.environ | env, **options)


def start_from_scratch(command: str, *arguments: object, env: dict[str, str], **options) -> subprocess.Popen:
    """Starts `emr-ner COMMAND` as `start_command` does, without a fork: sets have an order of its own, too."""
    argv = [sys.executable, "-m", *_module(command, arguments)]
    return subprocess.Popen(argv, cwd=ROOT, env=os.environ | env, **options)


def _module(command: str, arguments: Sequence[object]) -> list[str]:
    return [f"emr_ner_tf.cli.{command}", *map(str, arguments)]


class _Server:
    """The process that forks; it ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection, its_own = socket.socketpair()
        with its_own:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its_own.fileno())],
                cwd=ROOT,
                # OpenBLAS starts threads when NumPy is imported.
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[its_own.fileno()],
            )

    def fork(self, task: object, streams: list[int]) -> int:
        """Returns the process of a task, (arguments, folder, environment, whether it leads a session)."""
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        with self._lock, os.fdopen(os.memfd_create("task"), "w+b") as file:
            pickle.dump(task, file)
            file.flush()
            # The command's own parent ends at once, and this process becomes the parent.
            assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
            try:
                socket.send_fds(self._connection, [b"f"], [file.fileno(), *streams])
                answer = self._connection.recv(_PID.size)
                assert len(answer) == _PID.size, "the process that forks commands has ended"
            finally:
                prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        return _PID.unpack(answer)[0]


@functools.cache
def _server() -> _Server:
    return _Server()


def _next_command(connection: socket.socket) -> list[str]:
    """Forks at each request; returns in a forked process only, with its command's module and arguments."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1, 4)
        if not message:
            sys.exit()
        file, *streams = descriptors
        reader, writer = os.pipe()
        between = os.fork()
        if not between:
            command = os.fork()
            if command:
                os.write(writer, _PID.pack(command))
                os._exit(0)
            for descriptor in (reader, writer, connection.detach()):
                os.close(descriptor)
            return _begin(file, streams)
        os.waitpid(between, 0)
        connection.sendall(os.read(reader, _PID.size))
        for descriptor in (reader, writer, file, *streams):
            os.close(descriptor)


def _begin(file: int, streams: list[int]) -> list[str]:
    import numpy as np
    from absl import logging

    with os.fdopen(file, "rb") as task:
        task.seek(0)
        arguments, folder, environment, new_session = pickle.load(task)
    if new_session:
        os.setsid()
    for standard, descriptor in enumerate(streams):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False)  # noqa: SIM115
    logging.get_absl_handler().python_handler.stream = sys.stderr
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Else every command would draw the same numbers where it forgets to seed.
    np.random.seed()
    return arguments


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    for name in _IMPORTED:
        importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()
    command, *arguments = _next_command(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [command, *arguments]
    if command.endswith(".py"):
        sys.path[0] = os.path.dirname(command)
        runpy.run_path(command, run_name="__main__")
    else:
        # As the console script does.
        runpy.run_module(command, run_name="__main__", alter_sys=True)
