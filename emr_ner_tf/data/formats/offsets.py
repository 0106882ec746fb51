"""Converts offsets of a file to code points with exclusive ends; the mentions' own text decides how they count.

The "reading" of a file is a unit (code points, UTF-16 code units, grapheme clusters), whether the end is exclusive or
inclusive, and whether CR LF counts as one unit or two. A record for which several readings give different spans waits
for a later record to decide; if none does, the reader asks for a flag. Mentions without a text do not decide: if a
reading puts a mention past the text or inside a character, the mention may be wrong instead.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import regex

from emr_ner_tf.data.formats.elimination import Elimination
from emr_ner_tf.data.formats.losses import FRAGMENTS
from emr_ner_tf.data.formats.options import OFFSET_CRLF, OFFSET_ENDS, OFFSET_UNITS, FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record
from emr_ner_tf.data.record_error import RecordError, describe_value

# Maximum number of records in memory that wait for a record that decides.
_MAX_WAITING = 1000
# For each mention, the start and end of each of its parts; most mentions have one part. None stands for a mention
# without a text that does not fit the reading.
_Spans = tuple[tuple[int, ...] | None, ...]
_BREAKS = re.compile(r"[\r\n\t]")


class Reading(NamedTuple):
    """How offsets count in a file.

    Attributes:
        unit: "codepoint", "utf16" or "grapheme".
        end: "exclusive" or "inclusive".
        crlf: whether CR LF is "one" unit or "two".
    """

    unit: str
    end: str
    crlf: str

    def __str__(self) -> str:
        return f"{_UNITS[self.unit]}, {self.end} ends, CR LF as {self.crlf}"


_UNITS = {"codepoint": "code points", "utf16": "UTF-16 units", "grapheme": "grapheme clusters"}
_FLAGS = {"unit": "offset_unit", "end": "offset_end", "crlf": "offset_crlf"}
_CHOICES = {"unit": OFFSET_UNITS, "end": OFFSET_ENDS, "crlf": OFFSET_CRLF}
_QUESTIONS = {
    "unit": "whether they count",
    "end": "whether their ends are",
    "crlf": "whether CR LF counts as",
}
CODE_POINTS = Reading("codepoint", "exclusive", "two")


def readings(
    unit: str = "codepoint", end: str = "exclusive", crlf: str = "two", *, fixed: Sequence[str] = ()
) -> tuple[Reading, ...]:
    """Returns the readings that a format allows, its own convention first.

    Args:
        unit: unit of the convention.
        end: end of the convention.
        crlf: CR LF in the convention.
        fixed: those of "unit", "end" and "crlf" that are the same in all files.
    """
    choices = (
        (unit, *({"codepoint", "utf16"} - {unit})),
        (end, *({"exclusive", "inclusive"} - {end})),
        (crlf, *({"one", "two"} - {crlf})),
    )
    kept = (
        values[:1] if name in fixed else values
        for name, values in zip(("unit", "end", "crlf"), choices, strict=True)
    )
    return tuple(Reading(*values) for values in itertools.product(*kept))


def resolve(
    records: Iterable[Record], allowed: Sequence[Reading], options: FormatOptions, notes: list[str]
) -> Iterator[Record]:
    """Converts the mentions' offsets to code points with exclusive ends.

    Args:
        records: records of one input, with offsets in its own reading; they are changed in place.
        allowed: readings of the format; flags restrict them further.
        options: options of the reader.
        notes: receives what the mentions' own text decided, for the log.

    Returns:
        The records in their order. A record that fits no remaining reading has an `error`.

    Raises:
        RecordError: while iterating: nothing decides between several readings; the message names the flag.
    """
    elimination: Elimination[Reading, Record, _Spans] = Elimination(_asked(allowed, options))
    before, convention = len(elimination.remaining), elimination.remaining[0]
    decided: list[Reading] = []

    def released(waiting: int) -> Iterator[Record]:
        nonlocal decided
        yield from _released(elimination, allowed, options)
        if elimination.waiting > waiting:
            decided = elimination.remaining
            _settle_or_ask(elimination, convention)
            yield from _released(elimination, allowed, options)

    for record in records:
        if record.error is not None or not record.mentions:
            elimination.add_settled(record, ())
        else:
            values = _values(record, elimination.remaining)
            if any(None not in spans for spans in values.values()):
                elimination.offer(record, values)
            else:
                record.error = _misfit(record, elimination.remaining, allowed)
                elimination.add_settled(record, ())
        yield from released(_MAX_WAITING)
    yield from released(0)
    if len(elimination.remaining) < before:
        notes += _decided(decided or elimination.remaining, allowed, "by the mentions' own text")
        if decided:
            left = [reading for reading in allowed if reading in decided]
            notes += _decided(
                elimination.remaining, left, "as the format counts; the texts fit other places, too"
            )


def _released(
    elimination: Elimination[Reading, Record, _Spans], allowed: Sequence[Reading], options: FormatOptions
) -> Iterator[Record]:
    for record, spans in elimination.released():
        fitting = [span for span in spans if span is not None]
        if len(fitting) < len(spans):
            record.error = _misfit(record, elimination.remaining, allowed)
        else:
            _move(record, fitting, options)
        yield record


def _settle_or_ask(elimination: Elimination[Reading, Record, _Spans], convention: Reading) -> None:
    """Uses the convention if the texts of mentions occur at both places; asks for a flag if mentions have no texts.

    Other mentions may have decided against a part of the convention, such as the ends.
    """
    record, values = elimination.first_waiting
    found = {name: {getattr(reading, name) for reading in elimination.remaining} for name in _FLAGS}
    settled = convention._replace(**{name: min(each) for name, each in found.items() if len(each) == 1})
    if any(mention.text is None for mention in record.mentions) or settled not in elimination.remaining:
        raise _question(record, values)
    elimination.settle(settled)


def _asked(allowed: Sequence[Reading], options: FormatOptions) -> list[Reading]:
    """Returns the readings that agree with the flags; a flag may name one that the format does not have."""
    found = list(allowed)
    for name, flag in _FLAGS.items():
        value = getattr(options, flag)
        if value:
            matching = [reading for reading in found if getattr(reading, name) == value]
            found = matching or list(dict.fromkeys(reading._replace(**{name: value}) for reading in found))
    return found


def _values(record: Record, remaining: Sequence[Reading]) -> dict[Reading, _Spans]:
    """Returns the spans of the mentions under each reading that fits all mentions' own texts."""
    found: dict[Reading, _Spans] = {}
    plain: dict[str, _Spans | None] = {}
    simple = is_simple(record.text)
    for reading in remaining:
        if simple and (reading.unit != "grapheme" or record.text.isascii()):
            # Units are characters here, and there is no CR LF.
            if reading.end not in plain:
                plain[reading.end] = _spans(record, reading, lambda offset: offset)
            spans = plain[reading.end]
        else:
            spans = _spans(record, reading, to_code_points(record.text, reading))
        if spans is not None:
            found[reading] = spans
    return found


