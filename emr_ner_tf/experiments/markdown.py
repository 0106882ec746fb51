"""A user's strings in Markdown: a reader sees them as they are, whatever characters they have."""

import re
import urllib.parse

# Characters with a meaning within a line or a cell of a table. An underscore within a word has none.
_SPECIAL = re.compile(r"[\\`*\[\]<>~&|]|(?<![^\W_])_|_(?![^\W_])")


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


def link(path: str) -> str:
    """Returns a link to a file, shown by its path."""
    return f"[{plain(path)}]({target(path)})"


def target(path: str) -> str:
    """Returns a path as what a link or a picture leads to."""
    return urllib.parse.quote(path)


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
