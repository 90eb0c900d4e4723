"""Pictures with human scores: the rated sets in their native layouts, and any table of scores.

A rated set is a row of `RATED_SETS`; what differs between sets are the fields of its row.
"""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.io

from datasets.decoder import list_images

# What scipy raises on damaged MATLAB files.
_MATLAB_ERRORS = (
    OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, MemoryError, zlib.error,
    scipy.io.matlab.MatReadError,
)  # fmt: skip


class RatedSetError(ValueError):
    """A rated set or table of scores that cannot be used; the message names file, line or field."""


@dataclass(frozen=True)
class RatedImage:
    """A picture with its name in the set and its mean opinion score in the set's own range.

    `mos` is None where nobody rated it. `size` is the (height, width) to which the protocol resizes
    it before scoring; None keeps its own.
    """

    name: str
    path: Path
    mos: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class RatedSet:
    """The pictures of a set in the order of its score file.

    `missing` names those whose file is not there; they are among `images` all the same. `expected`
    is the number of pictures of the whole set, None where no such number is known.
    """

    name: str
    images: tuple[RatedImage, ...]
    missing: tuple[str, ...] = ()
    expected: int | None = None


@dataclass(frozen=True)
class Layout:
    """How a rated set lies on disk and is read: one row of `RATED_SETS`."""

    # Relative to the root, the score file: where it is, there is the root.
    scores: str
    # Folder of the pictures, relative to the root.
    images: str
    # Reads the root's score files: (name of a picture, MOS), in the set's order.
    read: Callable[[Path], list[tuple[str, float]]]
    # Pictures of the whole set, without those in `left_out`.
    expected: int
    # Names, lower case, of rated pictures that are not part of the test.
    left_out: frozenset[str] = frozenset()
    # Name, lower case -> (height, width) to which the protocol resizes the picture.
    resized: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def load_rated_set(name: str, folder: str | Path) -> RatedSet:
    """The rated set `name` (a key of `RATED_SETS`, any case) under `folder`.

    Args:
        name: of the set.
        folder: the set's root, its folder of pictures, or a folder up to two levels above the root.

    Raises:
        RatedSetError: the name is unknown, there is no such set, or its score file is not as it should be.
    """
    key = next((key for key in RATED_SETS if key.lower() == name.lower()), None)
    if key is None:
        raise RatedSetError(f"There is no data set '{name}'; known: {', '.join(RATED_SETS)}.")
    layout = RATED_SETS[key]
    root = _find_root(Path(folder), layout.scores, key)
    rated = [row for row in layout.read(root) if row[0].lower() not in layout.left_out]
    _check_scores(rated, root / layout.scores)
    find = _Finder()
    images = tuple(
        RatedImage(image, find(root / layout.images / image), mos, layout.resized.get(image.lower()))
        for image, mos in rated
    )
    return _checked(RatedSet(key, images, find.missing(images), layout.expected), root / layout.images)


