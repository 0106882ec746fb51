"""Counts of data that a format cannot represent, by kind, for the log."""

import collections
from collections.abc import Collection
from typing import Any

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.own_text import OWN_TEXT_KEYS

ID = "id"
RECORD_KEYS, MENTION_KEYS = "keys of records", "keys of mentions"
FRAGMENTS = "fragments"
# Kinds of data that a format may represent in addition to text and mentions; its `holds` lists them.
HOLDS = (
    "ids",
    RECORD_KEYS,
    MENTION_KEYS,
    "scores",
    "parts of discontinuous mentions",
    "overlapping mentions",
    "mentions",
    "records without text",
)


class Losses:
    """Counts by kind.

    Attributes:
        counts: number by kind; kinds are in the plural.
    """

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()

    def add(self, kind: str, number: int = 1) -> None:
        """Counts `number` more of a kind."""
        if number:
            self.counts[kind] += number

    def __str__(self) -> str:
        return ", ".join(f"{number} {kind}" for kind, number in self.counts.items())

    def __bool__(self) -> bool:
        return bool(self.counts)


def count_losses(document: Document, holds: Collection[str], losses: Losses) -> None:
    """Counts data of a document that a format cannot represent.

    Args:
        document: the document to be written.
        holds: kinds from `HOLDS` that the format can represent.
        losses: receives the counts.
    """
    if "mentions" not in holds:
        losses.add("mentions", len(document.entities))
        return _count_keys(document, holds, losses)
    for entity in document.entities:
        keys = mention_keys(entity)
        if FRAGMENTS in keys:
            losses.add(
                "parts of discontinuous mentions",
                "parts of discontinuous mentions" not in holds and MENTION_KEYS not in holds,
            )
            del keys[FRAGMENTS]
        losses.add(MENTION_KEYS, 0 if MENTION_KEYS in holds else len(keys))
        losses.add("scores", entity.score is not None and "scores" not in holds)
    return _count_keys(document, holds, losses)


def _count_keys(document: Document, holds: Collection[str], losses: Losses) -> None:
    losses.add("ids", document.extra.get(ID) not in (None, "") and "ids" not in holds)
    others = len(document.extra) - (ID in document.extra)
    losses.add(RECORD_KEYS, 0 if RECORD_KEYS in holds else others)
    losses.add("records without text", not document.text and "records without text" not in holds)


def mention_keys(entity: Entity) -> dict[str, Any]:
    """Returns a mention's keys without those that carry no information: `overlap` 0, and its own text."""
    keys = dict(entity.extra)
    if type(keys.get("overlap")) is int and keys["overlap"] == 0:
        del keys["overlap"]
    for key in OWN_TEXT_KEYS:
        if keys.get(key) == entity.text:
            keys.pop(key, None)
    return keys
