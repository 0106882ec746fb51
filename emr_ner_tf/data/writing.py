"""Writes documents to files atomically: a file is either complete or absent."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from absl import logging

from emr_ner_tf.data.atomic_io import STANDARD
from emr_ner_tf.data.ccks2019 import record_line
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.format import Format, Writer
from emr_ner_tf.data.formats.losses import Losses, count_losses
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.formats.table import FORMATS, WRITE_FORMATS
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.validation import check_label, check_overlaps, check_text
from emr_ner_tf.errors import UserError

__all__ = ["WRITE_FORMATS", "document_writers", "record_line", "write_documents"]

_OVERLAPS_REMEDY = "this format holds no overlapping mentions: use --overlaps=longest, or write one that does"


def write_documents(
    path: str | os.PathLike[str],
    documents: Iterable[Document],
    format: str = "ccks2019",
    *,
    options: FormatOptions = DEFAULT_OPTIONS,
) -> int:
    """Writes documents one by one; the file is created when all of them are written.

    Args:
        path: the file, or the folder of a format with several files; its parent folder is created.
        documents: any number of documents.
        format: a name in `emr_ner_tf.data.formats.table`.
        options: settings of the writer, such as `scheme`.

    Returns:
        The number of documents written. The log counts what the format cannot represent, by kind.

    Raises:
        UserError: the format is unknown, an item is not a `Document`, offsets are outside of the text, a label is no
            name, or the format cannot represent a document.

    Example:
        >>> import emr_ner_tf
        >>> document = emr_ner_tf.Document("1", "左肾结石。", [emr_ner_tf.Entity(0, 4, "疾病和诊断")])
        >>> emr_ner_tf.write_documents("one.jsonl", [document])
        1
        >>> next(emr_ner_tf.read_documents("one.jsonl")).entities[0].text
        '左肾结石'
    """
    if isinstance(documents, Document):
        raise UserError("documents must be a list of documents, got one Document; put it into a list")
    count = 0
    with document_writers([path], format, options=options) as (write,):
        for document in documents:
            write(document)
            count += 1
    return count


@contextlib.contextmanager
def document_writers(
    paths: Sequence[str | os.PathLike[str]],
    format: str = "ccks2019",
    *,
    options: FormatOptions = DEFAULT_OPTIONS,
) -> Iterator[list[Callable[[Document], object]]]:
    """Opens several files that are created together, after the block has succeeded.

    Args:
        paths: the files.
        format: format of all of them, as in `write_documents`.
        options: settings of the writers.

    Yields:
        For each file, the function that writes a document to it.

    Raises:
        UserError: the format is unknown.
    """
    if format not in WRITE_FORMATS:
        raise UserError(f"format to write must be one of {', '.join(WRITE_FORMATS)}, got {format!r}")
    found = FORMATS[format]
    losses = [Losses() for _ in paths]
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(found.open(path, options, lost))
            for path, lost in zip(paths, losses, strict=True)
        ]
        yield [_write(found, *each) for each in zip(writers, losses, paths, strict=True)]
        # A full disk is reported here, before the first file is renamed.
        for writer in writers:
            writer.finish()
    for path, lost in zip(paths, losses, strict=True):
        if lost:
            logging.warning(
                "%s: not written, because %s cannot represent them: %s", _output_name(path), format, lost
            )


def _write(
    format: Format, writer: Writer, losses: Losses, path: str | os.PathLike[str]
) -> Callable[[Document], object]:
    number = 0

    def write(document: Document) -> None:
        nonlocal number
        number += 1
        try:
            _check(document)
            if not {"overlapping mentions"} & format.holds and "mentions" in format.holds:
                check_overlaps(document.entities, range(1, len(document.entities) + 1))
            writer.write(document)
        except RecordError as error:
            error.path = error.path or f"{_output_name(path)}: record {number}"
            if error.option == "overlaps":
                error.remedy = _OVERLAPS_REMEDY
            raise
        count_losses(document, format.holds, losses)

    return write


def _output_name(path: str | os.PathLike[str]) -> str:
    return "<stdout>" if os.fspath(path) == STANDARD else os.fspath(path)


def _check(document: Document) -> None:
    """Raises an error for documents of callers that no reader would accept."""
    if not isinstance(document, Document):
        raise RecordError(
            f"must be a Document, got {type(document).__name__}", remedy="use Document(id, text, entities)"
        )
    check_text(document.text, "text")
    length = len(document.text)
    for number, entity in enumerate(document.entities, start=1):
        if not 0 <= entity.start < entity.end <= length:
            raise RecordError(
                f"is not a span of the text ({length} characters)",
                key="start, end",
                value=f"{entity.start}, {entity.end}",
                entity=number,
            )
        check_label(entity.label, key="label", entity=number)
