"""Reads the compressed files of an archive; an incomplete file is an error.

Other readers accept some incomplete files: Beam's own, zstandard's, the standard library's `gzip` if a file is empty,
and its `bz2` and `lzma` if the header of a second part is damaged (docs/decisions/0013-small-libraries.md).
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import zstandard
from apache_beam.io.filesystem import CompressionTypes

# The same maximum window size as in Beam.
_ZSTD_WINDOW = 1 << 31
_PACKED = 1 << 16

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    CompressionTypes.BZIP2: bz2.BZ2Decompressor,
    CompressionTypes.DEFLATE: zlib.decompressobj,
    CompressionTypes.GZIP: lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    CompressionTypes.LZMA: lzma.LZMADecompressor,
    CompressionTypes.ZSTD: lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj(),
}
# Exceptions of the decompressors for a damaged or incomplete file.
BROKEN = (EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError)


def unpacked(file: BinaryIO, compression: str) -> BinaryIO:
    """Returns the decompressed content of a file, including all parts of concatenated ones.

    Args:
        file: the file, opened without decompression.
        compression: a value of `CompressionTypes` other than AUTO; for UNCOMPRESSED, `file` itself is returned.

    Returns:
        A file that raises one of `BROKEN`, or OSError, when damaged or incomplete data is read.
    """
    if compression == CompressionTypes.UNCOMPRESSED:
        return file
    return io.BufferedReader(_Unpacked(file, _DECOMPRESSORS[compression]))


class _Unpacked(io.RawIOBase):
    def __init__(self, file: BinaryIO, new_decompressor: Callable[[], Any]) -> None:
        super().__init__()
        self._file, self._new = file, new_decompressor
        self._decompressor = new_decompressor()
        self._buffer = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._buffer:
            if not self._fill():
                return 0
        count = min(len(buffer), len(self._buffer))
        buffer[:count], self._buffer = self._buffer[:count], self._buffer[count:]
        return count

    def _fill(self) -> bool:
        """Decompresses the next block; returns False at the end."""
        ended = self._decompressor.eof
        packed = (ended and self._decompressor.unused_data) or self._file.read(_PACKED)
        if not packed:
            if ended:
                return False
            raise EOFError("its compressed data are cut off")
        if ended:
            self._decompressor = self._new()
        self._buffer = memoryview(self._decompressor.decompress(packed))
        return True
