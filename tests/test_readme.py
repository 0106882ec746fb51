"""The README's commands, run as they stand; what is not run says why, beside the command."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"(?:<!-- test: (?P<mark>.*?) -->\n)?```sh\n(?P<body>.*?)```", re.DOTALL)
BLOCKS = [(match["mark"] or "make", match["body"]) for match in _BLOCK.finditer(README)]


def test_every_block_is_run_or_says_why_not():
    marks = [mark for mark, _ in BLOCKS]
    assert marks.count("run") >= 3
    for mark, body in BLOCKS:
        # make quickstart and make test run the tests themselves; CI types them.
        assert (
            mark == "run"
            or mark.startswith("not run here: ")
            or body.strip() in ("make quickstart", "make test")
        )


def test_documents_that_it_names_are_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_commands_run_in_their_order(tmp_path):
    # A copy of what the commands read, so that nothing is written into the checkout.
    for name in (".venv", "configs", "emr_ner_tf"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = "set -euo pipefail\n" + "".join(body for mark, body in BLOCKS if mark == "run")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs/readme/bundles/ner/1/saved_model.pb").exists()
    # What train and export say comes next can be typed as it stands.
    following = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    annotate = (
        "next: .venv/bin/python -m emr_ner_tf.cli.annotate --bundle=runs/readme/bundles/ner "
        "'--text=患者因右肺上叶腺癌入院。'"
    )
    assert following == [
        "next: .venv/bin/python -m emr_ner_tf.cli.export --model_dir=runs/readme/model "
        "--output=runs/readme/model/bundles",
        annotate,
        annotate,
    ]
    # What the client of the development server found.
    assert json.loads(done.stdout.splitlines()[-1])["originalText"] == "患者因右肺上叶腺癌入院。"
    found = (tmp_path / "runs/readme/found.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(found) == len(
        (tmp_path / "runs/readme/data/test.jsonl").read_text(encoding="utf-8").splitlines()
    )
