"""Bytes of a file that is packed by gzip, bzip2 or xz, in as little memory as they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Memory that unpacking xz may take: "xz -9" asks for 65 MiB, a file may ask for 4 GiB.
XZ_BYTES = 1 << 27
_BLOCK = 1 << 16


def unpacked(path: Path) -> IO[bytes]:
    """A file as it is unpacked, by its first bytes; as it is where it is not packed."""
    file = path.open("rb")
    begin = file.read(6)
    file.seek(0)
    if begin.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if begin.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return io.BufferedReader(_Xz(file)) if begin == b"\xfd7zXZ\0" else file


class _Xz(io.RawIOBase):
    """The bytes of an .xz file; unlike `lzma.LZMAFile` in bounded memory.

    Raises `lzma.LZMAError` where it is damaged or asks for more memory, and EOFError where it is cut short.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """`file` is read from where it stands at 0."""
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        self._at, self._stream = 0, lzma.LZMADecompressor(memlimit=XZ_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        block = b""
        while not block:
            packed = b""
            if self._stream.eof:  # another stream may follow, behind zeros
                packed = (self._stream.unused_data or self._file.read(_BLOCK)).lstrip(b"\0")
                if not packed:
                    return 0
                self._stream = lzma.LZMADecompressor(memlimit=XZ_BYTES)
            elif self._stream.needs_input and not (packed := self._file.read(_BLOCK)):
                raise EOFError("it is cut short")
            block = self._stream.decompress(packed, len(into))
        into[: len(block)] = block
        self._at += len(block)
        return len(block)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place from the beginning or from here; what is before has to be unpacked."""
        place += self._at if whence == io.SEEK_CUR else 0
        if place < self._at:
            self._begin()
        skipped = bytearray(_BLOCK)
        while self._at < place and self.readinto(memoryview(skipped)[: place - self._at]):
            pass
        return self._at
