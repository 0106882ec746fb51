"""Documents into files: whole or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

from emr_ner_tf.data.atomic_io import atomic_writer, errors_named
from emr_ner_tf.data.bio_columns import bio_block
from emr_ner_tf.data.ccks2019 import record_line
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError

__all__ = ["WRITE_FORMATS", "document_writers", "record_line", "write_documents"]

WRITE_FORMATS = ("ccks2019", "bio")


def write_documents(
    path: str | os.PathLike[str], documents: Iterable[Document], format: str = "ccks2019"
) -> int:
    """Writes documents as they come; the file begins to exist when all are in it.

    Args:
        path: the file; its folder is made.
        documents: any number of them.
        format: "ccks2019" (JSON lines) or "bio" (BIO columns).

    Returns:
        How many were written.

    Raises:
        UserError: an unknown format, or a document that the format cannot hold.

    Example:
        >>> import emr_ner_tf
        >>> document = emr_ner_tf.Document("1", "左肾结石。", [emr_ner_tf.Entity(0, 4, "疾病和诊断")])
        >>> emr_ner_tf.write_documents("one.jsonl", [document])
        1
        >>> next(emr_ner_tf.read_documents("one.jsonl")).entities[0].text
        '左肾结石'
    """
    count = 0
    with document_writers([path], format) as (write,):
        for document in documents:
            write(document)
            count += 1
    return count


@contextlib.contextmanager
def document_writers(
    paths: Sequence[str | os.PathLike[str]], format: str = "ccks2019"
) -> Iterator[list[Callable[[Document], object]]]:
    """Opens several files that begin to exist together, once the block has ended well.

    Args:
        paths: the files.
        format: of all of them, see `write_documents`.

    Yields:
        For each file, the function that writes a document to it.

    Raises:
        UserError: an unknown format.
    """
    if format not in WRITE_FORMATS:
        raise UserError(f"format to write must be one of {', '.join(WRITE_FORMATS)}, got {format!r}")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(atomic_writer(path)) for path in paths]
        yield [_writer(file, path, format) for file, path in zip(files, paths, strict=True)]
        # A full disk shows here, before the first file is renamed.
        for file, path in zip(files, paths, strict=True):
            with errors_named(path):
                file.flush()


def _writer(file: IO[str], path: str | os.PathLike[str], format: str) -> Callable[[Document], object]:
    def write(document: Document) -> None:
        text = bio_block(document) if format == "bio" else f"{record_line(document)}\n"
        # Here, since of several files the one that is closed first would be named.
        with errors_named(path):
            file.write(text)

    return write
