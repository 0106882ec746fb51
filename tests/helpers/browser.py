"""The browser of the tests that need one, and what they do on the page.

The tests are skipped without a browser, but where CI is set they fail.
"""

import os
import shutil

import pytest
import requests

# Offsets in code points and the words of each mention in a panel.
_MENTIONS = """panel => {
  const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  const found = [];
  let at = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const length = [...node.data].length;
    const mention = node.parentElement.closest(".mention:not(.below)");
    if (mention) {
      found.push([at, at + length, mention.dataset.label, node.data]);
    }
    at += length;
  }
  return found;
}"""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def require_browser() -> str:
    """Returns the path of a browser; skips the test if there is none, or fails it if the variable CI is set."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is not None:
        return found
    needs = f"needs a browser ({', '.join(_NAMES)}): apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(f"{needs}; CI is set, so this test is not skipped", pytrace=False)
    pytest.skip(needs)


def choose(page, *models):
    """Selects these models and no other."""
    for box in page.locator("#models span").all():
        box.locator("input").set_checked(box.inner_text().split()[0] in models)
        idle(page)


def idle(page):
    """Waits until the page has done what it was asked."""
    # Not by a function: the page's Content-Security-Policy allows no evaluation of strings.
    page.wait_for_selector("body[aria-busy=false]")


def annotate(page, text):
    """Has a text annotated."""
    page.fill("#text", text)
    page.click("#annotate")
    idle(page)


def upload(page, *paths):
    """Opens files."""
    page.set_input_files("#files", [str(path) for path in paths])
    idle(page)


def drawn(page, column=0):
    """Returns start, end, label and words of each mention that a panel shows."""
    return [tuple(one) for one in page.locator(".text").nth(column).evaluate(_MENTIONS)]


def by_api(site, text, model="ner"):
    """Returns start, end, label and words of each mention that the server's REST interface finds."""
    body = {"inputs": {"text": [text]}}
    outputs = requests.post(f"{site}/v1/models/{model}:predict", json=body, timeout=60).json()["outputs"]
    (starts,), (ends,), (labels,) = outputs["start"], outputs["end"], outputs["label"]
    return [(*one, text[one[0] : one[1]]) for one in zip(starts, ends, labels, strict=True) if one[0] >= 0]
