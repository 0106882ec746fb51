"""The error of a bad record, whose message contains no text of the record."""

import re
from collections.abc import Callable
from typing import Any

from emr_ner_tf.errors import UserError

_MAX_VALUE_CHARACTERS = 40
# A longer number is not an offset; it may identify a person.
_MAX_DIGITS = 9
# Punctuation that no label has, but almost every sentence.
_SENTENCE_MARK = re.compile("[，。；！？：;!?\ufffd]")
_TAG = re.compile(r"[A-Z]-.")


class RecordError(UserError):
    """A record breaks a rule. The message names place, rule and value, and contains no text of the record.

    Attributes:
        path: the file, as the user named it; "" until the reader sets it.
        line: number of the line, counted from 1; None for an error of the whole file.
        record: number of the record in the line, counted from 1; None for the first or only one.
        entity: number of the mention in the record, counted from 1; None for an error of the whole record.
        rule: the broken rule, after the key.
        value: description of the value received; None if there is none.
        remedy: remedy, the same for every record with this error; None if there is none.
        option: the reader's option whose value makes this an error, "labels" or "overlaps"; None for other errors.
    """

    def __init__(
        self,
        problem: str,
        *,
        key: str | None = None,
        value: str | None = None,
        entity: int | None = None,
        path: str = "",
        line: int | None = None,
        remedy: str | None = None,
        option: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.path = path
        self.line = line
        self.record: int | None = None
        self.entity = entity
        self.rule = f"`{key}` {problem}" if key else problem
        self.value = value
        self.remedy = remedy
        self.option = option
        if value is None:
            self._what = self.rule
        else:
            self._what = f"`{key}`={value} {problem}" if key else f"{problem}: {value}"

    def __str__(self) -> str:
        return f"{self.fault}; {self.remedy}" if self.remedy else self.fault

    def reword(self, change: Callable[[str], str]) -> None:
        """Changes the rule and the remedy, such as the names of flags in them."""
        self.rule, self._what = change(self.rule), change(self._what)
        self.remedy = self.remedy and change(self.remedy)

    @property
    def fault(self) -> str:
        """The message without the remedy, for lists that give each remedy once."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        record = "" if self.record is None else f"record {self.record} of the line"
        entity = "" if self.entity is None else f"entity {self.entity}"
        return ": ".join(part for part in (place, record, entity, self._what) if part)


def describe_value(value: Any) -> str:
    """Describes a JSON value for a message: a number by its value, any other by its type and size only."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**_MAX_DIGITS:
        return f"<whole number of more than {_MAX_DIGITS} digits>"
    if isinstance(value, int | float):
        return truncate(str(value))
    if isinstance(value, str):
        return f"<string of {len(value)} characters>"
    return f"<list of {len(value)}>" if isinstance(value, list) else "<object>"


def describe_name(name: str) -> str:
    """Describes a label for a message: unchanged if it can be a name, otherwise by its size, since it may be text.

    If a file is read with wrong columns or line ends, text of a record appears as a label.
    """
    is_name = (
        name.strip().isprintable() and len(name) <= _MAX_VALUE_CHARACTERS and not _SENTENCE_MARK.search(name)
    )
    return repr(name) if is_name else describe_value(name)


def describe_tag(tag: str) -> str:
    """Describes a tag of columns for a message like `describe_name`; a tag without a prefix may be text, too."""
    return describe_name(tag) if _TAG.match(tag) else describe_value(tag)


def truncate(value: str) -> str:
    """Truncates a text that is too long for a message."""
    return value if len(value) <= _MAX_VALUE_CHARACTERS else f"{value[:_MAX_VALUE_CHARACTERS]}..."
