"""Records as readers of formats yield them: with offsets in the file's own unit, before the common rules."""

import dataclasses
import os
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from emr_ner_tf.data.ccks2019 import document_id, parse_score
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.sources import encoded_chunks, encoded_lines
from emr_ner_tf.data.json_fields import check_span_keys
from emr_ner_tf.data.lines import Line, source_name
from emr_ner_tf.data.record_error import RecordError, describe_value
from emr_ner_tf.data.validation import check_known, check_label, check_text, settle_overlaps

_MAX_DIGITS = 18


@dataclasses.dataclass(slots=True)
class Mention:
    """A mention as in its file.

    Attributes:
        start: start in the file's unit.
        end: end in the file's unit, exclusive or inclusive as in the file.
        label: label string of the data.
        text: the mention's own text; None if the file has none.
        extra: its other keys; a `score` that is a probability becomes that of the entity.
        line: line of the mention, if it is not on the line of its record.
        parts: start and end of each part of a discontinuous mention, in the file's unit; empty for others.
    """

    start: int
    end: int
    label: str
    text: str | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    line: int | None = None
    parts: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(slots=True)
class Record:
    """A record as in its file, or the error of reading it.

    Attributes:
        line: first line of the record, counted from 1; 0 if the record is the whole file.
        raw: bytes of the record, for the rejects file.
        text: the original text.
        mentions: mentions in the order of the file.
        extra: its other keys, including `id`.
        path: file of the record, if the input is a folder.
        number: number of the record in its line, counted from 1.
        error: the error if the record cannot be read; the other fields are then undefined.
    """

    line: int
    raw: bytes
    text: str = ""
    mentions: list[Mention] = dataclasses.field(default_factory=list)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    path: str = ""
    number: int = 1
    error: RecordError | None = None

    def default_id(self, name: str) -> str:
        """Returns the id that a record without its own id gets, which is unique in the input.

        Args:
            name: name of the input in messages.
        """
        place = f"{self.path or name}:{self.line}"
        return place if self.number == 1 else f"{place}:{self.number}"


class Source(NamedTuple):
    """An input of a format's reader.

    Attributes:
        path: a file, a folder, or `-`.
        options: options of the reader.
        require_entities: whether a record must have a list of mentions, even if it is empty.
        losses: receives the counts of what the reader leaves out.
        notes: receives what the reader found by looking at the file, for the log.
    """

    path: str
    options: FormatOptions
    require_entities: bool
    losses: Losses
    notes: list[str]

    @property
    def name(self) -> str:
        """Name of the input in messages."""
        return source_name(self.path)

    @property
    def is_folder(self) -> bool:
        """Whether the input is a folder."""
        return os.path.isdir(self.path)

    def lines(self) -> Iterator[Line]:
        """Yields the lines, as UTF-8 without a byte order mark."""
        return encoded_lines(self.path, self.options.encoding)

    def chunks(self) -> Iterator[bytes]:
        """Yields the bytes, as UTF-8 without a byte order mark."""
        return encoded_chunks(self.path, self.options.encoding)


def mention_of(
    item: dict[str, Any], number: int, start: str, end: str, label: str, text: str | None = None
) -> Mention:
    """Creates a mention from the keys of a JSON object.

    Args:
        item: the object.
        number: number of the mention in the record, counted from 1.
        start: key of the start.
        end: key of the end.
        label: key of the label.
        text: key of the mention's own text, which may be missing.

    Raises:
        RecordError: a key is missing or has another type.
    """
    check_span_keys(item, number, start=start, end=end, label=label)
    own = item.get(text) if text else None
    if own is not None and not isinstance(own, str):
        raise RecordError("is not a string", key=text, value=describe_value(own), entity=number)
    extra = {key: value for key, value in item.items() if key not in (start, end, label, text)}
    return Mention(item[start], item[end], item[label], own, extra)


def whole_number(text: str, key: str, number: int, line: int | None = None) -> int:
    """Parses an offset.

    Args:
        text: the offset as text.
        key: name of the offset, for the message.
        number: number of the mention in the record, counted from 1.
        line: line of the mention.

    Raises:
        RecordError: it does not consist of at most 18 digits; larger numbers cannot be offsets.
    """
    text = text.strip()
    if not text.isdecimal():
        raise RecordError(
            "is not a whole number", key=key, value=describe_value(text), entity=number, line=line
        )
    if len(text) > _MAX_DIGITS:
        problem = f"has more than {_MAX_DIGITS} digits"
        raise RecordError(problem, key=key, value=describe_value(text), entity=number, line=line)
    return int(text)


def document_of(
    record: Record, default_id: str, *, labels: Collection[str] | None, overlaps: str
) -> tuple[Document, int]:
    """Converts a record to a document and applies the common rules of all formats.

    Args:
        record: record with offsets in code points and exclusive ends.
        default_id: id of the document if the record has none.
        labels: the labels in use; None accepts any.
        overlaps: "error", "longest", or "keep" (and "all"), which keeps every mention.

    Returns:
        The document, and the number of mentions that `overlaps` left out.

    Raises:
        RecordError: a rule is broken.
    """
    check_text(record.text, "text")
    given: list[tuple[Entity, int]] = []
    for number, mention in enumerate(record.mentions, start=1):
        with _place(mention):
            check_label(mention.label, key="label", entity=number)
        extra = dict(mention.extra)
        given.append((Entity(mention.start, mention.end, mention.label, parse_score(extra), extra), number))
    entities = settle_overlaps(given, overlaps)
    for (entity, number), mention in zip(given, record.mentions, strict=True):
        with _place(mention):
            check_known(entity.label, labels, key="label", entity=number)
    identifier = document_id(record.extra, default_id)
    return Document(identifier, record.text, tuple(entities), record.extra), len(given) - len(entities)


class _place:
    """Adds the line of a mention to errors."""

    def __init__(self, mention: Mention) -> None:
        self._line = mention.line

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RecordError) and self._line is not None:
            error.line = self._line
