"""Strings of a user's in Markdown: shown as they are, whatever they hold."""

import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

# What means something within a line. An underscore within a word is none of it.
_SPECIAL = re.compile(r"[\\`*\[\]<>~&]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Returns a string as running text that shows it."""
    return _SPECIAL.sub(r"\\\g<0>", _one_line(text))


def code(text: str) -> str:
    """Returns a string as code within a line."""
    text = _one_line(text)
    if not text:
        return ""
    fence = _fence(text, 1)
    # A space at each side keeps a backtick of the text apart from the fence, and does not show.
    inner = f" {text} " if text.startswith("`") or text.endswith("`") or text.strip() != text else text
    return f"{fence}{inner}{fence}"


def code_block(text: str) -> str:
    """Returns lines as a block of code."""
    fence = _fence(text, 3)
    return f"{fence}\n{text}\n{fence}"


def link(text: str, path: str) -> str:
    """Returns a link to a file."""
    return f"[{plain(text)}]({target(path)})"


def target(path: str) -> str:
    """Returns a path as what a link or a picture leads to."""
    return urllib.parse.quote(path)


def table(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table; its cells are Markdown themselves, in which a bar ends no cell."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|")


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
