"""Records as BIO columns: one character and its tag on a line, a blank line between records.

Characters that a reader of columns may lose (white space, control and format characters, private use) are
written as `<U+0020>`. Data that columns cannot hold (id and other keys, keys and scores of mentions, a record
without text) is written in a line `# {...}` before the record. A line `# O` is still a character.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from emr_ner_tf.data.ccks2019 import ENTITIES, OVERLAP, SCORE, TEXT, document_id, parse_score
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.lines import Line, decoded, decoded_columns, json_line, parsed_object, without_mark
from emr_ner_tf.data.own_text import check_own_text, false_texts
from emr_ner_tf.data.record_error import RecordError, describe_tag, describe_value
from emr_ner_tf.data.validation import check_known, check_label, check_text

_COMMENT = "# {"
# The first character may be white space, so that files that do not write it as `<U+0020>` can be read, too.
_ROW = re.compile(r"(?:<U\+([0-9A-F]{4,6})>|(.))[ \t]+(\S.*?)[ \t]*", re.DOTALL)
# A tag of columns in any scheme.
TAG = re.compile(r"O|[BIEMSLU]-\S.*", re.DOTALL)
# A tag without a label, or with another sign before it than a dash. It is a label only if the scheme is given as IO.
UNREADABLE_TAG = re.compile(r"[BIEMSLU](?:_.*)?", re.DOTALL)


def blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Splits the lines of a file into records, at lines that are empty or contain only ASCII white space.

    A byte order mark before a row is removed: concatenated files have such marks inside.
    """
    block: list[Line] = []
    for line in lines:
        plain = without_mark(line)
        # Before a separator, the mark is the character of the row.
        line = line if plain.raw.startswith((b" ", b"\t")) else plain
        if line.raw.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def row_tag(text: str) -> str | None:
    """Returns the tag of a row with one character; None if the line is no such row."""
    match = _ROW.fullmatch(text)
    return match and match[3]


def split_columns(text: str) -> list[str]:
    """Splits a line at tabs, if it has any, since labels may contain blanks, or at blanks; the token may be a blank."""
    separator = r"[ ]*\t[ ]*" if "\t" in text else r"[ ]+"
    rest = re.split(separator, text[1:].rstrip(" \t"))
    return [text[:1] + rest[0], *rest[1:]]


def parse_block(block: Sequence[Line], default_id: str, *, labels: Collection[str] | None = None) -> Document:
    """Parses and checks one record.

    Args:
        block: lines of the record; the first one may be that of other keys.
        default_id: id of the document if the record has none.
        labels: the labels in use; None accepts any.

    Returns:
        The document.

    Raises:
        RecordError: the record is bad; the line is set, the file is not.
    """
    number = block[0].number
    try:
        first = decoded(block[0])
        extra = parsed_object(first[2:]) if first.startswith(_COMMENT) else {}
        mention_keys = extra.pop(ENTITIES, None)
        identifier = document_id(extra, default_id)
        characters: list[str] = []
        spans: list[tuple[int, int, str]] = []
        lines: list[int] = []
        for line in block[1:] if first.startswith(_COMMENT) else block:
            number = line.number
            character, tag = _row(decoded_columns(line))
            _extend(spans, tag, len(characters))
            lines += [number] * (len(spans) - len(lines))
            characters.append(character)
        number, text = block[0].number, "".join(characters)
        entities = _entities(spans, mention_keys, text)
        for begins, entity in zip(lines, entities, strict=True):
            number = begins
            check_known(entity.label, labels, key="label")
    except RecordError as error:
        error.line = number
        raise
    return Document(identifier, text, entities, extra)


def bio_block(document: Document) -> str:
    """Returns a document, whose mentions must not overlap, as columns with the blank line that ends it."""
    tags = ["O"] * len(document.text)
    for entity in document.entities:
        tags[entity.start : entity.end] = [f"I-{entity.label}"] * (entity.end - entity.start)
        tags[entity.start] = f"B-{entity.label}"
    rows = [
        f"{written_character(character)}\t{tag}\n" for character, tag in zip(document.text, tags, strict=True)
    ]
    return "".join([*_comment(document), *rows, "\n"])


def written_character(character: str) -> str:
    """Returns a character as columns write it: as `<U+0020>` if a reader of columns may lose it."""
    plain = character.isprintable() and not character.isspace()
    return character if plain else f"<U+{ord(character):04X}>"


def _comment(document: Document) -> list[str]:
    keys = {key: value for key, value in document.extra.items() if key not in (TEXT, ENTITIES)}
    mention_keys = [_keys(entity) for entity in document.entities]
    if any(mention_keys):
        keys[ENTITIES] = mention_keys
    return [f"# {json_line(keys)}\n"] if keys or not document.text else []


def _keys(entity: Entity) -> dict[str, Any] | None:
    """Returns the keys of a mention that its tags do not express; `overlap` 0 is the default of CCKS2019 JSON lines."""
    keys = dict(entity.extra)
    for key in false_texts(keys, entity.text):
        del keys[key]
    if type(keys.get(OVERLAP)) is int and keys[OVERLAP] == 0:
        del keys[OVERLAP]
    if entity.score is not None:
        keys[SCORE] = entity.score
    return keys or None


def _row(text: str) -> tuple[str, str]:
    match = _ROW.fullmatch(text)
    if match is None:
        _refuse_row(text)
    code, character, tag = match.groups()
    if code is not None:
        if int(code, 16) > 0x10FFFF:
            raise RecordError("is no code point", key="character", value=f"<U+{code}>")
        character = chr(int(code, 16))
        check_text(character, "character")
    return character, tag


def _refuse_row(text: str) -> NoReturn:
    size = f"{len(text)} characters in {len(text.split())} columns"
    raise RecordError("the line is not one character, a tab or a space, and a tag", value=size)


def _extend(spans: list[tuple[int, int, str]], tag: str, at: int) -> None:
    """Adds the tag of the character at index `at` to the mentions."""
    prefix, label = tag[:2], tag[2:]
    if tag == "O":
        return
    if prefix not in ("B-", "I-"):
        raise RecordError("is not O, B-label or I-label", key="tag", value=describe_tag(tag))
    check_label(label, key="label")
    if prefix == "B-":
        spans.append((at, at + 1, label))
        return
    if not spans or spans[-1][1] != at or spans[-1][2] != label:
        raise RecordError("does not follow B or I of its label", key="tag", value=describe_tag(tag))
    spans[-1] = (spans[-1][0], at + 1, label)


def _entities(spans: Sequence[tuple[int, int, str]], mention_keys: Any, text: str) -> tuple[Entity, ...]:
    if mention_keys is None:
        return tuple(Entity(*span) for span in spans)
    if not isinstance(mention_keys, list) or len(mention_keys) != len(spans):
        problem = f"is not a list with one element for each of the record's {len(spans)} mentions"
        raise RecordError(problem, key=ENTITIES, value=describe_value(mention_keys))
    entities = []
    for number, (span, keys) in enumerate(zip(spans, mention_keys, strict=True), start=1):
        if keys is not None and not isinstance(keys, dict):
            raise RecordError(
                "the keys of the mention are neither null nor an object",
                value=describe_value(keys),
                entity=number,
            )
        extra = dict(keys or {})
        check_own_text(extra, text, span[0], span[1], entity=number, has_offsets=False)
        score = parse_score(extra)
        entities.append(Entity(*span, score, extra))
    return tuple(entities)
