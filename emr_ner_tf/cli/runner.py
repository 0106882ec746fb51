"""Runs a command: parses its flags, prints its errors and sets the exit status.

The status is 0 for success, 1 for a failure, 2 for wrong flags, 130 for Ctrl-C, 143 for SIGTERM, and 129 for SIGHUP (a
closed terminal). An error that a user can cause and fix is printed on standard error without a stack trace.
"""

import functools
import logging as python_logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

from emr_ner_tf.cli.deprecated_flags import is_deprecated, rename_config_keys, warn_of_deprecated_flags
from emr_ner_tf.data.atomic_io import OUTPUT_ERRORS
from emr_ner_tf.errors import Terminated, UsageError, UserError, describe_os_error
from emr_ner_tf.progress_bar import enable_bars

_HELP = ("--help", "-help", "-h", "-?", "--helpshort", "-helpshort")
_HELP_FULL = ("--helpfull", "-helpfull")
_SEE_HELP = "--help shows the flags"


def run(main: Callable[..., None], subcommands: Sequence[str] = ()) -> None:
    """Parses flags, runs a command, and exits the process.

    Args:
        main: function of the command, called without arguments or, if there are `subcommands`, with the given one.
            The docstring of its module is the help.
        subcommands: values of the first argument; empty for a command that takes flags only.
    """
    _prepare()
    app.run(functools.partial(guarded, main), flags_parser=functools.partial(_parse, main, subcommands))


def call(main: Callable[..., None], argv: Sequence[str], subcommands: Sequence[str] = ()) -> int:
    """Runs a command in a process that continues afterwards; like `run`, without the one-time set-up of `absl.app`.

    Args:
        main: as in `run`.
        argv: name of the program, followed by its flags.
        subcommands: as in `run`.

    Returns:
        The exit status.

    Raises:
        SystemExit: for `--help` and for a wrong call.
    """
    _prepare()
    return guarded(main, _parse(main, subcommands, argv))


def _prepare() -> None:
    # TensorFlow is imported later, if at all, and logs messages at its start unless they are suppressed.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and number:
            # The caller closed it; a file that is opened later must not get this descriptor.
            setattr(sys, name, open(_open_null(number), "w", encoding="utf-8"))  # noqa: SIM115
    sys.stderr.reconfigure(errors="backslashreplace")
    encoding = {} if sys.stdout.isatty() else {"encoding": "utf-8"}
    sys.stdout.reconfigure(errors="backslashreplace", **encoding)


def _open_null(number: int) -> int:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor == number:
        return descriptor
    os.dup2(descriptor, number)
    os.close(descriptor)
    return number


