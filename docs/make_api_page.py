"""Prints docs/api.md from the docstrings of the public names: `python docs/make_api_page.py > docs/api.md`."""

import inspect
import re

import emr_ner_tf
from emr_ner_tf.client.options import ClientOptions, TlsFiles
from emr_ner_tf.data.formats.options import FormatOptions

# Classes of settings, which the functions take and the package does not offer by itself.
_SETTINGS = (ClientOptions, TlsFiles, FormatOptions)
_WIDTH = 100
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example|Source):$")
_START = """# Python interface

`import emr_ner_tf` provides these names. It takes milliseconds; TensorFlow is not imported until a model is loaded.
The last three sections are classes of settings, which have modules of their own.
This page is generated from the docstrings by `python docs/make_api_page.py > docs/api.md`. A test checks that it is
up to date and runs every example.
"""


def main() -> None:
    """Prints the page."""
    print(_START)
    for name in emr_ner_tf.__all__:
        if name != "__version__":
            print("\n".join(_entry(name, getattr(emr_ner_tf, name))))
    for value in _SETTINGS:
        print("\n".join(_head(value.__name__, value)))
        print(f"Import it with `from {value.__module__} import {value.__name__}`.\n")


def _head(name, value):
    yield f"## {name}\n"
    kind = "class " if inspect.isclass(value) else ""
    yield f"```python\n{_signature(kind + name, value)}\n```\n"
    yield from _markdown(inspect.getdoc(value))


def _entry(name, value):
    yield from _head(name, value)
    if inspect.isclass(value):
        for method, function in inspect.getmembers(value, _is_documented):
            if not method.startswith("_") or method == "__call__":
                yield f"### {name}.{method}\n"
                if not isinstance(function, property):
                    yield f"```python\n{_signature(method, function)}\n```\n"
                yield from _markdown(inspect.getdoc(function))


def _is_documented(member):
    return (
        inspect.isfunction(member)
        or inspect.ismethod(member)
        or (isinstance(member, property) and member.__doc__ is not None)
    )


def _signature(name, value):
    """Returns the call, on one line if it fits; names have no modules, and long defaults are shown as `...`."""
    signature = inspect.signature(value)
    lines = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        default = parameter.default
        if default is not parameter.empty and not isinstance(default, (str, int, float, tuple, type(None))):
            parameter = parameter.replace(default=...)
        lines.append(_plain(str(parameter)).replace("Ellipsis", "...").replace("'", '"'))
    returns = signature.return_annotation
    end = (
        ""
        if returns in (None, inspect.Signature.empty)
        else f" -> {_plain(inspect.formatannotation(returns))}"
    )
    line = f"{name}({', '.join(lines)}){end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {one}," for one in lines), f"){end}"])


def _plain(text):
    """Annotations without the names of modules and without the quotes of forward references."""
    return re.sub(r"(-> |: |^)'([\w.]+)'", r"\1\2", re.sub(r"\b(?:[a-z_]\w*\.)+(\w+)", r"\1", text))


def _markdown(doc):
    """Yields Markdown: lists of a Google docstring as lists, its example as a block of code, the rest as text."""
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
            # A line of "Returns" that names nothing continues its sentence.
            yield f"- `{term}`: {rest}" if colon and " " not in term else line.strip()
        else:
            yield f"  {line.strip()}".rstrip() if section else line.strip()


if __name__ == "__main__":
    main()
