"""The list of a wheelhouse, and the lock that it is made of; prove_offline.sh beside this file installs from one."""

import hashlib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def _list(folder):
    command = [sys.executable, ROOT / "requirements/hash_wheels.py", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_list_names_each_wheel_with_its_hash(tmp_path):
    for name in ("b_c-2.0.1-py3-none-any.whl", "a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"):
        (tmp_path / name).write_bytes(name.encode())
    done = _list(tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert first.startswith("a==1.0 --hash=sha256:")
    assert second == f"b_c==2.0.1 --hash=sha256:{hashlib.sha256(b'b_c-2.0.1-py3-none-any.whl').hexdigest()}"


def test_two_versions_of_a_package_are_refused(tmp_path):
    for version in ("1.0", "1.1"):
        (tmp_path / f"a-{version}-py3-none-any.whl").touch()
    done = _list(tmp_path)
    assert done.returncode == 1
    assert "two wheels of a (a==1.0 and 1.1)" in done.stderr


def test_a_folder_without_wheels_is_refused(tmp_path):
    done = _list(tmp_path)
    assert done.returncode == 1
    assert "has no wheel" in done.stderr


def _pins(lock):
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return set(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE))


def test_what_is_carried_is_what_is_tested():
    runtime = _pins("runtime.txt")
    assert len(runtime) > 50
    assert runtime <= _pins("dev.txt")
