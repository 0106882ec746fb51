"""Token classification in the form of Hugging Face data sets: JSON lines with tokens, and tags as names or numbers."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.conll import tagged_lines
from emr_ner_tf.data.formats.format import Format, TextWriter
from emr_ner_tf.data.formats.json_format import read_json
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source
from emr_ner_tf.data.formats.tags import TaggedRecord, join_tokens, resolve_tags
from emr_ner_tf.data.formats.written import record_keys
from emr_ner_tf.data.json_fields import string_of
from emr_ner_tf.data.lines import json_line
from emr_ner_tf.data.record_error import RecordError, describe_value
from emr_ner_tf.errors import UserError

TOKENS = ("tokens", "words", "sentence")
TAGS = ("ner_tags", "tags", "labels", "ner", "BIO_label")
_INFO = "dataset_info.json"


def _read(source: Source) -> Iterator[Record]:
    return resolve_tags(_tagged(source), source.options.scheme, source.notes)


def _tagged(source: Source) -> Iterator[TaggedRecord]:
    names: dict[str, Sequence[str]] = {}
    tagged: list[TaggedRecord] = []

    def parse(item: dict[str, Any]) -> Record:
        tokens_key = next((key for key in TOKENS if key in item), TOKENS[0])
        tags_key = next((key for key in TAGS if key in item), TAGS[0])
        tokens = _strings(item, tokens_key)
        if tags_key not in item and not source.require_entities:
            tags = ["O"] * len(tokens)
        else:
            tags = _tags(item, tags_key, source, names)
        if len(tags) != len(tokens):
            problem = f"`{tags_key}` must have as many elements as `{tokens_key}` ({len(tokens)}), got"
            raise RecordError(problem, value=str(len(tags)))
        empty = next((i for i, token in enumerate(tokens) if not token and tags[i] != "O"), None)
        if empty is not None:
            problem = f"`{tokens_key}` holds an empty token whose tag is not O, at number"
            raise RecordError(problem, value=f"{empty}, from 0")
        text, starts, ends = join_tokens(tokens)
        extra = {key: value for key, value in item.items() if key not in (tokens_key, tags_key)}
        record = Record(0, b"", text, extra=extra)
        tagged.append(TaggedRecord(record, starts, ends, tags))
        return record

    for record in read_json(source, parse):
        yield tagged.pop() if record.error is None else TaggedRecord(record)


def _strings(item: dict[str, Any], key: str) -> list[str]:
    values = item.get(key)
    if isinstance(values, str):
        return list(values)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        string_of(item, key) if key not in item else None
        raise RecordError("is not a list of strings", key=key, value=describe_value(values))
    return values


def _tags(item: dict[str, Any], key: str, source: Source, names: dict[str, Sequence[str]]) -> list[str]:
    values = item.get(key)
    if isinstance(values, str):
        return values.split()
    if not isinstance(values, list):
        string_of(item, key) if key not in item else None
        raise RecordError("is not a list", key=key, value=describe_value(values))
    if all(isinstance(value, str) for value in values):
        return values
    if not all(type(value) is int for value in values):
        raise RecordError("holds something else than names or numbers of tags", key=key)
    if key not in names:
        names[key] = tag_names(source, key)
    for value in values:
        if not 0 <= value < len(names[key]):
            problem = f"is not the number of one of {len(names[key])} tags"
            raise RecordError(problem, key=key, value=describe_value(value))
    return [names[key][value] for value in values]


def tag_names(source: Source, key: str) -> Sequence[str]:
    """Returns the names of numbered tags, from `--tag_names` or from `dataset_info.json` beside the file.

    Args:
        source: the input.
        key: key of the tags.

    Raises:
        UserError: there are no names.
    """
    if source.options.tag_names:
        path = pathlib.Path(source.options.tag_names)
        try:
            names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise UserError(f"{path}: cannot be read: {problem}") from None
        return [name for name in names if name]
    path = pathlib.Path(source.path).parent / _INFO
    try:
        feature = json.loads(path.read_text(encoding="utf-8"))["features"][key]
        return list((feature.get("feature") or feature)["names"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{source.name}: `{key}` holds numbers, and their names are not in the file; name a file with one tag a "
            f"line, in the order of the numbers: --tag_names=FILE, or put {_INFO} beside the records"
        ) from None


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[TextWriter]:
    def render(document: Document) -> str:
        rows = tagged_lines(document, options.scheme or "bio", losses)
        record = {"id": document.extra["id"]} if "id" in document.extra else {}
        written = {"tokens": [token for token, _ in rows], "ner_tags": [tag for _, tag in rows]}
        return json_line(record | written | record_keys(document, written, losses)) + "\n"

    with atomic_writer(path) as file:
        yield TextWriter(file, path, render)


FORMAT = Format(
    name="huggingface",
    summary="tokens and ner_tags (names, or numbers with --tag_names) in JSON lines, one character a token",
    extension="jsonl",
    unit="none",
    holds=frozenset(("ids", "keys of records", "mentions", "records without text")),
    read=_read,
    options=("scheme", "tag_names"),
    open=_open,
)
