"""Prints a record on a terminal, with its entities coloured by label."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from emr_ner_tf.cli.console import results
from emr_ner_tf.data.document import Document

_STYLES = (
    "black on cyan",
    "black on yellow",
    "black on green",
    "white on magenta",
    "white on red",
    "white on blue",
)
# Control characters act on a terminal, and rich drops some, which would shift the colours: print their symbols.
_PICTURES = {code: 0x2400 + code for code in range(32) if code != 10} | dict.fromkeys(range(127, 160), 65533)


def coloured(document: Document, labels: Sequence[str], console: Console | None = None) -> None:
    """Prints the text with each mention in the colour of its label, then a line for each mention.

    Args:
        document: the record with its entities.
        labels: the labels in the model's order, which determines the colours.
        console: the console to print to; standard output if None.
    """
    console = console or results(force_terminal=True)
    style = {label: _STYLES[i % len(_STYLES)] for i, label in enumerate(labels)}
    text = Text(document.text.translate(_PICTURES))
    for entity in document.entities:
        text.stylize(style.get(entity.label, _STYLES[0]), entity.start, entity.end)
    console.print(text, soft_wrap=True)
    for entity in document.entities:
        line = Text(f"  {entity.start:>5}-{entity.end:<5} ")
        line.append(f" {entity.label} ", style.get(entity.label, _STYLES[0]))
        score = "" if entity.score is None else f"  {entity.score:.3f}"
        line.append(f" {document.mention(entity).translate(_PICTURES)}{score}")
        console.print(line, soft_wrap=True)
    console.print()
