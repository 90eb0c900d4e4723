"""The images that files, folders, patterns, lists and archives name together."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from datasets.archives import Member, is_archive, members, repeated
from datasets.image_files import IMAGE_SUFFIXES, PREFIX, begins_as_image
from datasets.rated.sets import RatedImage
from utils.errors import UserError

# Images in formats that are not read.
OTHER_SUFFIXES = frozenset((".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".psd", ".svg"))
# Of files that are no images in spite of their names so many are named.
MOST_NAMED = 5


@dataclass(frozen=True)
class Unreadable:
    """What was named but cannot be read, where a path is expected: opening it tells why."""

    name: str
    reason: str

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Raises `UserError` with the reason."""
        raise UserError(f"{self.name}: {self.reason}")

    def __str__(self) -> str:
        return self.name


@dataclass
class Collection:
    """Images in the order in which they were found, each once, and what was passed over.

    A folder or archive that cannot be read is one of the images; asked for its pixels, it says why.
    """

    images: list[RatedImage] = field(default_factory=list)
    # Files of folders and archives that are no images, and those of them whose ending says that they are.
    others: int = 0
    misnamed: list[str] = field(default_factory=list)
    # Files and folders that were come to a second time, by another name, a link or in a circle of links.
    repeated: int = 0

    def pass_over(self, name: str) -> None:
        """Count a file that is no image."""
        self.others += 1
        if Path(name).suffix.lower() in IMAGE_SUFFIXES | OTHER_SUFFIXES:
            self.misnamed.append(name)

    def sentences(self) -> Iterator[str]:
        """What was passed over, in words."""
        if self.others:
            yield f"Passed over, because they are no images that can be read: {self.others} file(s)."
        if self.misnamed:
            more = len(self.misnamed) - MOST_NAMED
            named = ", ".join(self.misnamed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            yield f"No images that can be read, in spite of their names: {named}."
        if self.repeated:
            yield f"There more than once, and counted once: {self.repeated} file(s) or folder(s)."


def find_images(paths: Sequence[str], lists: Sequence[str] = ()) -> Collection:
    """All images under `paths` and under the paths that the files `lists` hold.

    A file is an image by its first bytes, whatever its name; what is named itself is always taken. Folders
    are gone through with all below, by name, hidden files and folders left out; archives as folders are.

    Args:
        paths: files, folders, archives, or patterns such as "photos/**/*.jpg".
        lists: files of paths, one a line, or parted by zero bytes as `find -print0` does; "-" is standard
            input.

    Raises:
        UserError: a list cannot be read, or there is no image.
    """
    found = Collection()
    seen: set[str] = set()
    expanded: list[str] = []
    for path in paths:
        matching = _expanded(path)
        expanded += matching
        if not matching:
            _take(Unreadable(path, "no file matches the pattern."), found)
    listed = [one for name in lists for one in _read_list(name)]
    for path in (*expanded, *listed):
        _add(Path(path), found, seen)
    if not found.images:
        named = ", ".join([*paths, *lists]) or "nothing"
        others = f", but {found.others} other file(s)" if found.others else ""
        raise UserError(f"{named}: holds no image{others}.")
    return found


def _expanded(path: str) -> Sequence[str]:
    """The paths that a pattern stands for; itself where it is a file or no pattern."""
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    # Path.glob takes no pattern that begins at the root.
    return sorted(glob.glob(path, recursive=True))  # noqa: PTH207


def _read_list(name: str) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"{name}: the list cannot be read ({error.strerror}).") from None
    lines = content.split(b"\0") if b"\0" in content else content.removeprefix(b"\xef\xbb\xbf").splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _add(path: Path, found: Collection, seen: set[str]) -> None:
    """Add what was named: an archive, a folder with all below, or a file, which is taken whatever it is."""
    # Unlike Path's, what os.path asks raises no error of a name that is too long or may not be looked up.
    if not os.path.isdir(path):  # noqa: PTH112
        if _is_new(path, found, seen):
            _add_file(path, found, named=True)
        return

    def unlisted(error: OSError) -> None:
        name = os.fsdecode(error.filename)
        _take(Unreadable(name, f"cannot be listed ({error.strerror})."), found)

    for folder, below, files in os.walk(path, onerror=unlisted, followlinks=True):
        # A folder is gone through once, whatever links lead to it.
        if not _is_new(Path(folder), found, seen):
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            if _is_new(Path(folder, name), found, seen):
                _add_file(Path(folder, name), found, named=False)


def _is_new(path: Path, found: Collection, seen: set[str]) -> bool:
    real = os.path.realpath(path)
    if real in seen:
        found.repeated += 1
        return False
    seen.add(real)
    return True


def _add_file(file: Path, found: Collection, named: bool) -> None:
    if is_archive(file) and os.path.isfile(file) and not _begins_as_image(file):  # noqa: PTH113
        _add_archive(file, found)
    elif named:
        _take(file, found)
    elif os.path.isfile(file) or not os.path.exists(file):  # noqa: PTH110, PTH113 (no pipe: it may not end)
        try:
            with file.open("rb") as opened:
                _take_image(file, opened.read(PREFIX), found)
        except OSError:  # it may not be read, or is a link to nothing: told when its pixels are asked for
            _take(file, found)
    else:
        found.others += 1


def _begins_as_image(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return begins_as_image(opened.read(PREFIX))
    except OSError:
        return False


def _add_archive(path: Path, found: Collection) -> None:
    try:
        for member, prefix in members(path, PREFIX):
            _take_image(member, prefix, found)
        found.repeated += repeated(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        _take(Unreadable(str(path), reason), found)


def _take_image(file: Path | Member, prefix: bytes | None, found: Collection) -> None:
    """Take a file of a folder or archive where it is an image, by its name where it cannot be read."""
    named = Path(str(file)).suffix.lower() in IMAGE_SUFFIXES
    if named if prefix is None else begins_as_image(prefix):
        _take(file, found)
    else:
        found.pass_over(str(file))


def _take(file: Path | Member | Unreadable, found: Collection) -> None:
    # All three are opened and named as a path is.
    found.images.append(RatedImage(str(file), cast(Path, file)))
