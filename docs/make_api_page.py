"""Prints docs/api.md from the docstrings of the public names: `python docs/make_api_page.py > docs/api.md`."""

import inspect
import re

import emr_ner_tf

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example|Source):$")
_START = """# Python interface

`import emr_ner_tf` gives these names. It takes milliseconds, and imports no TensorFlow before a model is loaded.
This page is made from the docstrings by `python docs/make_api_page.py > docs/api.md`; a test checks that it is up to
date and runs every example.
"""


def main() -> None:
    """Prints the page."""
    print(_START)
    for name in emr_ner_tf.__all__:
        if name != "__version__":
            print("\n".join(_entry(name, getattr(emr_ner_tf, name))))


def _entry(name, value):
    signature = str(inspect.signature(value)).replace("'", "")
    yield f"## {name}\n"
    kind = "class " if inspect.isclass(value) else ""
    yield f"```python\n{kind}{name}{re.sub(r'<factory>', '...', signature)}\n```\n"
    yield from _markdown(inspect.getdoc(value))
    if inspect.isclass(value):
        for method, function in inspect.getmembers(value, inspect.isfunction):
            if not method.startswith("_") or method == "__call__":
                yield f"### {name}.{method}\n"
                yield from _markdown(inspect.getdoc(function))


def _markdown(doc):
    """Yields Markdown: sections of a Google docstring as lists, its example as a block of code."""
    section = None
    for line in [*doc.splitlines(), ""]:
        found = _SECTION.match(line)
        if section == "Example" and (found or not line.strip()):
            yield "```"
            section = None
        if found:
            section = found[1]
            yield f"**{section}**\n"
            if section == "Example":
                yield "```python"
        elif section == "Example":
            yield line.removeprefix("    ")
        elif section and line.startswith("    ") and not line.startswith("     "):
            term, colon, rest = line.strip().partition(": ")
            yield f"- `{term}`: {rest}" if colon and " " not in term else f"- {line.strip()}"
        else:
            yield f"  {line.strip()}".rstrip() if section else line.strip()


if __name__ == "__main__":
    main()
