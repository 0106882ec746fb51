"""Recipes by name and by path."""

import pathlib

import pytest

from emr_ner_tf.config import check_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.recipes import find_recipe, read_recipe, recipe_names

ROOT = pathlib.Path(__file__).parents[1]


def test_every_file_is_a_recipe_by_name():
    assert recipe_names() == tuple(sorted(path.stem for path in (ROOT / "configs").glob("*.py")))
    for name in recipe_names():
        assert find_recipe(name) == ROOT / "configs" / f"{name}.py"


def test_a_row_is_passed_on():
    config = read_recipe("paper:bilstm_crf")
    check_config(config)
    assert (config.model.encoder, config.model.context) == ("char", "bilstm")
    assert read_recipe("paper", "bilstm_crf").to_dict() == config.to_dict()


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    own = tmp_path / "own.py"
    own.write_text((ROOT / "configs" / "quickstart.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert read_recipe(str(own)).to_dict() == read_recipe("quickstart").to_dict()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_recipe("~/own.py") == own


@pytest.mark.parametrize(
    ("content", "argument", "line", "message"),
    [
        ("def get_config(:\n", "", ":1", "SyntaxError: invalid syntax"),
        ("import os\nimport no_such_module\n", "", ":2", "No module named 'no_such_module'"),
        ("config = 1\n", "", "", "no attribute 'get_config'"),
        (
            "def get_config():\n    return 1\n",
            ":bert_crf",
            "",
            "takes 0 positional arguments but 1 was given",
        ),
        ("def get_config():\n    x = 1\n    return x.no_such\n", "", ":3", "no attribute 'no_such'"),
    ],
)
def test_a_file_with_a_mistake(tmp_path, content, argument, line, message):
    own = tmp_path / "own.py"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{own}{line}: a recipe must be a Python file .*{message}"):
        read_recipe(f"{own}{argument}")


def test_a_file_without_a_suffix(tmp_path):
    own = tmp_path / "default"
    own.write_text((ROOT / "configs" / "quickstart.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert read_recipe(str(own)).to_dict() == read_recipe("quickstart").to_dict()


def test_neither_a_name_nor_a_file():
    with pytest.raises(UserError, match=r"must be one of default, paper, .*got 'defualt'"):
        find_recipe("defualt")
