"""Rules of all formats: texts that UTF-8 can encode, labels that are names, mentions that do not overlap."""

import bisect
from collections.abc import Collection, Sequence

from emr_ner_tf.data.document import Entity
from emr_ner_tf.data.record_error import RecordError, describe_name

OVERLAPS = ("error", "longest", "keep")


def lone_surrogate(text: str) -> int | None:
    """Returns the index of a lone surrogate, which UTF-8 cannot encode, in a text; None if there is none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def check_text(text: str, key: str) -> None:
    """Raises an error for a text that UTF-8 cannot encode.

    Raises:
        RecordError: the text contains a lone surrogate.
    """
    at = lone_surrogate(text)
    if at is not None:
        raise RecordError(
            "holds a lone surrogate", key=key, value=f"<U+{ord(text[at]):04X} at character {at}>"
        )


def label_problem(label: str) -> str | None:
    """Returns the problem of a label as a name; None if there is none.

    Labels are written to files with one label per line, to tags and to tables.
    """
    if not label:
        return "is empty"
    if label != label.strip():
        return "has white space at an edge"
    if not label.isprintable():
        return "holds a character that cannot be printed"
    return None


def check_label(label: str, *, key: str, entity: int | None = None) -> None:
    """Raises an error for a label that cannot be a name.

    Args:
        label: value of the label in the record.
        key: key of the label, for the message.
        entity: number of the mention, for the message.

    Raises:
        RecordError: the label is invalid.
    """
    problem = label_problem(label)
    if problem is not None:
        raise RecordError(problem, key=key, value=describe_name(label), entity=entity)


def check_known(label: str, known: Collection[str] | None, *, key: str, entity: int | None = None) -> None:
    """Raises an error for a label that is not in use.

    This is the last check of a record, so that labels that are inferred from the good records include those of every
    record that reaches it.

    Args:
        label: value of the label in the record.
        known: the labels in use; None accepts any.
        key: key of the label, for the message.
        entity: number of the mention, for the message.

    Raises:
        RecordError: the label is refused.
    """
    if known is not None and label not in known:
        raise RecordError(
            f"is not one of the labels {', '.join(known)}",
            key=key,
            value=describe_name(label),
            entity=entity,
            option="labels",
        )


def settle_overlaps(
    given: Sequence[tuple[Entity, int]], overlaps: str, *, key: str = "start"
) -> list[Entity]:
    """Sorts the mentions of a record and handles those that overlap.

    Args:
        given: the mentions, each with its number in the record, counted from 1.
        overlaps: "error"; "longest", see `keep_longest_spans`; anything else keeps every mention.
        key: key of the start, for the message.

    Returns:
        The mentions that are kept, sorted by start.

    Raises:
        RecordError: as `check_overlaps`, for "error".
    """
    # Sorted by span only: of two mentions with the same span, the first one given comes first, whatever their labels.
    found = sorted(given, key=lambda pair: (pair[0].start, pair[0].end))
    entities = [entity for entity, _ in found]
    if overlaps == "longest":
        return keep_longest_spans(entities)
    if overlaps == "error":
        check_overlaps(entities, [number for _, number in found], key=key)
    return entities


def check_overlaps(entities: Sequence[Entity], numbers: Sequence[int], *, key: str = "start") -> None:
    """Raises an error for mentions that share a character.

    Args:
        entities: sorted by start.
        numbers: number of each mention in the record, counted from 1.
        key: key of the start, for the message.

    Raises:
        RecordError: names the first mention, in order of start, that overlaps an earlier one.
    """
    for i in range(1, len(entities)):
        before, entity = entities[i - 1], entities[i]
        if entity.start < before.end:
            raise RecordError(
                f"overlaps entity {numbers[i - 1]}, which goes from {before.start} to {before.end}",
                key=key,
                value=str(entity.start),
                entity=numbers[i],
                option="overlaps",
            )


def keep_longest_spans(entities: Sequence[Entity]) -> list[Entity]:
    """Keeps the longest mention, then the longest of those that overlap no kept mention, and so on.

    Therefore, the outermost of nested mentions is kept. Of equally long mentions, the first by start is kept; of two
    with the same span, the first one given, whatever their labels.

    Args:
        entities: mentions sorted by start; those with the same span are in the given order.

    Returns:
        The kept mentions, sorted by start; no two of them overlap.
    """
    starts: list[int] = []
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: entity.start - entity.end):
        at = bisect.bisect_left(
            starts, entity.end
        )  # the mentions in kept[:at] begin before this mention ends
        if at == 0 or kept[at - 1].end <= entity.start:
            starts.insert(at, entity.start)
            kept.insert(at, entity)
    return kept
