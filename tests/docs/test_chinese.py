"""The Chinese pages follow the English ones: the same headings, commands, tables, names in code, and links."""

import collections
import itertools
import pathlib
import posixpath
import re

import pytest
from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).parents[2]
CHINESE = sorted(
    str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.zh-CN.md"), *(ROOT / "docs/zh").glob("*.md")]
)
ALL = sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_PARSER = MarkdownIt("commonmark").enable("table")


def _english(page):
    """Returns the path of the English page that a Chinese page translates; of another page, the page itself."""
    return page.replace(".zh-CN.md", ".md").replace("docs/zh/", "docs/")


def _tokens(page):
    return _PARSER.parse((ROOT / page).read_text(encoding="utf-8"))


def _headings(page):
    tokens = _tokens(page)
    return [
        (token.tag, "".join(child.content for child in after.children))
        for token, after in itertools.pairwise(tokens)
        if token.type == "heading_open"
    ]


def _code(page):
    """Returns the language and the lines of each block; comments, which are translated, are left out."""
    return [
        (token.info, re.sub(r"(^|\s+)# .*$", "", token.content, flags=re.MULTILINE))
        for token in _tokens(page)
        if token.type == "fence"
    ]


def _tables(page):
    """Returns the number of rows of each table."""
    rows = []
    for token in _tokens(page):
        if token.type == "table_open":
            rows.append(0)
        elif token.type == "tr_open":
            rows[-1] += 1
    return rows


def _names(page):
    """Returns, for each section, what its text has in code: flags, keys, files."""
    sections = [set()]
    for token in _tokens(page):
        if token.type == "heading_open":
            sections.append(set())
        sections[-1] |= {child.content for child in token.children or () if child.type == "code_inline"}
    return sections


def _links(page):
    """Returns the targets of the page's links, as a path of the repository and an anchor; other sites as they are."""
    found = []
    for token in _tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                href = child.attrs["href"]
                path, _, anchor = href.partition("#")
                if ":" not in href:
                    folder = posixpath.dirname(page)
                    path = posixpath.normpath(posixpath.join(folder, path)) if path else page
                found.append((path, anchor))
    return found


def _anchors(page):
    """Returns the anchors that GitHub gives to the page's headings."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for _, text in _headings(page)}


@pytest.mark.parametrize("page", CHINESE)
def test_a_chinese_page_has_what_the_english_one_has(page):
    english = _english(page)
    assert [tag for tag, _ in _headings(page)] == [tag for tag, _ in _headings(english)]
    assert _code(page) == _code(english)
    assert _tables(page) == _tables(english)
    for number, (ours, theirs) in enumerate(zip(_names(page), _names(english), strict=True)):
        assert ours == theirs, f"names in code in section {number} of {page} and {english}"


@pytest.mark.parametrize("page", CHINESE)
def test_links_of_the_two_languages_correspond(page):
    english = _english(page)
    ours, theirs = _links(page), _links(english)
    # Each begins with the link to the other.
    assert ours.pop(0) == (english, "")
    assert theirs.pop(0) == (page, "")
    assert collections.Counter(_english(path) for path, _ in ours) == collections.Counter(
        path for path, _ in theirs
    )
    for path, _ in ours:
        twins = {path.replace("docs/", "docs/zh/", 1), path.replace(".md", ".zh-CN.md")}
        assert path in CHINESE or not twins & set(CHINESE), f"{path} has a Chinese page"


@pytest.mark.parametrize("page", CHINESE)
def test_emphasis_is_recognised(page):
    # Between Chinese characters and punctuation, Markdown may read the asterisks as text.
    texts = [child for token in _tokens(page) for child in token.children or () if child.type == "text"]
    assert not [child for child in texts if "**" in child.content]


@pytest.mark.parametrize("page", ALL)
def test_anchors_are_headings(page):
    for path, anchor in _links(page):
        if anchor and path.endswith(".md"):
            assert anchor in {_percent(one) for one in _anchors(path)}, f"{path}#{anchor}"


def _percent(text):
    """Returns an anchor as the parser gives it, with the characters outside ASCII by their bytes."""
    return _PARSER.normalizeLink(text)
