"""Reads files in any character encoding as chunks or lines of UTF-8; errors name the line and position of a byte."""

import codecs
import contextlib
import os
from collections.abc import Iterator
from typing import IO

from emr_ner_tf.data.file_kinds import looks_like
from emr_ner_tf.data.lines import BOM, Line, opened, read_error, read_lines, source_name
from emr_ner_tf.data.record_error import RecordError

CHUNK_BYTES = 1 << 20


def encoded_chunks(path: str | os.PathLike[str], encoding: str = "utf-8") -> Iterator[bytes]:
    """Yields a file in chunks of about 1 MiB.

    Args:
        path: the file, or `-` for standard input.
        encoding: encoding of the file; UTF-8 is passed on unchecked, any other is decoded strictly.

    Returns:
        UTF-8 without a byte order mark.

    Raises:
        RecordError: while iterating: the file cannot be read, or has bytes that are invalid in the encoding.
    """
    chunks = _chunks(path)
    if not is_utf8(encoding):
        chunks = _transcoded(chunks, encoding, source_name(path))
    first = next(chunks, b"")
    while len(first) < len(BOM) and (more := next(chunks, b"")):
        first += more
    yield first.removeprefix(BOM)
    yield from chunks


def encoded_lines(path: str | os.PathLike[str], encoding: str = "utf-8") -> Iterator[Line]:
    """Yields the lines of a file; only a line feed ends one.

    Arguments and errors are those of `encoded_chunks`; with other encodings, byte offsets refer to the converted UTF-8.
    """
    if is_utf8(encoding):
        yield from read_lines(path)
        return
    yield from split_lines(encoded_chunks(path, encoding))


def split_lines(chunks: Iterator[bytes]) -> Iterator[Line]:
    """Yields the lines of chunks."""
    rest, number, offset = b"", 0, 0
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            number += 1
            yield Line(number, offset, raw)
            offset += len(raw) + 1
    if rest:
        yield Line(number + 1, offset, rest)


def invalid_encoding(encoding: str, head: bytes, *, value: str, path: str, line: int) -> RecordError:
    """Returns the error for bytes that are invalid in an encoding.

    Args:
        encoding: the encoding.
        head: beginning of the file, which may show its encoding.
        value: the invalid byte and its place.
        path: name of the file.
        line: line of the byte.
    """
    seen = looks_like(head)
    return RecordError(
        f"the file is not valid {encoding}" + (f", and looks like {seen}" if seen else ""),
        value=value,
        path=path,
        line=line,
        remedy="name its encoding: --encoding=utf-8, gb18030, utf-16, ...",
    )


def is_utf8(encoding: str) -> bool:
    """Returns whether an encoding is UTF-8, with or without a byte order mark."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _chunks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    file: IO[bytes]
    with _errors(path), opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextlib.contextmanager
def _errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise read_error(path, error) from None


def _transcoded(chunks: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    row, offset, head = 1, 0, b""
    ended = False
    while not ended:
        chunk = next(chunks, b"")
        ended = not chunk
        head = head or chunk
        before = offset - len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=ended)
        except UnicodeError as error:
            start = 0  # the byte order mark that the encoding requires is missing
            if isinstance(error, UnicodeDecodeError):
                start = error.start
                row += error.object[:start].decode(encoding, "ignore").count("\n")
            at = f"byte {before + start} of the file, from 0"
            raise invalid_encoding(encoding, head[:4096], value=at, path=name, line=row) from None
        offset += len(chunk)
        row += text.count("\n")
        yield text.encode("utf-8", "surrogatepass")
