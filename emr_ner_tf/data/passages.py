"""Unlabelled text: passages of files that hold one a line, as text or as JSON lines."""

import os
import re
from collections.abc import Iterator

from emr_ner_tf.data.lines import read_lines
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.record_error import RecordError

_COLUMNS = re.compile(r"\S\s+(O|[BIESM]-\S+)")


def read_passages(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields the passages of a file, blank ones left out.

    Args:
        path: UTF-8; JSON lines with `originalText` where its first line that is not blank begins with `{`, else
            one passage a line.

    Raises:
        RecordError: while iterating: the file cannot be read, holds no passage, or a line of it is not what the first
            one promises; or its first line is a character and its tag.
    """
    path = os.fspath(path)
    first = next((line.raw.strip() for line in read_lines(path) if line.raw.strip()), b"")
    if _COLUMNS.fullmatch(first.decode("utf-8", errors="replace")):
        message = "must hold passages, and its first line is a character and its tag"
        raise RecordError(message, path=path, line=1, remedy="convert it: emr-ner data convert")
    format = "ccks2019" if first.startswith(b"{") else "text"
    empty = True
    for document in read_documents(path, format=format, overlaps="longest", require_entities=False):
        if document.text.strip():
            empty = False
            yield document.text
    if empty:
        raise RecordError("must hold passages of text, and holds none", path=path)
