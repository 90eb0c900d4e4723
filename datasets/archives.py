"""Files inside .zip and .tar files, read where they are."""

from __future__ import annotations

import functools
import math
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Protocol, cast

from datasets.unpacking import unpacked
from utils.errors import UserError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# A file of an archive is copied to memory up to this size, to a temporary file beyond it, and not at all
# beyond the last: a small archive may hold terabytes of zeros.
IN_MEMORY, MOST_BYTES = 1 << 24, 1 << 30
# A tar may hold so many bytes for each that is packed, or `MOST_BYTES`; so many are read at once, and so many
# of headers.
MOST_RATIO, MOST_AT_ONCE, MOST_HEADERS = 100, 1 << 24, 1 << 27

_lock = Lock()


@dataclass(frozen=True)
class Member:
    """A file of an archive, which is opened as a path is."""

    archive: Path
    name: str

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Its bytes, to be read in any order.

        Raises:
            UserError: it is encrypted, too large or no longer there, or the archive is damaged.
        """
        copy = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed by who reads it)
        try:
            # One reader of an archive at a time, as tarfile wants it.
            with _lock, _archive(self.archive).open(self.name) as file:
                left = MOST_BYTES
                while block := file.read(1 << 16):
                    left -= len(block)
                    if left < 0:
                        raise UserError(f"{self}: holds more than {MOST_BYTES >> 30} GiB.")
                    copy.write(block)
        except Exception as error:  # zlib.error, struct.error, EOFError, lzma's ... of a damaged archive
            copy.close()
            if isinstance(error, UserError | MemoryError):
                raise
            raise UserError(f"{self}: cannot be read from its archive ({_words(error)}).") from None
        copy.seek(0)
        return copy

    def packed_size(self) -> int:
        """Bytes that it takes in its archive; of a packed tar at most those of the archive."""
        with _lock:
            return _archive(self.archive).packed_size(self.name)

    def __str__(self) -> str:
        return f"{self.archive}/{self.name.removeprefix('./')}"


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, by its ending."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def members(path: Path, most: int) -> Iterator[tuple[Member, bytes | None]]:
    """The files of an archive in its order, hidden ones left out, with at most `most` first bytes of each.

    None stands for the bytes of a file that cannot be read; opening it tells why.

    Raises:
        UserError: the archive cannot be read.
    """
    try:
        archive = _archive(path)
        for name in archive.names():
            # "./photo.jpg" is how tar names the files of the folder that it was called in.
            parts = [part for part in name.split("/") if part not in (".", "..")]
            if not any(part.startswith((".", "__MACOSX")) for part in parts):
                yield Member(path, name), _prefix(archive, name, most)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except Exception as error:  # as when a file of it is read
        raise UserError(f"{path}: is no archive that can be read ({_words(error)}).") from None


class _Archive(Protocol):
    repeated: int  # files that have the name of a later one, or are another name of one

    def names(self) -> list[str]: ...

    def open(self, name: str) -> IO[bytes]: ...

    def packed_size(self, name: str) -> int: ...


class _Zip:
    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        files = [one for one in self.file.infolist() if not one.is_dir()]
        if sum(one.compress_size for one in files) > path.stat().st_size:
            raise ValueError("its files share their bytes")
        self.found = {one.filename: one for one in files}
        self.repeated = len(files) - len(self.found)

    def names(self) -> list[str]:
        return list(self.found)

    def open(self, name: str) -> IO[bytes]:
        one = self.found[name]
        # Python unpacks the other methods without a limit, however little is read.
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("its compression is not deflate, which alone is read")
        return self.file.open(one)

    def packed_size(self, name: str) -> int:
        return self.found[name].compress_size


class _Tar:
    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        most = max(MOST_BYTES, MOST_RATIO * self.size)
        bounded = _Bounded(unpacked(path), most, max(MOST_HEADERS, self.size))
        self.file = tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:")  # noqa: SIM115 (kept open)
        files = [one for one in self.file if one.isreg() or one.islnk()]
        bounded.left = math.inf
        # Another name of a file is left out: it is that file again.
        self.found = {one.name: one for one in files if one.isreg()}
        self.repeated = sum(one.isreg() or one.linkname in self.found for one in files) - len(self.found)
        if sum(one.size for one in self.found.values()) > most:
            raise ValueError("its files are mostly holes")

    def names(self) -> list[str]:
        return list(self.found)

    def open(self, name: str) -> IO[bytes]:
        file = self.file.extractfile(self.found[name])
        assert file is not None  # it is a regular file
        return file

    def packed_size(self, name: str) -> int:
        one = self.found[name]
        parts = cast(list[tuple[int, int]] | None, one.sparse)  # without its holes
        return min(one.size if parts is None else sum(length for _, length in parts), self.size)


class _Bounded:
    """A tar as tarfile reads it, `headers` bytes of which it may keep, and `most` unpack."""

    def __init__(self, file: IO[bytes], most: int, headers: int) -> None:
        self.file, self.most = file, most
        self.left: float = headers

    def read(self, size: int) -> bytes:
        self.left -= size
        if not 0 <= size <= MOST_AT_ONCE or self.left < 0:
            raise ValueError("its headers are too long")
        self._check(self.tell() + size)
        return self.file.read(size)

    def seek(self, place: int) -> int:
        self._check(place)
        return self.file.seek(place)

    def tell(self) -> int:
        return self.file.tell()

    def _check(self, place: int) -> None:
        if place > self.most:
            raise ValueError(f"it holds more than {self.most / (1 << 30):.0f} GiB")


def repeated(path: Path) -> int:
    """How many files of an archive that was gone through are there more than once."""
    return _archive(path).repeated


def _prefix(archive: _Archive, name: str, most: int) -> bytes | None:
    try:
        with archive.open(name) as file:
            return file.read(most)
    except Exception:  # encrypted, damaged, packed by an unknown method ...
        return None


def _archive(path: Path) -> _Archive:
    found = path.stat()
    return _opened(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _opened(path: Path, size: int, changed: int) -> _Archive:
    """An archive and its table of contents, which is read once."""
    return _Zip(path) if path.name.lower().endswith(".zip") else _Tar(path)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
