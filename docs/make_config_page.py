"""Prints docs/config.md from the configuration and its comments: `python docs/make_config_page.py > docs/config.md`."""

import inspect
import itertools
import re

from emr_ner_tf.config import base_config, flattened
from emr_ner_tf.recipes import read_recipe

_RECIPES = ("default", "paper", "quickstart")
_ASSIGNMENT = re.compile(r"    config\.([\w.]+) = \S+(?:.*?  # (.*))?")
_COMMENT = re.compile(r"    # (.*)")
_START = """# Configuration

These are the keys of `train` and `distill` with their values in the recipes; [training.md](training.md) describes the
most important ones. `--config.KEY=VALUE` sets a key on the command line, and `--override=KEY=VALUE` in `reproduce`. A
cell is empty if the recipe has the value of `default`. `paper:ROW` also sets `model.encoder`, `model.context` and
`model.attention` to those of the row. The keys of `pretrain` and `pretrain_elmo` are in
[`settings.py`](../emr_ner_tf/pretraining/settings.py) and
[`elmo_settings.py`](../emr_ner_tf/pretraining/elmo_settings.py).

This page is generated from the recipes and the comments of [`emr_ner_tf/config.py`](../emr_ner_tf/config.py) by
`python docs/make_config_page.py > docs/config.md`. A test checks that it is up to date.
"""


def main() -> None:
    """Prints the page."""
    print(_START.rstrip())
    comments = _comments()
    order = list(comments)
    values = [flattened(read_recipe(recipe)) for recipe in _RECIPES]
    keys = sorted(
        flattened(base_config()), key=lambda key: order.index(key if key in comments else _section(key))
    )
    for section, of_section in itertools.groupby(keys, _section):
        print(f"\n## {section or 'encoder'}\n")
        if comments.get(section):
            print(f"{comments[section]}\n")
        print(
            f"| key | {' | '.join(f'`{recipe}`' for recipe in _RECIPES)} | meaning |\n|---|---|---|---|---|"
        )
        for key in of_section:
            first, *others = (_code(recipe[key]) for recipe in values)
            cells = [f"`{key}`", first, *("" if value == first else value for value in others)]
            print(f"| {' | '.join([*cells, comments.get(key, '')])} |")


def _section(key):
    return key.rpartition(".")[0]


def _comments():
    """Returns the comment above or beside each key and section, in the order of the source of `base_config`."""
    comments, above = {}, []
    for line in inspect.getsource(base_config).splitlines():
        if found := _COMMENT.fullmatch(line):
            above.append(found[1])
            continue
        if found := _ASSIGNMENT.fullmatch(line):
            comments[found[1]] = found[2] or " ".join(above)
        above = []
    return comments


def _code(value):
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    main()
