"""Files and folders found by name without regard to case: releases spell them differently than disks do."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath


class FileLookup:
    """Finds files whose names may differ in case from those on disk; lists each folder once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, Path]] = {}

    def listing(self, folder: Path) -> dict[str, Path]:
        """What is in `folder`, by name in lower case, sorted; nothing where it is no folder to be listed."""
        if folder not in self._listings:
            try:
                entries = sorted(folder.iterdir())
            except (OSError, ValueError):  # ValueError: a null byte in a name
                entries = []
            self._listings[folder] = {entry.name.lower(): entry for entry in entries}
        return self._listings[folder]

    def match(self, folder: Path, pattern: str) -> list[Path]:
        """What is under `folder` by a pattern like "Annotations/MOS*.xlsx"; "." is the folder itself.

        Hidden files are left out: unpacked archives hold "._" twins of their files.
        """
        found = [folder]
        for part in PurePosixPath(pattern.lower()).parts:
            found = [
                entry
                for place in found
                for name, entry in self.listing(place).items()
                if fnmatchcase(name, part) and not name.startswith(".")
            ]
        return found

    def find(self, path: Path) -> Path:
        """The file that is there, or `path` itself where there is none."""
        if is_there(path) or path.parent == path:
            return path
        return self.listing(self.find(path.parent)).get(path.name.lower(), path)


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have is not there either."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True