def is_simple(text: str) -> bool:
    """Returns whether code points and UTF-16 units are the same in `text`, and it has no CR LF."""
    return (text.isascii() and "\r\n" not in text) or (
        max(text, default="") <= "\uffff" and "\r\n" not in text
    )


def to_code_points(text: str, reading: Reading) -> Callable[[int], int | None]:
    """Returns the function from an offset of the reading to one in code points, or None for one inside a unit."""
    return {unit: at for at, unit in enumerate(_boundaries(text, reading)) if unit is not None}.get


def from_code_points(text: str, reading: Reading) -> Callable[[int], int | None]:
    """Returns the function from an offset in code points to one of the reading, or None for one inside a unit."""
    if is_simple(text) and reading.unit != "grapheme":
        return lambda offset: offset
    return _boundaries(text, reading).__getitem__


def _boundaries(text: str, reading: Reading) -> list[int | None]:
    """Returns the offset in units for each offset in code points; None inside a unit."""
    found: list[int | None] = [0]
    if reading.unit == "grapheme":
        found += [None] * len(text)
        for number, match in enumerate(regex.finditer(r"\X", text), start=1):
            found[match.end()] = number
        return found
    at = 0
    for i, character in enumerate(text):
        if reading.crlf == "one" and character == "\n" and i and text[i - 1] == "\r":
            # The offset between CR and LF is invalid, and the LF adds no unit.
            found[-1] = None
            found.append(at)
            continue
        at += 2 if reading.unit == "utf16" and character > "\uffff" else 1
        found.append(at)
    return found


def _spans(record: Record, reading: Reading, place: Callable[[int], int | None]) -> _Spans | None:
    spans = []
    for mention in record.mentions:
        span = _span(record.text, mention, reading, place)
        if span is None and mention.text is not None:
            return None
        spans.append(span)
    return tuple(spans)


def _span(
    text: str, mention: Mention, reading: Reading, place: Callable[[int], int | None]
) -> tuple[int, ...] | None:
    found: list[int] = []
    for start, end in mention.parts or ((mention.start, mention.end),):
        first, last = place(start), place(end + (reading.end == "inclusive"))
        if first is None or last is None or not (found[-1] if found else 0) <= first < last <= len(text):
            return None
        found += first, last
    pairs = zip(found[::2], found[1::2], strict=True)
    if mention.text is not None and not same_text(mention.text, " ".join(text[a:b] for a, b in pairs)):
        return None
    return tuple(found)


