"""Strings of a user's in Markdown, read back by an independent reader (markdown-it)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from emr_ner_tf.experiments.markdown import code, code_block, link, plain

READER = MarkdownIt("commonmark").enable("table")
NAMES = (
    "症状[/体征]",
    "a|b",
    "a\\|b",
    "`x`",
    "``",
    "*bold* _it_ __b__ a_b_c",
    "[text](link)",
    "<b>&amp;",
    "~~gone~~",
    "trailing\\",
    "two\nlines",
)
_ANY = st.text(st.sampled_from("ab中|\\`*_[]()<>~&;# -+.!1"), min_size=1, max_size=12)


def _table(*cells):
    return "\n".join(["| label | F1 |", "| --- | --- |", *(f"| {cell} | 1 |" for cell in cells)])


def _inline(markdown):
    (inline,) = [token for token in READER.parse(markdown) if token.type == "inline"]
    return inline.children or []


def _cells(markdown):
    return [token.children or [] for token in READER.parse(markdown) if token.type == "inline"]


def _seen(tokens):
    assert {token.type for token in tokens} <= {"text", "text_special", "code_inline"}
    return "".join(token.content for token in tokens)


@pytest.mark.parametrize("name", NAMES)
def test_names_in_a_line_and_in_a_table(name):
    shown = name.replace("\n", " ")
    assert _seen(_inline(f"the file {plain(name)}.")) == f"the file {shown}."
    assert _seen(_inline(f"the file {code(name)}.")) == f"the file {shown}."
    cells = _cells(_table(plain(name), plain(name)))
    assert [_seen(cell) for cell in cells] == ["label", "F1", shown, "1", shown, "1"]


@given(_ANY)
def test_any_name(name):
    name = f"x{name}x"
    assert _seen(_inline(plain(name))) == name
    assert _seen(_inline(f"a {code(name)} b")) == f"a {name} b"
    cells = _cells(_table(plain(name)))
    assert [_seen(cell) for cell in cells] == ["label", "F1", name, "1"]


def test_links_and_blocks():
    opened, *text, _ = _inline(link("a [b] (c).json"))
    assert opened.attrs["href"] == "a%20%5Bb%5D%20%28c%29.json"
    assert _seen(text) == "a [b] (c).json"
    (block,) = READER.parse(code_block("run ```\nmore"))
    assert block.content == "run ```\nmore\n"