def load_scores_table(table: str | Path, folder: str | Path | None = None) -> RatedSet:
    """Pictures and scores of a CSV file with the columns `image` and `mos`, in any order among others.

    Args:
        table: the file, UTF-8 with a header.
        folder: to which relative paths refer; None is the folder of the file.

    Raises:
        RatedSetError: a column is missing, or a line is not right; the message has its number.
    """
    table = Path(table)
    folder = table.parent if folder is None else Path(folder)
    find, seen, images = _Finder(), {}, []  # type: ignore[var-annotated]
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [column.strip().lower() for column in next(reader, [])]
            for column in ("image", "mos"):
                if header.count(column) != 1:
                    raise RatedSetError(
                        f"{table} line 1: expected one column '{column}', found {', '.join(header)}."
                    )
            for cells in reader:
                line = f"{table} line {reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise RatedSetError(f"{line}: has {len(cells)} cells, the header has {len(header)}.")
                row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                name, mos = row["image"], _number(row["mos"])
                if not name:
                    raise RatedSetError(f"{line}: the column 'image' is empty.")
                if mos is None:
                    raise RatedSetError(f"{line}: mos '{row['mos']}' is not a finite number.")
                if name in seen:
                    raise RatedSetError(f"{line}: '{name}' is there twice, first in line {seen[name]}.")
                seen[name] = reader.line_num
                images.append(RatedImage(name, find(folder / name), mos))
    except (OSError, UnicodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RatedSetError(f"{table}: is not a readable CSV file in UTF-8 ({reason}).") from None
    if not images:
        raise RatedSetError(f"{table}: has no line with a score.")
    return _checked(RatedSet(table.name, tuple(images), find.missing(images)), folder)


def shortfall(rated: RatedSet) -> list[str]:
    """Sentences on what a set lacks: pictures that its score file names, and pictures of the whole set."""
    sentences = []
    if rated.missing:
        names = ", ".join(rated.missing[:10]) + (", ..." if len(rated.missing) > 10 else "")
        sentences.append(f"{len(rated.missing)} of {len(rated.images)} pictures are missing: {names}.")
    if rated.expected is not None and len(rated.images) != rated.expected:
        sentences.append(
            f"The score file of {rated.name} names {len(rated.images)} pictures, the whole set has "
            f"{rated.expected}."
        )
    return sentences


def unrated_folder(folder: str | Path) -> RatedSet:
    """The pictures of a folder, sorted by name, without scores.

    Raises:
        ImageReadError: the folder is missing or holds no picture.
    """
    return RatedSet(str(folder), tuple(RatedImage(path.name, path) for path in list_images(folder)))


def _read_clive(root: Path) -> list[tuple[str, float]]:
    """CLIVE's two MATLAB files: a column of names and a row of scores."""
    names = [str(np.asarray(cell).squeeze()) for cell in _matlab(root / "Data/AllImages_release.mat").ravel()]
    scores = _matlab(root / "Data/AllMOS_release.mat").ravel()
    if len(names) != len(scores):
        raise RatedSetError(f"{root / 'Data'}: {len(names)} names in AllImages_release.mat but {len(scores)} "
                            "scores in AllMOS_release.mat.")  # fmt: skip
    try:
        return [(name, float(score)) for name, score in zip(names, scores, strict=True)]
    except (TypeError, ValueError):
        raise RatedSetError(f"{root / 'Data/AllMOS_release.mat'}: the scores are not numbers.") from None


RATED_SETS: Mapping[str, Layout] = {
    "CLIVE": Layout(
        scores="Data/AllMOS_release.mat",
        images="Images",
        read=_read_clive,
        expected=1162,
        left_out=frozenset(f"t{n}.bmp" for n in range(1, 8)),
        # The two that are not 500 x 500; the authors squeeze them, aspect not kept.
        resized={"1024.jpg": (500, 500), "1113.jpg": (500, 500)},
    ),
}


def _matlab(path: Path) -> np.ndarray:
    """The variable that is named as its MATLAB file."""
    try:
        content = scipy.io.loadmat(path)
    except _MATLAB_ERRORS as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RatedSetError(f"{path}: is not a readable MATLAB file ({reason}).") from None
    if path.stem not in content:
        raise RatedSetError(f"{path}: holds no variable '{path.stem}'.")
    return content[path.stem]


def _find_root(folder: Path, scores: str, name: str) -> Path:
    """The folder that holds the score file: `folder`, its parent, or one or two levels below."""
    if not folder.is_dir():
        raise RatedSetError(f"{folder}: there is no such folder; name the one of {name} with --img_dir.")
    for candidate in _around(folder):
        if (candidate / scores).is_file():
            return candidate
    raise RatedSetError(f"{folder}: no {scores} of {name} in it, one or two levels below, or beside it.")


def _around(folder: Path) -> Iterator[Path]:
    yield folder
    yield folder.resolve().parent
    yield from sorted(path for path in folder.glob("*") if path.is_dir())
    yield from sorted(path for path in folder.glob("*/*") if path.is_dir())


class _Finder:
    """Finds files whose names may differ in case from those on disk; lists each folder once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, Path]] = {}

    def __call__(self, path: Path) -> Path:
        """The file that is there, or `path` itself where there is none."""
        if path.parent not in self._listings:
            entries = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
            self._listings[path.parent] = {entry.name.lower(): entry for entry in entries}
        return path if path.exists() else self._listings[path.parent].get(path.name.lower(), path)

    @staticmethod
    def missing(images: tuple[RatedImage, ...] | list[RatedImage]) -> tuple[str, ...]:
        """Names of the pictures whose file is not there."""
        return tuple(image.name for image in images if not image.path.exists())


def _check_scores(rated: list[tuple[str, float]], path: Path) -> None:
    seen = set()
    for name, mos in rated:
        if not math.isfinite(mos):
            raise RatedSetError(f"{path}: the score of '{name}' is not a finite number.")
        if name.lower() in seen:
            raise RatedSetError(f"{path}: '{name}' is there twice.")
        seen.add(name.lower())


def _checked(rated: RatedSet, folder: Path) -> RatedSet:
    """The set itself; an error where not one of its pictures is there."""
    if len(rated.missing) == len(rated.images):
        raise RatedSetError(f"{folder}: none of the {len(rated.images)} pictures of {rated.name} is there.")
    return rated


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
