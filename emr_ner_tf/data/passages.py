"""Reads unlabelled text: passages from files of text or of records."""

import os
from collections.abc import Iterator

from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.formats.sources import encoded_lines
from emr_ner_tf.data.formats.table import AUTO, FORMATS
from emr_ner_tf.data.reading import read_documents, warn_of_foreign_options
from emr_ner_tf.data.record_error import RecordError

_COLUMNS = ("bio", "conll")


def read_passages(
    path: str | os.PathLike[str], *, format: str = AUTO, options: FormatOptions = DEFAULT_OPTIONS
) -> Iterator[str]:
    """Yields the passages of a file that are not blank.

    Args:
        path: a file, or a folder of files.
        format: a name in `emr_ner_tf.data.formats.table`; each record is a passage. "auto" finds the format by looking:
            one passage per line, unless the file has records. Columns are refused.
        options: settings that the file does not state itself, such as its encoding.

    Raises:
        RecordError: while iterating: the file cannot be read, has no passage, a line has another format than the
            first one, or "auto" finds columns of tokens and tags.
    """
    path = os.fspath(path)
    if format == AUTO:
        format = _find_format(path, options.encoding)
    if format in FORMATS:
        # The options may be those of annotated records, which have another format.
        warn_of_foreign_options(path, format, options)
        options = FORMATS[format].own_options(options)
    documents = read_documents(
        path, format=format, overlaps="longest", require_entities=False, options=options
    )
    empty = True
    for document in documents:
        if document.text.strip():
            empty = False
            yield document.text
    if empty:
        raise RecordError("must hold passages of text, and holds none", path=path)


def _find_format(path: str, encoding: str) -> str:
    found = detect(path, encoding)
    if found is not None and found.format in _COLUMNS:
        message = "must hold passages, and holds columns of tokens and tags"
        remedy = "convert it: emr-ner data convert; or name its format: --format=NAME"
        raise RecordError(message, path=path, line=1, remedy=remedy)
    if found is not None and found.format != "text":
        # The reader finds the format again and logs it.
        return AUTO
    first = next((line.raw.strip() for line in encoded_lines(path, encoding) if line.raw.strip()), b"")
    return AUTO if first.startswith(b"{") else "text"
