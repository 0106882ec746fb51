"""The wheel, installed where no checkout is: commands and recipes by name, and the README's Python lines."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
SENTENCE = "患者因右肺上叶腺癌入院。"
# The README's lines, on the bundle of the test.
LINES = f"""
import emr_ner_tf
assert {str(ROOT)!r} not in emr_ner_tf.__file__, emr_ner_tf.__file__
tagger = emr_ner_tf.load("bundles")
doc = tagger("{SENTENCE}")
assert doc.text == "{SENTENCE}"
for doc in tagger.annotate(["{SENTENCE}", doc]):
    print(repr(doc))
tagger = emr_ner_tf.connect("localhost:8500")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("emr_ner_tf", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", "dist", "."], cwd=source, check=True)
    (path,) = (source / "dist").glob("*.whl")
    return path


def test_what_it_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    recipes = {path.name for path in (ROOT / "configs").glob("*.py")}
    assert {f"emr_ner_tf/configs/{name}" for name in recipes} <= set(names)
    assert {"emr_ner_tf/py.typed", "emr_ner_tf/experiments/paper.md.jinja"} <= set(names)
    assert {f"emr_ner_tf/evaluation/report.{kind}" for kind in ("html.jinja", "css", "js")} <= set(names)
    page = ROOT / "emr_ner_tf" / "server" / "page"
    files = {
        path.relative_to(ROOT).as_posix()
        for part in ("static", "templates")
        for path in (page / part).iterdir()
    }
    assert files
    assert files <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "configs/", "benchmarks/")) for name in names)


@pytest.mark.slow
def test_from_records_to_entities_outside_a_checkout(wheel, tiny_flags, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install"]
    subprocess.run([*install, "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    # The packages that it needs are those of this environment; its editable install is not found by this.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    work = tmp_path / "work"
    work.mkdir()

    def run(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    emr_ner = environment / "bin" / "emr-ner"
    assert "quickstart" in run(emr_ner, "--help")
    _start_quickstart(emr_ner, work)
    run(emr_ner, "synthesize", "--output_dir=data", "--records=48", "--test_records=8")
    overrides = [flag.replace("--config.", "--override=") for flag in tiny_flags if "--config." in flag]
    row = ("--encoder=random", "--tables=VII", "--rows=bigru_crf", "--seeds=1", "--budget=1", *overrides)
    run(emr_ner, "reproduce", "--train=data/train.jsonl", "--test=data/test.jsonl", *row)
    assert (work / "docs" / "paper.md").read_text(encoding="utf-8").startswith("# The paper's tables")
    (model,) = (work / "runs" / "reproduce").glob("bigru_crf-*")
    run(emr_ner, "export", f"--model_dir={model}", "--output=bundles")
    assert SENTENCE in run(emr_ner, "annotate", "--bundle=bundles", f"--text={SENTENCE}")
    assert run(python, "-c", LINES).count("Document(") == 2


def _start_quickstart(emr_ner: pathlib.Path, work: pathlib.Path) -> None:
    """Runs `emr-ner quickstart` until it trains; its other steps are commands of the test above."""
    process = subprocess.Popen(
        [emr_ner, "quickstart", "--work_dir=quickstart"],
        cwd=work,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "trainable parameters" in line:
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "trainable parameters" in lines[-1], "".join(lines)