def guarded(main: Callable[..., None], arguments: Sequence[str] = ()) -> int:
    """Runs a command and returns the exit status; an error that a user can fix is one line on standard error."""
    _show_progress()
    _unwind_on_signals()
    try:
        main(*arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"{error}; {_SEE_HELP}", file=sys.stderr)
        return 2
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of the pipe is gone; discard what Python would still flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None and error.errno in OUTPUT_ERRORS:
            # Errors of files have a file name; this one comes from flushing standard output.
            error.filename = "<stdout>"
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(describe_os_error(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Terminated as error:
        print(f"terminated by {signal.Signals(error.signal_number).name}", file=sys.stderr)
        return 128 + error.signal_number
    except Exception as error:
        if not _is_lack_of_memory(error):
            raise
        print("out of memory; use smaller inputs, batches or windows", file=sys.stderr)
        return 1
    return 0


def _is_lack_of_memory(error: Exception) -> bool:
    """Returns whether Python or TensorFlow, if the command has imported it, had too little memory."""
    tensorflow = sys.modules.get("tensorflow")
    return isinstance(error, MemoryError) or (
        tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    )


def _unwind_on_signals() -> None:
    """Makes the signals of `docker stop` and of a closed terminal unwind the work as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that is ignored (nohup) stays ignored.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, _: object) -> None:
    # A second signal must not interrupt the clean-up.
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(number)


def _show_progress() -> None:
    """Shows bars and logs on standard error, each line with the time of day; suppresses messages of libraries."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(python_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    enable_bars(sys.stderr)
    for library in ("matplotlib", "tensorflow", "h5py"):
        python_logging.getLogger(library).setLevel(python_logging.ERROR)


def _parse(main: Callable[..., None], subcommands: Sequence[str], argv: Sequence[str]) -> list[str]:
    """Parses flags and returns the arguments of `main`; exits after help or after an error."""
    for argument in argv[1:]:
        if argument in _HELP or argument in _HELP_FULL:
            sys.exit(guarded(functools.partial(print, _help(main, full=argument in _HELP_FULL))))
        if argument == "--":
            break
    try:
        if "config" in flags.FLAGS:
            flags.FLAGS["config"].parser = _RecipeParser()
            # ml_collections reads the overrides of a configuration from there.
            sys.argv = argv = rename_config_keys(argv)
        rest = flags.FLAGS(list(argv))[1:]
        if subcommands and (not rest or rest[0] not in subcommands):
            got = repr(rest[0]) if rest else "none"
            raise UsageError(f"the subcommand must be one of {', '.join(subcommands)}, got {got}")
        if len(rest) > (1 if subcommands else 0):
            # It may be the rest of a record's text, which the shell split at a space.
            raise UsageError(
                f"unexpected argument of {len(rest[-1])} characters: all settings are flags, and a value with "
                "spaces must be quoted"
            )
        warn_of_deprecated_flags()
    except (flags.Error, UserError) as error:
        print(f"{error}; {_SEE_HELP}", file=sys.stderr)
        sys.exit(2)
    except (AttributeError, KeyError) as error:
        message = _no_such_key(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        sys.exit(2)
    return rest


class _RecipeParser(flags.ArgumentParser):
    """Executes the recipe that --config names by name or path; errors of ml_collections' parser are stack traces."""

    def parse(self, argument: str) -> Any:
        from emr_ner_tf.recipes import read_recipe

        config = read_recipe(argument)
        if hasattr(config, "lock"):
            config.lock()
        return config

    def flag_type(self) -> str:
        return "recipe"


def _no_such_key(error: Exception) -> str | None:
    """Returns the message for a flag with an unknown configuration key; None for any other error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # ml_collections raises without listing the choices, in a method of the section that lacks the key.
    section = trace.tb_frame.f_locals.get("self") if trace is not None else None
    if not isinstance(section, Mapping) and not hasattr(section, "to_dict"):
        return None
    key = re.search(r"\w+", str(error.args[0]))
    choices = ", ".join(sorted(section))
    return f"the configuration key must be one of {choices}, got {key[0] if key else ''!r}"


def _help(main: Callable[..., None], full: bool) -> str:
    text = (sys.modules[main.__module__].__doc__ or "").strip()
    if full:
        return f"{text}\n{flags.FLAGS.get_help()}"
    # absl registers the flags of the `__main__` module under the program's name.
    module = sys.argv[0] if main.__module__ == "__main__" else main.__module__
    lines = [text, "", "Flags:"]
    for flag in sorted(flags.FLAGS.get_key_flags_for_module(module), key=lambda flag: flag.name):
        if is_deprecated(flag.name):
            continue
        values = getattr(flag.parser, "enum_values", None)
        value = "|".join(values) if values else flag.name.upper()
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}={value}"
        default = "" if flag.default in (None, "") else f" (default: {flag.default})"
        # absl prepends the choices of an enumeration to its help, and appends a line to a repeatable flag.
        text = str(flag.help).removeprefix(f"<{value}>: ")
        text = text.replace(";\n    repeat this option to specify a list of values", " Can be repeated.")
        lines += [f"  {name}{default}", f"      {text}"]
    return "\n".join([*lines, "", "--helpfull also shows the flags of libraries."])
