"""The command that opens the page; tests/server/page_in_browser uses it."""

import signal
import subprocess
import sys

import pytest
import requests


def test_the_page_of_several_bundles_until_a_signal(bundles, tmp_path):
    command = [sys.executable, "-m", "emr_ner_tf.cli.try", "--no_browser", f"--bundle={bundles}"]
    log = tmp_path / "stderr"
    with (
        open(log, "wb") as stderr,
        subprocess.Popen(
            [*command, f"--bundle={bundles}/1"], stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as server,
    ):
        try:
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), log.read_text(encoding="utf-8")
            assert "<title>" in requests.get(address, timeout=60).text
            models = requests.get(f"{address}page/api/models", timeout=60).json()["models"]
            assert [(one["model"], one["version"]) for one in models] == [("bundles", 1), ("bundles 1", 1)]
            assert models[0]["labels"] == models[1]["labels"] != []
            answer = requests.post(
                f"{address}page/api/annotate", json={"texts": ["腹痛"], "model": "bundles 1"}, timeout=60
            )
            assert answer.status_code == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [((), 2, "--bundle"), (("--bundle=absent",), 1, "absent: must be a directory of versions")],
)
def test_a_wrong_call(cli, flags, status, message):
    done = cli("try", *flags)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_names_of_models():
    # Protocol buffers hold no name that is not UTF-8, as that of a directory from another system.
    code = """
import importlib, os
unused, names = importlib.import_module("emr_ner_tf.cli.try")._unused, {}
for directory in ("病历", "病历", "a:b", "", os.fsdecode("病历".encode("gb18030"))):
    names[unused(directory, names)] = directory
escaped = r"\\udcb2\\udca1\\udcc0\\udcfa"
print(list(names) == ["病历", "病历 2", "a-b", "model", escaped])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
