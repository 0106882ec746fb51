"""CCKS2017 and CCKS2018: each record has a file with its text and a file with one mention per line.

The corpora differ in the end of a mention (inclusive in 2017, exclusive in 2018), and copies of them deviate from this,
so the mentions' own text decides.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterator

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.folders import FolderWriter, files_of, new_folder, read_pairs, read_text_file
from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import Reading, readings
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record, Source, whole_number
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.record_error import RecordError

TEXT_SUFFIX = ".txtoriginal.txt"
SUFFIX = ".txt"
_BREAKS = re.compile(r"[\r\n\t]")


def _read(source: Source) -> Iterator[Record]:
    texts, mentions = files_of(source, TEXT_SUFFIX, SUFFIX)
    orphans = sum(not os.path.exists(_text_of(path)) for path in mentions)
    source.losses.add("files of mentions without their text", orphans)
    names = ((path, _text_of(path).name.removesuffix(TEXT_SUFFIX)) for path in texts)
    pairs = (
        (name, path.with_name(f"{name}{TEXT_SUFFIX}"), path.with_name(f"{name}{SUFFIX}"))
        for path, name in names
    )
    yield from read_pairs(source, pairs, lambda path: _mentions(path, source.options.encoding))


def _text_of(path: pathlib.Path) -> pathlib.Path:
    """Returns the file of the text, given either file of the record."""
    if path.name.endswith(TEXT_SUFFIX):
        return path
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}{TEXT_SUFFIX}")


def _mentions(path: pathlib.Path, encoding: str) -> Iterator[Mention]:
    number = 0
    for line, text in enumerate(read_text_file(path, encoding).split("\n"), start=1):
        if not text.strip():
            continue
        number += 1
        columns = text.removesuffix("\r").split("\t")
        if len(columns) != 4:
            problem = "the line is not mention, start, end and label with tabs between, and has columns"
            raise RecordError(problem, value=str(len(columns)), entity=number, line=line)
        start, end = (
            whole_number(value, key, number, line)
            for key, value in zip(("start", "end"), columns[1:3], strict=True)
        )
        yield Mention(start, end, columns[3], columns[0], line=line)


class _PairsWriter(FolderWriter):
    """Writes the two files of each document."""

    def __init__(
        self, folder: pathlib.Path, path: str | os.PathLike[str], reading: Reading, losses: Losses
    ) -> None:
        super().__init__(folder, path)
        self._reading = reading
        self._losses = losses

    def write(self, document: Document) -> None:
        """Writes a document."""
        offsets = offsets_of(document, self._reading)
        rows = [
            (_BREAKS.sub(" ", entity.text), *map(str, offsets(entity)), entity.label)
            for entity in document.entities
        ]
        identifier = str(document.extra.get("id", "")).lower()
        if f"{identifier}{SUFFIX}".endswith(TEXT_SUFFIX):
            # The file of its mentions would look like the file of a text.
            name, is_id = self.names.of(dataclasses.replace(document, extra={}))
        else:
            name, is_id = self.names.of(document)
        self._losses.add("ids", document.extra.get("id") not in (None, "") and not is_id)
        self.save(f"{name}{TEXT_SUFFIX}", document.text)
        self.save(f"{name}{SUFFIX}", "".join("\t".join(row) + "\n" for row in rows))

    def finish(self) -> None:
        """Does nothing: every document is already written."""


@contextlib.contextmanager
def _open(
    reading: Reading, path: str | os.PathLike[str], options: FormatOptions, losses: Losses
) -> Iterator[_PairsWriter]:
    with new_folder(path) as folder:
        yield _PairsWriter(folder, path, reading, losses)


def _format(year: str, end: str) -> Format:
    return Format(
        name=f"ccks{year}",
        summary=f"CCKS{year}: a folder with X.txtoriginal.txt and X.txt for each record",
        extension="",
        unit=f"code points, {end} ends",
        holds=frozenset(("ids", "overlapping mentions", "mentions", "records without text")),
        read=_read,
        readings=readings(end=end),
        open=functools.partial(_open, Reading("codepoint", end, "two")),
        folder=True,
    )


CCKS2017 = _format("2017", "inclusive")
CCKS2018 = _format("2018", "exclusive")
