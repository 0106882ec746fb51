"""The page of the configuration is made from the code, and explains every key."""

import pathlib
import re
import subprocess
import sys

from emr_ner_tf.config import base_config, flattened

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")


def test_the_page_is_made_from_the_configuration():
    command = [sys.executable, str(ROOT / "docs" / "make_config_page.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == PAGE, "python docs/make_config_page.py > docs/config.md"


def test_every_key_has_a_meaning_and_the_value_of_a_recipe():
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert sorted(key for key, *_ in rows) == sorted(flattened(base_config()))
    # Those of a random encoder are Hugging Face's, as the text of their section says.
    assert [key for key, *_, meaning in rows if not meaning and not key.startswith("random_encoder.")] == []
    assert "| `model.units` | `256` | `512` | `64` | size of the context layer" in PAGE
