"""A format: how it is read, how it is written, and what it cannot hold."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from emr_ner_tf.data.atomic_io import atomic_writer, errors_named
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import Reading
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Record, Source


class Writer(Protocol):
    """Takes documents for one output."""

    def write(self, document: Document) -> None:
        """Writes a document; a RecordError says why the format cannot hold it."""
        ...

    def finish(self) -> None:
        """Writes what follows the last document; a full disk shows here at the latest."""
        ...


WriterFactory = Callable[
    [str | os.PathLike[str], FormatOptions, Losses], contextlib.AbstractContextManager[Writer]
]


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format of records.

    Attributes:
        name: value of `--format`.
        summary: for help and documents.
        extension: of its files, without a dot; "" where it is a folder.
        unit: of its offsets, for documents.
        holds: what it holds beside text and mentions, of `losses.HOLDS`.
        read: yields records of an input; None where the format is only written.
        readings: how offsets may count, the format's own convention first; empty where the reader itself returns code
            points with exclusive ends.
        open: opens an output as a context manager, which makes it exist once the block has ended well; None where the
            format is only read.
        folder: whether it is a folder of files.
    """

    name: str
    summary: str
    extension: str
    unit: str
    holds: frozenset[str]
    read: Callable[[Source], Iterator[Record]] | None = None
    readings: tuple[Reading, ...] = ()
    open: WriterFactory | None = None
    folder: bool = False


class TextWriter:
    """Writes documents to a text file that begins and ends with fixed text."""

    def __init__(
        self,
        file: Any,
        path: str | os.PathLike[str],
        render: Callable[[Document], str],
        *,
        head: str = "",
        separator: str = "",
        tail: str = "",
    ) -> None:
        self._file = file
        self._path = path
        self._render = render
        self._before = head
        self._separator = separator
        self._tail = tail
        self._empty = True

    def write(self, document: Document) -> None:
        """Writes a document."""
        text = self._render(document)
        # Here, since of several files the one that is closed first would be named.
        with errors_named(self._path):
            self._file.write(f"{self._before}{text}")
        self._before, self._empty = self._separator, False

    def finish(self) -> None:
        """Ends the file."""
        with errors_named(self._path):
            self._file.write(self._before * self._empty + self._tail)
            self._file.flush()


def text_writer(
    render: Callable[[Document, Losses], str], *, head: str = "", separator: str = "", tail: str = ""
) -> WriterFactory:
    """Returns the factory of writers of a text file.

    Args:
        render: writes a document, and counts what it leaves out beside what the format does not hold at all.
        head: before the first document.
        separator: between documents.
        tail: after the last one.
    """

    @contextlib.contextmanager
    def open_writer(
        path: str | os.PathLike[str], options: FormatOptions, losses: Losses
    ) -> Iterator[TextWriter]:
        with atomic_writer(path) as file:
            yield TextWriter(
                file,
                path,
                lambda document: render(document, losses),
                head=head,
                separator=separator,
                tail=tail,
            )

    return open_writer
