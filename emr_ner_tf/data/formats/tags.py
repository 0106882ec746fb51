"""Tag schemes of token columns: converts between tags and mentions, and finds the scheme of a file."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from emr_ner_tf.data.bio_columns import UNREADABLE_TAG
from emr_ner_tf.data.formats.elimination import Elimination
from emr_ner_tf.data.formats.options import SCHEMES
from emr_ner_tf.data.formats.records import Mention, Record
from emr_ner_tf.data.record_error import RecordError, describe_tag

Span = tuple[int, int, str]
# Prefixes of the first, the inner, the last, and the only token of a mention.
_PREFIXES = {
    "bio": ("B", "I", "I", "B"),
    "bioes": ("B", "I", "E", "S"),
    "bmes": ("B", "M", "E", "S"),
    "bilou": ("B", "I", "L", "U"),
}
_NAMES = {"bio": "BIO (IOB2)", "iob1": "IOB1"} | {name: name.upper() for name in SCHEMES[2:]}


@dataclasses.dataclass(slots=True)
class TaggedRecord:
    """A record whose mentions are given by tags.

    Attributes:
        record: the record with its text; its mentions are filled in later.
        starts: start of each token in the text.
        ends: end of each token, one past its last character.
        tags: tag of each token.
        lines: line of each token, for errors; empty if all are on the record's line.
    """

    record: Record
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    tags: Sequence[str] = ()
    lines: Sequence[int] = ()


def resolve_tags(tagged: Iterable[TaggedRecord], scheme: str, notes: list[str]) -> Iterator[Record]:
    """Fills in the mentions, using the scheme that fits all records.

    Args:
        tagged: records of one input.
        scheme: one of `options.SCHEMES`; "" finds it by looking.
        notes: receives the scheme that was found, for the log.

    Returns:
        The records in their order; a record whose tags fit no remaining scheme has an `error`.
    """
    elimination: Elimination[str, TaggedRecord, list[Span]] = Elimination([scheme] if scheme else SCHEMES)
    has_tags = False
    for each in tagged:
        if each.record.error is None:
            each.record.error = _problem(each, scheme)
        if each.record.error is not None:
            elimination.add_settled(each, [])
        else:
            values = {
                scheme: spans
                for scheme in elimination.remaining
                if not isinstance(spans := decode(each.tags, scheme), int)
            }
            if values:
                has_tags = has_tags or any(tag != "O" for tag in each.tags)
                elimination.offer(each, values)
            else:
                each.record.error = _misfit(each, elimination.remaining, scheme)
                elimination.add_settled(each, [])
        for one, spans in elimination.released():
            yield _filled(one, spans)
    if elimination.waiting:
        one, _ = elimination.first_waiting
        names = "|".join(elimination.remaining)
        problem = "nothing in the file tells the scheme of its tags"
        raise RecordError(problem, line=one.record.line, remedy=f"name it: --scheme={names}")
    if has_tags and not scheme and elimination.remaining[0] != "bio":
        notes.append(f"tags read as {' or '.join(_NAMES[each] for each in elimination.remaining)}")


def _problem(tagged: TaggedRecord, scheme: str) -> RecordError | None:
    """Returns the error for tags that IO would read as labels although they are none."""
    if _repeats_tokens(tagged):
        return RecordError(
            "the column of tags holds the tokens again",
            remedy="name the column of tags (in conll: --tag_column=N)",
        )
    for i, tag in enumerate(() if scheme else tagged.tags):
        if UNREADABLE_TAG.fullmatch(tag):
            return RecordError(
                "has no dash and label after its prefix",
                key="tag",
                value=describe_tag(tag),
                line=tagged.lines[i] if tagged.lines else None,
                remedy="write it as B-LABEL; --scheme=io reads each tag as a label",
            )
    return None


def _repeats_tokens(tagged: TaggedRecord) -> bool:
    """Returns whether tags are words of the text, such as lemmas, which IO would read as labels."""
    bare = [i for i, tag in enumerate(tagged.tags) if tag != "O" and "-" not in tag]
    text = tagged.record.text
    return 2 * sum(text[tagged.starts[i] : tagged.ends[i]] == tagged.tags[i] for i in bare) > len(bare)


def decode(tags: Sequence[str], scheme: str) -> list[Span] | int:
    """Returns the mentions of tags.

    Args:
        tags: each is `O`, or a prefix, a dash and a label; in IO also only a label.
        scheme: one of `options.SCHEMES`.

    Returns:
        (first token, one past the last, label) in order; or the index of the first tag that the scheme forbids.
    """
    spans: list[Span] = []
    is_open = False  # whether the last mention must continue
    for i, tag in enumerate(tags):
        prefix, dash, label = tag.partition("-")
        if tag == "O":
            prefix, label = "O", ""
        elif not dash and scheme == "io":
            prefix, label = "I", tag
        elif len(prefix) != 1 or not label:
            return i
        touches = bool(spans) and spans[-1][1] == i and spans[-1][2] == label
        step = _STEPS[scheme](prefix, touches, is_open)
        if step is None:
            return i
        action, is_open = step
        if action == "open":
            spans.append((i, i + 1, label))
        elif action == "extend":
            spans[-1] = (spans[-1][0], i + 1, label)
    return len(tags) - 1 if is_open else spans


def encode(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Returns the tags of `length` tokens with the given mentions, which must not overlap.

    Args:
        spans: (first token, one past the last, label), in order.
        length: number of tokens.
        scheme: one of `options.SCHEMES`.
    """
    tags = ["O"] * length
    last: Span = (-1, -1, "")
    for start, end, label in spans:
        if scheme in _PREFIXES:
            first, middle, final, single = _PREFIXES[scheme]
        else:
            touches = scheme == "iob1" and last[1:] == (start, label)
            first, middle, final, single = "B" if touches else "I", "I", "I", "B" if touches else "I"
        tags[start:end] = [f"{middle}-{label}"] * (end - start)
        tags[end - 1] = f"{final}-{label}"
        tags[start] = f"{single if end - start == 1 else first}-{label}"
        last = (start, end, label)
    return tags


