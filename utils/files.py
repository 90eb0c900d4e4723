"""Files that are there whole or not at all, and what tells one content from another."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; when the block ends well, what was written takes `path`'s place.

    A power cut, a full disk or an error leaves `path` as it was. Two processes may write at once.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename in (None, str(part)):  # none where the disk is full, or one that nobody knows
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str, errors: str = "surrogateescape") -> None:
    """Write a text atomically as UTF-8; names of files that are not UTF-8 keep their bytes."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors=errors, newline="")


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal; a file that did not change is read once a process."""
    path = Path(path).resolve()
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def source_sha256(*files: str | Path) -> str:
    """SHA-256 over the bytes of source files: the key of values that the code in them computes."""
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
