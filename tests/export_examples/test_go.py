"""The Go loader: a cgo layer over the C API that the tensorflow wheel carries, built and run."""

import shutil
import subprocess
import sys

import pytest
from framing import check, run

pytestmark = pytest.mark.skipif(
    not (all(map(shutil.which, ("go", "gcc", "make")))), reason="needs go, gcc and make"
)


@pytest.fixture(scope="module")
def loader(examples, tmp_path_factory):
    build = tmp_path_factory.mktemp("go")
    command = ["make", "-C", examples / "go", f"PYTHON={sys.executable}", f"BUILD={build}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [build / "loader"]


def test_hard_records(check_loader, loader):
    check_loader(loader)


def test_real_records(loader, version, real):
    records, wanted = real
    check(run([*loader, version], records), wanted)


def test_faults(check_loader, loader):
    check_loader.faults(loader)
