"""Common parts of writers: offsets in the format's reading, and other keys of records and mentions."""

from collections.abc import Callable, Collection
from typing import Any

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.losses import MENTION_KEYS, RECORD_KEYS, Losses, mention_keys
from emr_ner_tf.data.formats.offsets import Reading, from_code_points
from emr_ner_tf.data.record_error import RecordError


def offsets_of(document: Document, reading: Reading) -> Callable[[Entity], tuple[int, int]]:
    """Returns the function from an entity to its start and end in the format's reading.

    Raises:
        RecordError: when the function is called: the mention is outside of the text, or begins or ends within a CR LF
            that counts as one unit.
    """
    place = from_code_points(document.text, reading)

    def offsets(entity: Entity) -> tuple[int, int]:
        if not 0 <= entity.start < entity.end <= len(document.text):
            problem = f"must be a part of the text ({len(document.text)} characters), got"
            raise RecordError(problem, value=f"{entity.start} to {entity.end}")
        start, end = place(entity.start), place(entity.end)
        if start is None or end is None:
            value = f"{entity.start} to {entity.end}"
            problem = "the mention begins or ends between CR and LF, which are one character in this format"
            raise RecordError(problem, value=value)
        return start, end - (reading.end == "inclusive")

    return offsets


def record_keys(document: Document, taken: Collection[str], losses: Losses) -> dict[str, Any]:
    """Returns a record's other keys, for a format that can represent them.

    Args:
        document: the record.
        taken: keys with another meaning in the format.
        losses: receives the count of the record's keys with these names.
    """
    keys = {key: value for key, value in document.extra.items() if key not in taken}
    losses.add(RECORD_KEYS, len(document.extra) - len(keys))
    return keys


def other_keys(entity: Entity, taken: Collection[str], losses: Losses) -> dict[str, Any]:
    """Returns a mention's other keys and its score, for a format that can represent them.

    Args:
        entity: the mention.
        taken: keys with another meaning in the format.
        losses: receives the count of the mention's keys with these names.
    """
    taken = taken if entity.score is None else {*taken, "score"}
    found = mention_keys(entity)
    keys = {key: value for key, value in found.items() if key not in taken}
    losses.add(MENTION_KEYS, len(found) - len(keys))
    return keys if entity.score is None else keys | {"score": entity.score}
