"""Common parts of formats with JSON objects: a reader that streams records, and writers of lines or of one array."""

from collections.abc import Callable, Iterator
from typing import Any

from emr_ner_tf.data.formats.json_values import json_values
from emr_ner_tf.data.formats.records import Record, Source
from emr_ner_tf.data.lines import decoded, parsed_object
from emr_ner_tf.data.record_error import RecordError


def read_json(source: Source, parse: Callable[[dict[str, Any]], Record]) -> Iterator[Record]:
    """Yields the records of JSON lines, of one array, or of objects over several lines.

    Args:
        source: the input.
        parse: converts an object to a record; line and bytes are filled in here.
    """
    lines = json_values(source.chunks())
    last, number = 0, 1
    while True:
        try:
            line = next(lines, None)
        except RecordError as error:
            if error.path:
                raise
            yield Record(error.line or 0, b"", error=error)
            return
        if line is None:
            return
        last, number = line.number, number + 1 if line.number == last else 1
        try:
            record = parse(parsed_object(decoded(line)))
        except RecordError as error:
            yield Record(line.number, line.raw, number=number, error=error)
        else:
            record.line, record.raw, record.number = line.number, line.raw, number
            yield record
