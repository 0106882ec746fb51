"""The wheel, installed where no checkout is: commands and recipes by name, and the README's Python lines."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
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
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    emr_ner = environment / "bin" / "emr-ner"
    assert "quickstart" in run(emr_ner, "--help")
    run(emr_ner, "synthesize", "--output_dir=data", "--records=48", "--test_records=8")
    flags = [flag for flag in tiny_flags if not flag.startswith("--config=")]
    train = ("--config=quickstart", *flags, "--config.train.epochs=1", "--config.data.train=data/train.jsonl")
    run(emr_ner, "train", *train, "--model_dir=model")
    run(emr_ner, "export", "--model_dir=model", "--output=bundles")
    assert SENTENCE in run(emr_ner, "annotate", "--bundle=bundles", f"--text={SENTENCE}")
    planned = ("--train=data/train.jsonl", "--test=data/test.jsonl", "--encoder=random", "--tables=VII")
    assert "bigru_crf" in run(emr_ner, "reproduce", *planned, "--seeds=1", "--budget=1", "--dry_run")
    assert run(python, "-c", LINES).count("Document(") == 2
