"""WebAnno TSV 3.3, read only: it lacks the text between sentences, so a CAS (`uima_xmi`) is the better export."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.offsets import Reading, to_code_points
from emr_ner_tf.data.formats.records import Mention, Record, Source
from emr_ner_tf.data.lines import Line, decoded
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.errors import UserError

HEADER = "#FORMAT=WebAnno TSV 3"
_READING = Reading("utf16", "exclusive", "two")
# Longer numbers cannot be offsets.
_BOUNDS = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_STACKED = re.compile(r"(?P<label>.*?)(?:\[(?P<number>[0-9]+)\])?", re.DOTALL)


@dataclasses.dataclass(slots=True)
class _Layer:
    """A span layer: its name, its features, and the column of the first of them."""

    name: str
    features: list[str]
    column: int


def _read(source: Source) -> Iterator[Record]:
    """Yields the one document of the file."""
    record, lines = Record(1, b""), list(source.lines())
    try:
        _fill(record, lines, source)
    except RecordError as error:
        record.error = error
    yield record


def _fill(record: Record, lines: Sequence[Line], source: Source) -> None:
    record.raw = b"\n".join(line.raw for line in lines)
    texts = [decoded(line) for line in lines]
    if not texts or not texts[0].startswith(HEADER):
        raise RecordError(f"the file does not begin with {HEADER}", line=1)
    layer = _layer(texts, source)
    tokens = _tokens(texts)
    text = _text(texts, tokens, source)
    place = to_code_points(text, _READING)
    spans: dict[str, tuple[int, int, str, int]] = {}
    for number, (columns, *bounds) in tokens.items():
        start, end = map(place, bounds)
        if start is None or end is None or text[start:end] != _unescaped(columns[2]):
            problem = "the token is not where its offsets are in the sentence"
            raise RecordError(problem, value=columns[1], line=number)
        for key, label in _labels(columns, layer, number):
            first = spans.get(key, (start, end, label, number))
            spans[key] = (min(first[0], start), max(first[1], end), *first[2:])
    empty = [key for key, span in spans.items() if span[0] == span[1]]
    source.losses.add("mentions without characters", len(empty))
    record.text = text
    record.mentions = [
        Mention(start, end, label, line=line) for start, end, label, line in spans.values() if start < end
    ]


def _layer(texts: Sequence[str], source: Source) -> _Layer:
    """Returns the layer to read: that of `--layer`, the only one, or that of named entities."""
    layers: list[_Layer] = []
    column = 3
    for text in texts:
        if text.startswith(("#T_SP=", "#T_CH=", "#T_RL=")):
            name, *features = text[6:].split("|")
            if text.startswith("#T_SP="):
                layers.append(_Layer(name, [feature for feature in features if feature], column))
            else:
                source.losses.add("layers that are no spans")
            # A layer without features has one column; a layer of relations has an additional one.
            column += max(len(features), 1) + text.startswith("#T_RL=")
    asked, _, feature = source.options.layer.partition(":")
    if asked:
        found = [layer for layer in layers if layer.name == asked or layer.name.endswith(f".{asked}")]
    else:
        found = [layer for layer in layers if layer.name.endswith(".NamedEntity")] or layers
    if len(found) != 1:
        names = ", ".join(layer.name for layer in layers) or "none"
        raise UserError(
            f"{source.name}: one layer of spans is read, and the file has {names}; name it with --layer=NAME or "
            "--layer=NAME:FEATURE"
        )
    layer = found[0]
    feature = feature or ("value" if "value" in layer.features else "")
    if feature:
        if feature not in layer.features:
            names = ", ".join(layer.features)
            raise UserError(f"{source.name}: --layer: a feature must be one of {names}, got {feature!r}")
        layer.column += layer.features.index(feature)
    source.losses.add("layers that are not read", len(layers) - 1)
    return layer


def _tokens(texts: Sequence[str]) -> dict[int, tuple[list[str], int, int]]:
    """Returns the columns, the start and the end of each token, by line."""
    tokens = {}
    for number, row in enumerate(texts, start=1):
        if not row or row.startswith("#"):
            continue
        columns = row.split("\t")
        match = _BOUNDS.fullmatch(columns[1]) if len(columns) > 2 else None
        if match is None:
            raise RecordError("the line is not a number, a start and an end, and a token", line=number)
        tokens[number] = columns, int(match[1]), int(match[2])
    return tokens


def _text(texts: Sequence[str], tokens: Mapping[int, tuple[list[str], int, int]], source: Source) -> str:
    """Puts the sentences at the offsets of their tokens; the file does not have the text between them."""
    parts: list[str] = []
    at = 0  # in UTF-16 units
    sentence = None
    for number, row in enumerate(texts, start=1):
        if row.startswith("#Text="):
            # A sentence over several lines has several of these lines.
            sentence = _unescaped(row[6:]) if sentence is None else f"{sentence}\n{_unescaped(row[6:])}"
            continue
        if number not in tokens or sentence is None:
            continue
        columns, start, _ = tokens[number]
        inside = max(sentence.find(_unescaped(columns[2])), 0)
        gap = start - _size(sentence[:inside]) - at
        if gap < 0:
            raise RecordError("the sentence starts before the end of the one before it", line=number)
        if gap:
            source.losses.add("characters between sentences", gap)
            parts.append("\n" + " " * (gap - 1))
        parts.append(sentence)
        at += gap + _size(sentence)
        sentence = None
    return "".join(parts)


def _size(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _labels(columns: Sequence[str], layer: _Layer, line: int) -> Iterator[tuple[str, str]]:
    """Yields the mentions that a token is part of: a key that all of their tokens share, and the label."""
    if layer.column >= len(columns):
        return
    for index, written in enumerate(re.split(r"(?<!\\)\|", columns[layer.column])):
        if written in ("_", ""):
            continue
        match = _STACKED.fullmatch(written)
        label = _unescaped(match["label"]) if match else written
        number = match["number"] if match else None
        # Without a number, the mention consists of this token.
        yield number or f"{line}:{index}", layer.name.rpartition(".")[2] if label == "*" else label


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)


FORMAT = Format(
    name="webanno",
    summary="WebAnno TSV 3.3, one document a file (read only)",
    extension="tsv",
    unit="UTF-16 units, exclusive ends",
    holds=frozenset(("overlapping mentions", "mentions")),
    read=_read,
    options=("layer",),
)
