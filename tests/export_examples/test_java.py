"""The Java loader: built with TensorFlow's Java binding, which carries a newer TensorFlow, and run."""

import shutil

import pytest
from framing import check, run
from toolchains import java, maven

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("mvn", "javac"))), reason="needs Maven and a JDK (17 or newer)"
)
# Another TensorFlow multiplies in another order.
SCORE_WITHIN = 1e-4


@pytest.fixture(scope="module")
def loader(examples, tmp_path_factory):
    project = tmp_path_factory.mktemp("java") / "project"
    shutil.copytree(examples / "java", project, ignore=shutil.ignore_patterns("target"))
    maven(project, "process-classes")
    # JavaCPP unpacks the libraries, once a user.
    return java(project, "emrner.Loader")


def test_hard_records(check_loader, loader):
    check_loader(loader, score_within=SCORE_WITHIN)


def test_real_records(loader, version, real):
    records, wanted = real
    check(run([*loader, version], records), wanted, score_within=SCORE_WITHIN)


def test_faults(check_loader, loader):
    check_loader.faults(loader)
