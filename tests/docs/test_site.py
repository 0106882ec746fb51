"""The site of the documentation is built without a warning, and loads nothing from other sites."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check_site():
    spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs/check_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<script async src=//cdn.example/a.js></script>",
        '<link rel="stylesheet" href="https://cdn.example/a.css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<link rel="icon" href="HTTPS://cdn.example/a.png">',
        '<img src="http://cdn.example/a.png">',
        '<img src="a.png" srcset="b.png 1x, https://cdn.example/c.png 2x">',
        '<iframe src="https://other.example"></iframe>',
        "<style>@font-face { src: url(https://fonts.example/a.woff2) }</style>",
        '<p style="background: url(//cdn.example/a.png)">',
        '<svg><image xlink:href="https://cdn.example/a.svg"/></svg>',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(check_site, html):
    assert len(check_site.outside_of_page(html)) == 1


def test_what_a_page_has_itself_and_what_it_links_to_is_fine(check_site):
    html = """<link rel="stylesheet" href="assets/a.css"><link rel="canonical" href="https://here.example/">
        <script src="../a.js"></script><img src="data:image/png;base64,AAAA"><a href="https://other.example">a</a>
        <style>p { background: url(a.png) }</style>"""
    assert check_site.outside_of_page(html) == []


def test_what_a_style_sheet_loads_from_elsewhere_is_found(check_site):
    css = '@import "https://a.example/a.css"; p { background: url("//b.example/b.png") url(c.png) }'
    assert check_site.outside_of_style(css) == ["https://a.example/a.css", "//b.example/b.png"]


@pytest.mark.slow
def test_the_site_is_built(tmp_path):
    if not os.environ.get("CI") and not (ROOT / ".venv-docs").exists():
        pytest.skip("needs an environment of its own: make docs")
    site = tmp_path / "site"
    make = ["make", "docs", f"SITE={site}", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pages load nothing from elsewhere" in done.stdout
    # Chinese text is cut into words, at characters of no width, so that a word within a sentence is found.
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    texts = {entry["location"]: entry["text"] for entry in index["docs"]}
    assert "\u200b" in texts["zh/serving.html"]
    # GitHub's lists, and tables in them, are those of the site.
    serving = (site / "serving.html").read_text(encoding="utf-8")
    assert "<td>weights, and one call</td>" in serving
