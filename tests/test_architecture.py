"""The house rules, read from the AST: imports go one way; only commands define flags, only layers import add-ons."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "emr_ner_tf"
# A package or module imports only from those before it.
ORDER = (
    "errors",
    "pem_files",
    "child_process",
    "log_interval",
    "progress_bar",
    "processor",
    "data",
    "config",
    "recipes",
    "text",
    "layers",
    "encoders",
    "models",
    "inference",
    "evaluation",
    "training",
    "pretraining",
    "audit",
    "exporting",
    "experiments",
    "client",
    "server",
    "beam",
    "api",
    "cli",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    room = _room(path)
    if room == "__init__":
        return
    assert room in ORDER, f"{room} has no place in the order"
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "emr_ner_tf" and len(parts) > 1 and parts[1] not in ("__version__", room):
            assert ORDER.index(parts[1]) < ORDER.index(room), f"{path}: {room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_where_libraries_are_touched(path):
    room = _room(path)
    roots = {name.split(".")[0] for name in _imports(path)}
    if room != "layers":
        assert "tensorflow_addons" not in roots
    if room in (
        "data",
        "evaluation",
        "config",
        "errors",
        "child_process",
        "log_interval",
        "progress_bar",
        "processor",
        "recipes",
        "inference",
    ):
        assert "tensorflow" not in roots
    if room != "cli":
        names = set(_imports(path))
        assert not names & {"absl.flags", "absl.app"}, "flags are defined in commands only"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_two_files(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