def _bio(prefix: str, touches: bool, is_open: bool) -> tuple[str, bool] | None:
    if prefix == "B":
        return "open", False
    if prefix == "I":
        return ("extend", False) if touches else None
    return ("", False) if prefix == "O" else None


def _iob1(prefix: str, touches: bool, is_open: bool) -> tuple[str, bool] | None:
    if prefix == "B":
        return ("open", False) if touches else None
    if prefix == "I":
        return "extend" if touches else "open", False
    return ("", False) if prefix == "O" else None


def _io(prefix: str, touches: bool, is_open: bool) -> tuple[str, bool] | None:
    return None if prefix == "B" else _iob1(prefix, touches, is_open)


def _closed_by(first: str, middle: str, last: str, single: str):
    def step(prefix: str, touches: bool, is_open: bool) -> tuple[str, bool] | None:
        if prefix in (middle, last):
            return ("extend", prefix == middle) if is_open and touches else None
        if is_open:
            return None
        return {first: ("open", True), single: ("open", False), "O": ("", False)}.get(prefix)

    return step


_STEPS = {
    "bio": _bio,
    "iob1": _iob1,
    "io": _io,
    **{scheme: _closed_by(*_PREFIXES[scheme]) for scheme in ("bioes", "bmes", "bilou")},
}


def _filled(tagged: TaggedRecord, spans: Iterable[Span]) -> Record:
    tagged.record.mentions = [
        Mention(
            tagged.starts[first],
            tagged.ends[end - 1],
            label,
            line=tagged.lines[first] if tagged.lines else None,
        )
        for first, end, label in spans
    ]
    return tagged.record


def _misfit(tagged: TaggedRecord, remaining: Sequence[str], asked: str) -> RecordError:
    scheme = remaining[0]
    places = {scheme: decode(tagged.tags, scheme) for scheme in remaining}
    at = places[scheme]
    tag = tagged.tags[at] if isinstance(at, int) else ""
    problem = f"does not fit {_NAMES[scheme]}" if len(remaining) == 1 else "fits no scheme"
    found = "" if asked or len(remaining) == len(SCHEMES) else ", which earlier records are in"
    others = [each for each in SCHEMES if not isinstance(decode(tagged.tags, each), int)]
    return RecordError(
        f"{problem}{found}",
        key="tag",
        value=describe_tag(tag),
        line=tagged.lines[at] if tagged.lines and isinstance(at, int) else None,
        remedy="correct it" + (f", or name the scheme: --scheme={'|'.join(others)}" if others else ""),
    )


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[int], list[int]]:
    """Joins tokens to a text, with a blank between Latin words and numbers and without one elsewhere.

    Two tokens get a blank between them if the two characters that meet are ASCII letters or digits and one of the
    tokens has several characters; tokens of one character are joined directly.

    Returns:
        The text, and the start and end of each token in it.
    """
    parts: list[str] = []
    starts, ends, at = [], [], 0
    before = ""
    for token in tokens:
        if (
            before
            and token
            and max(len(before), len(token)) > 1
            and _is_word(before[-1])
            and _is_word(token[0])
        ):
            parts.append(" ")
            at += 1
        parts.append(token)
        starts.append(at)
        at += len(token)
        ends.append(at)
        before = token or before
    return "".join(parts), starts, ends


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()
