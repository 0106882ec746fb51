"""How commands are run: exit status, streams, help, wrong keys of a configuration."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]
_MAIN = '''"""A command of a test.

  Its example.
"""
import sys, time
from absl import flags, logging
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UsageError, UserError

_KIND = flags.DEFINE_enum("kind", None, ["a", "b"], "Which kind.")
_MANY = flags.DEFINE_multi_string("many", [], "Some.")
CONFIG

def main():
    BODY

if __name__ == "__main__":
    run(main)
'''


def _script(tmp_path, body, config=""):
    path = tmp_path / "script.py"
    path.write_text(_MAIN.replace("BODY", textwrap.indent(body, "    ").strip()).replace("CONFIG", config))
    return [sys.executable, str(path)]


def _run(command, *arguments, **environment):
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    ("body", "status", "stdout", "stderr"),
    [
        ("print('肝')", 0, "肝\n", ""),
        ("raise UserError('f:1: bad')", 1, "", "f:1: bad\n"),
        ("raise UsageError('give one')", 2, "", "give one; --help shows the flags\n"),
        ("open('/nonexistent/x')", 1, "", "/nonexistent/x: No such file or directory\n"),
        (
            "raise OSError(28, 'No space left on device', 'out')",
            1,
            "",
            "out: No space left on device; free some space there, or name another place\n",
        ),
        ("raise KeyboardInterrupt", 130, "", "interrupted\n"),
    ],
)
def test_status_and_streams(tmp_path, body, status, stdout, stderr):
    done = _run(_script(tmp_path, body))
    assert (done.returncode, done.stdout, done.stderr) == (status, stdout, stderr)


@pytest.mark.parametrize(
    "body",
    [
        "bytearray(2**62)",
        # No machine has 2**48 bytes.
        "import emr_ner_tf, tensorflow as tf; tf.zeros([2**46])",
    ],
)
def test_too_little_memory_is_one_line(tmp_path, body):
    done = _run(_script(tmp_path, body), TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode == 1
    assert done.stderr == "out of memory; use smaller inputs, batches or windows\n"


def test_a_fault_of_ours_shows_its_trace(tmp_path):
    done = _run(_script(tmp_path, "raise ValueError('ours')"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_logs_go_to_standard_error(tmp_path):
    done = _run(_script(tmp_path, "logging.info('said'); print('result')"))
    assert done.stdout == "result\n"
    assert "said" in done.stderr


def test_results_are_utf8_whatever_the_locale(tmp_path):
    done = _run(
        _script(tmp_path, "print('肝\\ud800'.encode('utf-8', 'replace').decode())"),
        PYTHONIOENCODING="latin-1",
    )
    assert (done.returncode, done.stdout) == (0, "肝?\n"), done.stderr


def test_a_reader_that_goes_away(tmp_path):
    command = _script(tmp_path, "for i in range(100000): print(i)")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 143, "terminated by SIGTERM\n"),
        (signal.SIGHUP, 129, "terminated by SIGHUP\n"),
    ],
)
def test_a_signal_from_outside_cleans_up(tmp_path, number, status, said):
    body = """
from emr_ner_tf.data.atomic_io import atomic_writer
with atomic_writer("OUTPUT") as file:
    file.write("half"); print("ready", flush=True); time.sleep(60)
"""
    output = tmp_path / "out" / "records"
    command = _script(tmp_path, body.replace("OUTPUT", str(output)))
    process = _started(command)
    assert len(list(output.parent.iterdir())) == 1
    process.send_signal(number)
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (status, said)
    assert list(output.parent.iterdir()) == []


def test_a_second_signal_does_not_break_off_the_cleaning(tmp_path):
    body = """
try:
    print("ready", flush=True); time.sleep(60)
finally:
    print("cleaning", flush=True); time.sleep(0.5); print("clean", flush=True)
"""
    process = _started(_script(tmp_path, body))
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate()
    assert (process.returncode, stdout) == (143, "clean\n")


def test_a_command_under_nohup_survives_a_hangup(tmp_path):
    process = _started(_script(tmp_path, "print('ready', flush=True); time.sleep(0.5)"), signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    process.communicate()
    assert process.returncode == 0


def _started(command, hang_up=signal.SIG_DFL):
    # A shell's background jobs start with the signal ignored, and their children inherit that. It is settled in the
    # new process, since a fork of one with TensorFlow's threads in it may hang or crash.
    settle = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "signal.signal(signal.SIGHUP, signal.Handlers(int(sys.argv[1]))); os.execv(sys.argv[2], sys.argv[2:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", settle, str(int(hang_up)), *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpshort"])
def test_help(tmp_path, flag):
    done = _run(_script(tmp_path, "print('ran')"), flag)
    assert done.returncode == 0
    assert done.stdout == (
        "A command of a test.\n\n  Its example.\n\nFlags:\n"
        "  --kind=a|b\n      Which kind.\n"
        "  --many=MANY (default: [])\n      Some. Can be repeated.\n\n"
        "--helpfull also shows the flags of libraries.\n"
    )


def test_full_help(tmp_path):
    done = _run(_script(tmp_path, "print('ran')"), "--helpfull")
    assert done.returncode == 0
    assert "--kind" in done.stdout
    assert "verbosity" in done.stdout


@pytest.mark.parametrize("arguments", [("--kind=c",), ("--none",), ("word",), ("--kind=a", "word")])
def test_wrong_calls(tmp_path, arguments):
    done = _run(_script(tmp_path, "print('ran')"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("key", "choices"), [("nope.x", "char, data"), ("train.epohs", "checkpoint_seconds")]
)
def test_a_wrong_key_of_a_configuration_lists_the_choices(tmp_path, key, choices):
    config = (
        "from ml_collections import config_flags\nconfig_flags.DEFINE_config_file('config', lock_config=True)"
    )
    command = _script(tmp_path, "print('ran')", config)
    done = _run(command, "--config=configs/quickstart.py", f"--config.{key}=1")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert choices in done.stderr
    assert repr(key.split(".")[-1] if "epohs" in key else "nope") in done.stderr
    assert "Traceback" not in done.stderr
