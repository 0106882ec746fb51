"""Compares a mention's own text, if the record has it, with the text between the mention's offsets."""

from collections.abc import Mapping
from typing import Any

from emr_ner_tf.data.record_error import RecordError, describe_value

OWN_TEXT_KEYS = ("entity", "text", "mention")


def check_own_text(
    keys: Mapping[str, Any], text: str, start: int, end: int, *, entity: int, has_offsets: bool = True
) -> None:
    """Raises an error for a mention whose own text differs from the text between its offsets.

    Args:
        keys: keys of the mention; its own text is a string under `entity`, `text` or `mention`.
        text: text of the record.
        start: first character of the mention, in code points.
        end: one past its last character.
        entity: number of the mention, for the message.
        has_offsets: whether the file contains the offsets; with tags, their unit is certain.

    Raises:
        RecordError: the texts differ; the message says whether another unit of the offsets would fit.
    """
    for key in OWN_TEXT_KEYS:
        own = keys.get(key)
        if isinstance(own, str) and own != text[start:end]:
            problem = f"is not the text of the record from {start} to {end}"
            remedy = None if has_offsets else "correct the tags, or correct or delete the key"
            if has_offsets:
                counting = other_counting(keys, text, start, end)
                problem += f"; {counting or 'neither UTF-16 units nor inclusive ends would fit'}"
            raise RecordError(problem, key=key, value=describe_value(own), entity=entity, remedy=remedy)


def own_text_key(keys: Mapping[str, Any]) -> str | None:
    """Returns the key under which a mention has its own text; None if it has none."""
    return next((key for key in OWN_TEXT_KEYS if isinstance(keys.get(key), str)), None)


def false_texts(keys: Mapping[str, Any], own: str) -> list[str]:
    """Returns the keys under which a mention has a text that is not its own, such as a remark; readers would refuse it.

    Args:
        keys: keys of the mention.
        own: text of the mention.
    """
    return [key for key in OWN_TEXT_KEYS if isinstance(value := keys.get(key), str) and value != own]


def other_counting(keys: Mapping[str, Any], text: str, start: int, end: int) -> str | None:
    """Describes which other meaning of the offsets fits a mention's own text; returns None if none does.

    Args:
        keys: keys of the mention.
        text: text of the record.
        start: start of the mention, as in the file.
        end: end of the mention, as in the file.
    """
    owns = [own for key in OWN_TEXT_KEYS if isinstance(own := keys.get(key), str)]
    if not owns or not 0 <= start <= end:
        return None
    units = text.encode("utf-16-le", "surrogatepass")
    for own in owns:
        own_units = own.encode("utf-16-le", "surrogatepass")
        if units[2 * start : 2 * end] == own_units:
            return "it would fit if the offsets counted UTF-16 units; read them with --offset_unit=utf16"
        if text[start : end + 1] == own:
            return "it would fit if the end were inclusive; read it with --offset_end=inclusive"
        if units[2 * start : 2 * (end + 1)] == own_units:
            return (
                "it would fit if the offsets counted UTF-16 units and the end were inclusive; read them with "
                "--offset_unit=utf16 --offset_end=inclusive"
            )
    return None
