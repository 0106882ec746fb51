"""Runs the README's commands as they are written; a block that is not run says why beside it."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

import emr_ner_tf
from emr_ner_tf.models.registry import ZOO

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


def test_its_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_its_picture_is_what_a_document_prints():
    shown = re.findall(r"^Document\(.*?^\]\)$", README, re.DOTALL | re.MULTILINE)
    assert len(shown) == 2
    for text in shown:
        document = eval(text, {"Document": emr_ner_tf.Document, "Entity": emr_ner_tf.Entity})
        assert repr(document) == text
        assert all(document.mention(entity) == entity.text for entity in document.entities)


def test_its_python_lines_name_what_the_package_offers():
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(block, "README.md", "exec")
    named = re.findall(r"emr_ner_tf\.(\w+)\(", block)
    assert named == ["load", "connect"]
    assert all(callable(getattr(emr_ner_tf, name)) for name in named)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_the_training_page_lists_every_row():
    page = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]* \| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE)
    assert {name: parts for name, *parts in rows} == {
        name: [row.encoder, row.context, row.attention] for name, row in ZOO.items()
    }


@pytest.mark.slow
def test_commands_run_in_their_order(tmp_path):
    script = "set -euo pipefail\n" + "".join(body for mark, body in BLOCKS if mark == "run")
    # The activated environment; recipes go by name, so that the commands need no checkout.
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs/readme/bundles/ner/1/saved_model.pb").exists()
    # The next command that train and export print can be typed as it is.
    following = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    annotate = "next: emr-ner annotate --bundle=runs/readme/bundles/ner '--text=患者因右肺上叶腺癌入院。'"
    assert following == [
        "next: emr-ner export --model_dir=runs/readme/model --output=runs/readme/model/bundles",
        annotate,
        annotate,
    ]
    # The last command of them exports, serves and annotates with a client.
    lines = done.stdout.splitlines()
    titles = [line for line in lines if line.startswith(("1/3", "2/3", "3/3"))]
    assert titles == ["1/3 export", "2/3 serve", "3/3 annotate with a client"]
    assert json.loads(lines[-1])["originalText"] == "患者因右肺上叶腺癌入院。"
    # It adds a version to that of `export`.
    assert {path.name for path in (tmp_path / "runs/readme/bundles/ner").iterdir()} == {"1", "2"}
    # The server has ended, in order.
    (address,) = (line for line in lines if "--server=" in line)
    port = int(address.split("--server=127.0.0.1:")[1].split()[0])
    with socket.socket() as connection:
        assert connection.connect_ex(("127.0.0.1", port)) != 0
    assert "every request was answered" in done.stderr
    found = (tmp_path / "runs/readme/found.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(found) == len(
        (tmp_path / "runs/readme/data/test.jsonl").read_text(encoding="utf-8").splitlines()
    )
