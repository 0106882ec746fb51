"""A forked command is like one from scratch: its streams, folder, environment, status, and signals."""

import os
import signal
import subprocess

import forked_command
import pytest

_SAYS = """
import os, sys
from absl import logging
print(input(), os.getcwd(), os.environ["TF_CONFIG"], "tensorflow" in sys.modules)
logging.error("remark")
raise ValueError("fault")
"""


def _start(folder, *arguments, **options):
    return forked_command.ForkedCommand(
        arguments,
        cwd=folder,
        env=os.environ | {"TF_CONFIG": "{}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_streams_folder_environment_and_status(tmp_path):
    with _start(tmp_path, "timeit", "-n1", "-r1", _SAYS) as process:
        output, errors = process.communicate("肺癌\n")
    assert output == f"肺癌 {tmp_path} {{}} True\n"
    assert "remark" in errors
    assert "ValueError: fault" in errors
    assert process.returncode == 1
    (tmp_path / "good.json").write_text("[1]", encoding="utf-8")
    with _start(tmp_path, "json.tool", "--compact", "good.json") as process:
        assert process.communicate() == ("[1]\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals(tmp_path, number):
    # It waits for its input.
    with _start(tmp_path, "json.tool", start_new_session=True) as process:
        assert os.getsid(process.pid) == process.pid
        assert process.poll() is None
        os.kill(process.pid, number)
        assert process.wait(60) == -number
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_what_is_read_at_an_import_starts_from_scratch():
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    for env, forked in [
        ({"NO_COLOR": "1"}, True),
        ({"TF_NUM_INTRAOP_THREADS": "1"}, False),
        ({"TF_CPP_MIN_LOG_LEVEL": "0"}, False),
    ]:
        with forked_command.start_command("data", "--help", env=env, **streams) as process:
            process.communicate()
        assert isinstance(process, forked_command.ForkedCommand) == forked
        assert process.returncode == 0
