"""Records as a format's reader yields them: offsets in the file's own unit, before the rules of every format."""

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
    """A mention as its file states it.

    Attributes:
        start: in the file's unit.
        end: in the file's unit, exclusive or inclusive as the file has it.
        label: the data's own label string.
        text: the mention's own text; None where the file has none.
        extra: its other keys; a `score` that is a probability becomes the entity's.
        line: where the mention is in the file, if not on the line of its record.
        parts: of a discontinuous mention, the start and end of each, in the file's unit; else empty.
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
    """A record as its file states it, or what is wrong with it.

    Attributes:
        line: its first line, counted from 1; 0 where the file as a whole is meant.
        raw: its bytes, for the rejects file.
        text: the original text.
        mentions: in the file's order.
        extra: its other keys, `id` among them.
        path: its file, where the input is a folder.
        number: which record of its line it is, counted from 1.
        error: why it cannot be read; the rest then means nothing.
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
        """Returns its id where it has none of its own, which no other record of the input has.

        Args:
            name: the input's name in messages.
        """
        place = f"{self.path or name}:{self.line}"
        return place if self.number == 1 else f"{place}:{self.number}"


class Source(NamedTuple):
    """An input of a format's reader.

    Attributes:
        path: a file, a folder, or `-`.
        options: how it is read.
        require_entities: whether a record must state its mentions, even if there are none.
        losses: takes the counts of what the reader leaves out.
        notes: takes what the reader has found by looking, for the log.
    """

    path: str
    options: FormatOptions
    require_entities: bool
    losses: Losses
    notes: list[str]

    @property
    def name(self) -> str:
        """The input's name in messages."""
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
    """Takes a mention from the keys of a JSON object.

    Args:
        item: the object.
        number: which mention of the record, counted from 1.
        start: key of the start.
        end: key of the end.
        label: key of the label.
        text: key of the mention's own text, which may be missing.

    Raises:
        RecordError: a key is missing or of another type.
    """
    check_span_keys(item, number, start=start, end=end, label=label)
    own = item.get(text) if text else None
    if own is not None and not isinstance(own, str):
        raise RecordError("is not a string", key=text, value=describe_value(own), entity=number)
    extra = {key: value for key, value in item.items() if key not in (start, end, label, text)}
    return Mention(item[start], item[end], item[label], own, extra)


def whole_number(text: str, key: str, number: int, line: int | None = None) -> int:
    """Returns an offset that a file has as text.

    Args:
        text: of the file.
        key: name of the offset, for the message.
        number: which mention of the record, counted from 1.
        line: of the mention.

    Raises:
        RecordError: it is not made of at most 18 digits; longer ones are no place in any text.
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
    """Applies the rules of every format.

    Args:
        record: its offsets are in code points, with exclusive ends.
        default_id: the document's id where the record has none.
        labels: the labels in use; None takes any.
        overlaps: "error", "longest", or "keep" (and "all"), which keeps every mention.

    Returns:
        The document, and how many of its mentions `overlaps` has taken out.

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
    """Gives errors the line of a mention."""

    def __init__(self, mention: Mention) -> None:
        self._line = mention.line

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RecordError) and self._line is not None:
            error.line = self._line
