"""Commands run in the process of the test: what they print is caught at the file descriptors, C++ included.

A process of its own costs some seconds for TensorFlow's start; this costs what the command itself does. Each command
has a test in a process of its own, too (tests/cli/test_processes.py).
"""

import contextlib
import importlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator

from absl import flags, logging
from absl.testing import flagsaver
from privacy import assert_no_record_text

from emr_ner_tf.cli.main import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
# They end the whole process, wait for a signal, or start workers that outlive a call; `main` is the console script.
OWN_PROCESS = frozenset(
    ("annotate_archive", "serve", "try", "try_serving", "quickstart", "reproduce", "main")
)
_ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "120"}


def run_in_process(
    command: str, *arguments: object, env: dict[str, str] | None = None, input: str | None = None
) -> subprocess.CompletedProcess:
    """Runs a command from the project's root; the same result as of a process of its own."""
    argv = [str(ROOT / "emr_ner_tf" / "cli" / f"{command}.py"), *map(str, arguments)]
    with contextlib.ExitStack() as stack:
        outputs = stack.enter_context(_descriptors(input or ""))
        stack.enter_context(_environment(_ENVIRONMENT | (env or {})))
        stack.enter_context(_signals())
        stack.enter_context(_flags())
        stack.enter_context(_argv(argv))
        stack.enter_context(contextlib.chdir(ROOT))
        status = _call(command, argv)
        sys.stdout.flush()
        sys.stderr.flush()
        stdout, stderr = (os.pread(file, os.fstat(file).st_size, 0).decode("utf-8") for file in outputs)
    _forget_training()
    assert_no_record_text(command, arguments, stdout, stderr)
    return subprocess.CompletedProcess(argv, status, stdout, stderr)


def _call(command: str, argv: list[str]) -> int:
    name = f"emr_ner_tf.cli.{command}"
    # Flags are defined when a command's module is imported, also by another command's.
    for other in COMMANDS:
        sys.modules.pop(f"emr_ner_tf.cli.{other}", None)
        # `from emr_ner_tf.cli import other` would find the old module here.
        vars(sys.modules["emr_ner_tf.cli"]).pop(other, None)
    try:
        module = importlib.import_module(name)
        from emr_ner_tf.cli import runner

        return runner.call(module.main, argv, getattr(module, "SUBCOMMANDS", ()))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        # Its flags go with it: the next call imports it anew.
        sys.modules.pop(name, None)


@contextlib.contextmanager
def _descriptors(input: str) -> Iterator[tuple[int, int]]:
    """Puts files in the place of the three standard streams; yields the descriptors of output and error."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(input.encode("utf-8"))
        files[0].seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [os.dup(number) for number in range(3)]
        streams = sys.stdin, sys.stdout, sys.stderr
        handler = logging.get_absl_handler()
        logged_to = handler.python_handler.stream
        try:
            for number, file in enumerate(files):
                os.dup2(file.fileno(), number)
            sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
            sys.stdout, sys.stderr = (
                io.TextIOWrapper(
                    io.BufferedWriter(io.FileIO(n, "w", closefd=False)), encoding="utf-8", write_through=True
                )
                for n in (1, 2)
            )
            handler.python_handler.stream = sys.stderr
            logging.use_absl_handler()
            yield files[1].fileno(), files[2].fileno()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdin, sys.stdout, sys.stderr = streams
            handler.python_handler.stream = logged_to
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _flags() -> Iterator[None]:
    """Gives the command a registry without other commands' flags, which a test may have imported, and restores it."""
    parsed = flags.FLAGS.is_parsed()
    saved = flagsaver.save_flag_values()
    others = [
        (module, flag)
        for module, found in flags.FLAGS.flags_by_module_dict().items()
        if module.startswith("emr_ner_tf.cli.")
        for flag in found
    ]
    for _, flag in others:
        delattr(flags.FLAGS, flag.name)
    before = set(flags.FLAGS)
    try:
        yield
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        for module, flag in others:
            flags.FLAGS[flag.name] = flag
            flags.FLAGS.register_flag_by_module(module, flag)
        flagsaver.restore_flag_values(saved)
        if not parsed:
            flags.FLAGS.unparse_flags()


@contextlib.contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    """ml_collections looks for the keys of a configuration there."""
    before, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = before


def _forget_training() -> None:
    """Undoes what training sets for the whole process."""
    if "tensorflow" not in sys.modules:
        return
    import tensorflow as tf
    from tensorflow.python.framework import config

    config.disable_op_determinism()
    tf.keras.mixed_precision.set_global_policy("float32")
    tf.keras.backend.clear_session()
