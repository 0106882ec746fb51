"""The messages that the guide explains are those of the code, and its example of a table is read."""

import ast
import functools
import pathlib
import re

import pytest

from emr_ner_tf.data.reading import read_documents

ROOT = pathlib.Path(__file__).parents[2]
PAGES = {"docs/data.md": "### Frequent messages", "docs/zh/data.md": "### 常见的错误信息"}


@functools.cache
def _strings_of_the_package():
    """Returns the constant strings of the code; those of adjacent literals are one."""
    return [
        node.value
        for path in (ROOT / "emr_ner_tf").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize(("page", "heading"), PAGES.items())
def test_the_messages_that_a_page_explains_are_in_the_code(page, heading):
    section = (ROOT / page).read_text(encoding="utf-8").split(f"{heading}\n")[1].split("\n## ")[0]
    messages = re.findall(r"^\| `(.+?)` \|", section, flags=re.MULTILINE)
    assert len(messages) > 10
    strings = _strings_of_the_package()
    assert [message for message in messages if not any(message in string for string in strings)] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_the_page_is_read(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    table = re.findall(r"^```\n(id,text,.*?)^```", text, flags=re.MULTILINE | re.DOTALL)[0]
    path = tmp_path / "notes.csv"
    path.write_text(table, encoding="utf-8")
    found = [(one.extra["id"], [entity.label for entity in one.entities]) for one in read_documents(path)]
    assert found == [("a-1", ["疾病和诊断", "药物"]), ("a-2", [])]
