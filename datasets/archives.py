"""Files inside .zip and .tar files, read where they are."""

from __future__ import annotations

import functools
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Protocol

from utils.errors import UserError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# A file of an archive is copied to memory up to this size, to a temporary file beyond it, and not at all
# beyond the last: a small archive may hold terabytes of zeros.
IN_MEMORY, MOST_BYTES = 1 << 24, 1 << 30

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
                yield Member(path, name), archive.prefix(name, most)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except Exception as error:  # as when a file of it is read
        raise UserError(f"{path}: is no archive that can be read ({_words(error)}).") from None


class _Archive(Protocol):
    def names(self) -> list[str]: ...

    def open(self, name: str) -> IO[bytes]: ...

    def prefix(self, name: str, most: int) -> bytes | None: ...


class _Zip:
    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)

    def names(self) -> list[str]:
        return list(dict.fromkeys(one.filename for one in self.file.infolist() if not one.is_dir()))

    def open(self, name: str) -> IO[bytes]:
        return self.file.open(name)

    def prefix(self, name: str, most: int) -> bytes | None:
        try:
            with self.file.open(name) as file:
                return file.read(most)
        except Exception:  # encrypted, damaged, packed by an unknown method ...
            return None


class _Tar:
    def __init__(self, path: Path) -> None:
        self.file = tarfile.open(path)  # noqa: SIM115 (kept open)
        every = {one.name: one for one in self.file}
        self.found = {
            name: one for name, one in every.items() if one.isreg() or (one.islnk() and one.linkname in every)
        }

    def names(self) -> list[str]:
        return list(self.found)

    def open(self, name: str) -> IO[bytes]:
        file = self.file.extractfile(self.found[name])
        assert file is not None  # it is a regular file, or another name of one
        return file

    def prefix(self, name: str, most: int) -> bytes:
        with self.open(name) as file:
            return file.read(most)


def _archive(path: Path) -> _Archive:
    found = path.stat()
    return _opened(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _opened(path: Path, size: int, changed: int) -> _Archive:
    """An archive and its table of contents, which is read once."""
    return _Zip(path) if path.name.lower().endswith(".zip") else _Tar(path)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
