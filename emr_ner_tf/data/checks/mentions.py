"""Checks of one mention: its edges, its brackets, and whether it stays in its sentence."""

import re
import unicodedata

_SENTENCE_END = re.compile("[。！？!?\n\r]")
_BRACKETS = {")": "(", "]": "[", "}": "{", "】": "【", "〕": "〔", "〗": "〖", "》": "《", "〉": "〈"}
_BRACKETS |= {"」": "「", "』": "『", "”": "“"}
_ANY_BRACKET = re.compile(f"[{re.escape(''.join((*_BRACKETS, *_BRACKETS.values())))}]")
# A record mixes half-width and full-width brackets in one pair.
_HALF_WIDTH = str.maketrans("（）［］｛｝", "()[]{}")
# Punctuation that belongs to names, units and results: #7, C*, 98%, 5', Ki-67-.
_ALLOWED_FIRST, _ALLOWED_LAST = frozenset("#＃*＊"), frozenset("%％‰#＃*＊'′″’\"-－")


def mention_problems(form: str) -> list[tuple[str, str]]:
    """Returns what is wrong with the surface form of a mention.

    Args:
        form: at least one character.

    Returns:
        (kind, message) of each problem.
    """
    problems = []
    inner = form.strip()
    if inner != form:
        edges = [name for name, edge in (("begins", form[0]), ("ends", form[-1])) if edge.isspace()]
        problems.append(("white_space_at_edge", f"the mention {' and '.join(edges)} with white space"))
    if not inner:
        return problems
    edges = [
        name
        for name, edge, allowed in (
            ("begins", inner[0], _ALLOWED_FIRST),
            ("ends", inner[-1], _ALLOWED_LAST),
        )
        if _is_punctuation(edge) and edge not in allowed
    ]
    if edges:
        problems.append(("punctuation_at_edge", f"the mention {' and '.join(edges)} with punctuation"))
    unpaired = _unpaired(inner)
    if unpaired:
        problems.append(("unbalanced_brackets", f"the mention has {unpaired} without its counterpart"))
    if _SENTENCE_END.search(inner[:-1]):
        problems.append(
            ("mention_over_sentence_end", "the mention reaches over the end of a sentence or line")
        )
    return problems


def _is_punctuation(character: str) -> bool:
    """Returns whether a character is punctuation, other than a bracket of a pair."""
    if unicodedata.category(character)[0] != "P":
        return False
    half = character.translate(_HALF_WIDTH)
    return half not in _BRACKETS and half not in _BRACKETS.values()


def _unpaired(form: str) -> str:
    """Returns the first bracket that has no counterpart; "" if all have one."""
    opened: list[str] = []
    for character in _ANY_BRACKET.findall(form.translate(_HALF_WIDTH)):
        if character in _BRACKETS.values():
            opened.append(character)
        elif not opened or opened.pop() != _BRACKETS[character]:
            return f"{character!r}"
    return f"{opened[0]!r}" if opened else ""
