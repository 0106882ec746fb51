"""Keys of a record and of its mentions, checked for presence and type."""

from typing import Any

from emr_ner_tf.data.record_error import RecordError, describe_value


def string_of(record: dict[str, Any], key: str) -> str:
    """Returns a string of a record.

    Raises:
        RecordError: it is missing or something else.
    """
    if key not in record:
        raise RecordError("is missing", key=key)
    if not isinstance(record[key], str):
        raise RecordError("is not a string", key=key, value=describe_value(record[key]))
    return record[key]


def list_of(record: dict[str, Any], key: str, *, required: bool = True) -> list[Any]:
    """Returns a list of a record; an empty one where it is missing and not `required`.

    Raises:
        RecordError: it is missing or something else.
    """
    if key not in record:
        if required:
            raise RecordError("is missing", key=key)
        return []
    if not isinstance(record[key], list):
        raise RecordError("is not a list", key=key, value=describe_value(record[key]))
    return record[key]


def object_of(value: Any, number: int) -> dict[str, Any]:
    """Returns a mention that is a JSON object.

    Args:
        value: the mention.
        number: number of the mention in the record, counted from 1.

    Raises:
        RecordError: it is something else.
    """
    if not isinstance(value, dict):
        raise RecordError("the mention is not an object", value=describe_value(value), entity=number)
    return value


def check_span_keys(item: dict[str, Any], number: int, *, start: str, end: str, label: str) -> None:
    """Refuses a mention whose label is no string or whose offsets are no whole numbers.

    Args:
        item: the mention.
        number: number of the mention in the record, counted from 1.
        start: key of the start.
        end: key of the end.
        label: key of the label.

    Raises:
        RecordError: a key is missing or of another type.
    """
    for key, kind, name in (
        (label, str, "a string"),
        (start, int, "a whole number"),
        (end, int, "a whole number"),
    ):
        if key not in item:
            raise RecordError("is missing", key=key, entity=number)
        if type(item[key]) is not kind:  # bool is an int to isinstance
            raise RecordError(f"is not {name}", key=key, value=describe_value(item[key]), entity=number)