def same_text(own: str, text: str) -> bool:
    """Returns whether a mention's own text is `text`; line formats write line breaks and tabs as blanks or escapes.

    Args:
        own: the mention's own text, as in the file.
        text: the text between the mention's offsets.
    """
    if own == text:
        return True
    if not _BREAKS.search(text):
        return False
    # A browser converts CR LF to a line feed.
    shorter = text.replace("\r\n", "\n")
    return own in (
        shorter,
        *(_BREAKS.sub(" ", each) for each in (text, shorter)),
        *(_escaped(each) for each in (text, shorter)),
    )


def _escaped(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _move(record: Record, spans: Sequence[tuple[int, ...]], options: FormatOptions) -> None:
    for number, (mention, span) in enumerate(zip(record.mentions, spans, strict=False), start=1):
        mention.start, mention.end = span[0], span[-1]
        gaps = zip(span[1::2], span[2::2], strict=False)
        # brat splits a mention that extends over the end of a line.
        if any(record.text[start:end].strip("\r\n") for start, end in gaps):
            if options.discontinuous == "error":
                record.error = RecordError(
                    f"the mention has {len(mention.parts)} parts",
                    entity=number,
                    line=mention.line,
                    remedy="--discontinuous=join reads it as one span from the first part to the last",
                )
            mention.extra[FRAGMENTS] = [list(part) for part in zip(span[::2], span[1::2], strict=True)]


def _misfit(record: Record, remaining: Sequence[Reading], allowed: Sequence[Reading]) -> RecordError:
    """Describes which mention does not fit, and whether another reading would fit the whole record."""
    reading = remaining[0]
    place = to_code_points(record.text, reading)
    number, mention = next(
        (number, mention)
        for number, mention in enumerate(record.mentions, start=1)
        if _span(record.text, mention, reading, place) is None
    )
    others = [other for other in readings() if other not in remaining]
    fits = [other for other, spans in _values(record, others).items() if None not in spans]
    hint = f"; it would fit {fits[0]}" if fits else ""
    problem = _problem(record.text, mention, reading, place)
    return RecordError(
        f"{problem} (read as {reading}){hint}",
        key="start, end",
        value=describe_value(mention.start) + ", " + describe_value(mention.end),
        entity=number,
        line=mention.line,
        remedy="correct it, or name how the file counts: --offset_unit, --offset_end, --offset_crlf",
    )


def _problem(text: str, mention: Mention, reading: Reading, place: Callable[[int], int | None]) -> str:
    start, end = place(mention.start), place(mention.end + (reading.end == "inclusive"))
    if mention.start < 0:
        return "starts before the text"
    if start is not None and end is not None and start >= end:
        return "is empty or reversed"
    if start is None or end is None:
        units = _boundaries(text, reading)[-1]
        past = mention.end + (reading.end == "inclusive") > (units or 0)
        return f"is past the end of the text ({units} units)" if past else "is inside a character"
    return "is not where the mention's own text is"


def _question(record: Record, values: dict[Reading, _Spans]) -> RecordError:
    """Returns the error that asks for the flags in which the remaining readings differ."""
    differ = [name for name in _FLAGS if len({getattr(reading, name) for reading in values}) > 1]
    first = next(iter(values.values()))
    # It does not ask for a flag that changes nothing in this record.
    asked = [
        name
        for name in differ
        if any(
            values[one] != values[two]
            for one, two in itertools.combinations(values, 2)
            if all(getattr(one, other) == getattr(two, other) for other in _FLAGS if other != name)
        )
    ] or differ
    number = next(i + 1 for i in range(len(first)) if len({spans[i] for spans in values.values()}) > 1)
    choices = {name: _choices(values, name) for name in asked}
    what = " and ".join(
        f"{_QUESTIONS[name]} {' or '.join(_UNITS.get(value, value) for value in choices[name])}"
        for name in asked
    )
    return RecordError(
        f"nothing in the file tells how its offsets count: {what}",
        path=record.path,
        line=record.mentions[number - 1].line or record.line,
        entity=number,
        remedy="name it: " + " ".join(f"--{_FLAGS[name]}={'|'.join(choices[name])}" for name in asked),
    )


def _choices(values: Iterable[Reading], name: str) -> list[str]:
    """Returns the values of a flag that the remaining readings have."""
    found = {getattr(reading, name) for reading in values}
    return [value for value in _CHOICES[name] if value in found]


def _decided(remaining: Sequence[Reading], allowed: Sequence[Reading], why: str) -> list[str]:
    parts = []
    for dimension in _FLAGS:
        values = {getattr(reading, dimension) for reading in remaining}
        if len(values) == 1 and len({getattr(reading, dimension) for reading in allowed}) > 1:
            (value,) = values
            parts.append(
                {
                    "unit": _UNITS.get(value, value),
                    "end": f"{value} ends",
                    "crlf": f"CR LF as {value}",
                }[dimension]
            )
    return [f"offsets read as {', '.join(parts)} ({why})"] if parts else []
