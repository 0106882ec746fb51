"""The description of a format: how it is read and written, and what it can represent."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from emr_ner_tf.data.atomic_io import atomic_writer, errors_named
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import Reading
from emr_ner_tf.data.formats.options import OFFSETS, FormatOptions
from emr_ner_tf.data.formats.records import Record, Source


class Writer(Protocol):
    """Writes documents to one output."""

    def write(self, document: Document) -> None:
        """Writes a document; raises a RecordError if the format cannot represent it."""
        ...

    def finish(self) -> None:
        """Writes the end of the output; a full disk is reported here at the latest."""
        ...


WriterFactory = Callable[
    [str | os.PathLike[str], FormatOptions, Losses], contextlib.AbstractContextManager[Writer]
]


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format of records.

    Attributes:
        name: value of `--format`.
        summary: description for help and documents.
        extension: extension of its files, without a dot; "" for a folder.
        unit: unit of its offsets, for documents.
        holds: kinds of data from `losses.HOLDS` that it can represent in addition to text and mentions.
        read: yields the records of an input; None if the format can only be written.
        readings: readings of offsets, the format's own convention first; empty if the reader itself returns code points
            with exclusive ends.
        open: opens an output as a context manager, which creates the output after the block has succeeded; None if the
            format can only be read.
        folder: whether the format is a folder of files.
        options: names of the options that its reader has; each also has `encoding`, and with `readings` those of
            offsets.
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
    options: tuple[str, ...] = ()

    @property
    def option_names(self) -> set[str]:
        """Names of all options that its reader has."""
        return {"encoding", *(OFFSETS if self.readings else ()), *self.options}

    def own_options(self, options: FormatOptions) -> FormatOptions:
        """Returns the options of the format; all others have their defaults."""
        # Only the scheme of BIO columns is certain.
        names = self.option_names | ({"scheme"} if options.scheme == self.name else set())
        return FormatOptions(**{name: getattr(options, name) for name in names})

    def foreign_options(self, options: FormatOptions) -> list[str]:
        """Returns the names of the options that are given and that the format does not have."""
        own, names = self.own_options(options), (field.name for field in dataclasses.fields(options))
        return [name for name in names if getattr(options, name) != getattr(own, name)]


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
        # The name is added here; when several files are closed, the error would name the first one.
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
        render: writes a document, and counts what it leaves out in addition to what the format cannot represent at all.
        head: text before the first document.
        separator: text between documents.
        tail: text after the last document.
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
