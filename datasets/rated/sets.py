"""Images with human scores: the rated sets in their native layouts, and any table of scores.

A rated set is a row of `RATED_SETS` (datasets/rated_layouts.py). Whatever its authors publish, the
scores are handed on so that higher is better.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.image_files import list_images
from datasets.rated.file_lookup import FileLookup
from datasets.rated.folders import (
    contents,
    find_scores,
    image_places,
    listed,
    locate,
    other_versions,
    passed_over,
)
from datasets.rated.layouts import RATED_SETS, Kind, Layout, SplitRule
from datasets.rated.readers import Rating, read_csv_scores, score_column
from utils.errors import UserError


@dataclass(frozen=True)
class RatedImage:
    """An image with its name in the set and its mean MOS score, higher is better.

    `mos` is in the set's own range, with its sign turned where the set publishes a DMOS; None where
    nobody rated it. `size` is the (height, width) to which the protocol resizes it before scoring; None
    keeps its own. Images of one content (reference, prompt, scene) share their `reference`; `split` is
    the official part.
    """

    name: str
    path: Path
    mos: float | None = None
    size: tuple[int, int] | None = None
    reference: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class RatedSet:
    """The images of a set in the order of its score file.

    `missing` names those whose file is not there; they are among `images` all the same. `expected`
    is the number of images of the whole set, None where no such number is known. `kind` and
    `native_range` are those of the scores as published: a DMOS is lower where the quality is higher.
    `scores` is the file (or folder) they were read from, `folders` hold the images, `remarks` are
    sentences that a user of the scores should read.
    """

    name: str
    images: tuple[RatedImage, ...]
    missing: tuple[str, ...] = ()
    expected: int | None = None
    kind: Kind = "MOS"
    native_range: tuple[float, float] | None = None
    scores: Path | None = None
    folders: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def scale(self) -> str:
        """Kind and range of the published scores in words, "DMOS in [0, 100], negated"; "" if unrated."""
        if all(image.mos is None for image in self.images):
            return ""
        limits = "" if self.native_range is None else " in [{:g}, {:g}]".format(*self.native_range)
        return f"{self.kind}{limits}{', negated' if self.kind == 'DMOS' else ''}"

    @property
    def split_rule(self) -> SplitRule:
        """How to split it: by the official parts or by contents where they are known, else by images."""
        if any(image.split for image in self.images):
            return "official"
        return "reference" if any(image.reference for image in self.images) else "image"


def load_rated_set(name: str, folder: str | Path) -> RatedSet:
    """The rated set `name` under `folder`.

    Args:
        name: a key of `RATED_SETS` or one of its aliases, in any case, with or without hyphens.
        folder: the set's root, a folder of its images up to two levels below the root, or a folder up
            to two levels above it.

    Raises:
        UserError: the name is unknown, there is no such set, or its score file is not as it should be.
    """
    layout, folder, lookup = find_layout(name), Path(folder), FileLookup()
    root, scores = find_scores(folder, layout, lookup)
    ratings = [row for row in layout.read(scores) if row.image.lower() not in layout.left_out]
    places = image_places(folder, root, layout, lookup)
    rated = _assemble(layout, scores, ratings, places, lookup)
    if passed_over(folder, rated.folders, root):
        remark = f"{folder} holds no image of {rated.name}; they are taken from {rated.folders[0]}."
        rated = replace(rated, remarks=(remark, *rated.remarks))
    return rated


def load_scores_table(
    table: str | Path, folder: str | Path | None = None, image_column: str = "", mos_column: str = ""
) -> RatedSet:
    """Images and scores of a table with a header, cells parted by commas, semicolons or tabs.

    The columns `reference` and `split` (train, validation, test) may be there and may have empty cells.
    Scores of a column that is called DMOS are lower where the quality is higher; their sign is turned.

    Args:
        table: the file, UTF-8.
        folder: to which relative paths refer; None is the folder of the file.
        image_column: name of the column of file names; empty: the usual names.
        mos_column: name of the column of scores; empty: the usual names.

    Raises:
        UserError: a column is missing, or a line is not right; the message has its number.
    """
    table = Path(table)
    folder = table.parent if folder is None else Path(folder)
    ratings = read_csv_scores(table, image_column, mos_column)
    is_dmos = "dmos" in score_column(table, mos_column)
    layout = replace(RATED_SETS["csv"], kind="DMOS" if is_dmos else "MOS")
    return _assemble(layout, table, ratings, [[folder]], FileLookup())


def find_layout(name: str) -> Layout:
    """The row of `RATED_SETS` that goes by `name`; `UserError` where there is none."""
    for layout in RATED_SETS.values():
        if _plain(name) in (_plain(known) for known in (layout.name, *layout.aliases)):
            return layout
    raise UserError(f"There is no data set '{name}'; known: {', '.join(RATED_SETS)}.")


def shortfall(rated: RatedSet) -> list[str]:
    """Sentences on what a set lacks: images that its score file names, and images of the whole set."""
    sentences = []
    if rated.missing:
        sentences.append(
            f"{len(rated.missing)} of {len(rated.images)} images are missing: {listed(rated.missing)}."
        )
    if rated.expected is not None and len(rated.images) != rated.expected:
        sentences.append(
            f"The score file of {rated.name} names {len(rated.images)} images, the whole set has "
            f"{rated.expected}."
        )
    return sentences


def unrated_folder(folder: str | Path) -> RatedSet:
    """The images of a folder, sorted by name, without scores.

    Raises:
        UserError: the folder is missing or holds no image.
    """
    return RatedSet(str(folder), tuple(RatedImage(path.name, path) for path in list_images(folder)))


def _assemble(
    layout: Layout, scores: Path, ratings: Sequence[Rating], places: Sequence[list[Path]], lookup: FileLookup
) -> RatedSet:
    """The set, its images looked for in the first of `places` that has any of them."""
    if not ratings:
        raise UserError(f"{scores}: has no line with a score.")
    name = layout.name if layout.expected else scores.name
    for folders in places:
        paths = [locate(row.image, folders, lookup) for row in ratings]
        there = [os.path.isfile(path) for path in paths]  # noqa: PTH113 (no error of a name that is too long)
        if any(there):
            break
    _refuse_twins(ratings, paths)
    if not any(there):
        looked = ", ".join(dict.fromkeys(str(folder) for folders in places for folder in folders))
        raise UserError(
            f"{places[0][0]}: none of the {len(ratings)} images of {name} is there, neither "
            f"'{ratings[0].image}' nor another; looked in {looked}; it holds "
            f"{contents(places[0][0], lookup)}."
        )
    sign = 1 if layout.kind == "MOS" else -1
    images = tuple(
        RatedImage(
            row.image, path, sign * row.score, layout.resized.get(row.image.lower()), row.reference, row.split
        )
        for row, path in zip(ratings, paths, strict=True)
    )
    missing = tuple(row.image for row, found in zip(ratings, there, strict=True) if not found)
    others = other_versions(ratings[there.index(True)].image, folders, places, lookup)
    remarks = tuple(_remarks(layout, scores, ratings, folders[0], others, lookup))
    return RatedSet(
        name, images, missing, layout.expected, layout.kind, layout.range, scores, tuple(folders), remarks
    )


def _refuse_twins(ratings: Sequence[Rating], paths: Sequence[Path]) -> None:
    seen: dict[Path, Rating] = {}
    for row, path in zip(ratings, paths, strict=True):
        first = seen.setdefault(path, row)
        if first is not row:
            raise UserError(f"{row.file} {row.where}: '{row.image}' is there twice, first in {first.where}.")


def _remarks(
    layout: Layout, scores: Path, ratings: Sequence[Rating], folder: Path, others: Sequence[Path],
    lookup: FileLookup,
) -> Iterator[str]:  # fmt: skip
    """What a user of the scores should know of where they come from."""
    if layout.kind == "DMOS":
        name = layout.name if layout.expected else scores.name
        yield f"{name} publishes a DMOS, lower is better; its sign is turned: higher is better."
    for pattern, sentence in layout.advised.items():
        if not lookup.match(scores.parent, pattern):
            yield sentence
    if others:
        yield (
            f"The images are those in {folder}; they are also in {', '.join(map(str, others))}: name that "
            "folder with --img_dir to take those."
        )
    if layout.range is not None:
        low, high = layout.range
        outside = [row for row in ratings if not low <= row.score <= high]
        if outside:
            yield (
                f"{len(outside)} of {len(ratings)} scores lie outside the range of {layout.name}, "
                f"{low:g} to {high:g}: {outside[0].file} {outside[0].where} has {outside[0].score:g}; is it "
                "the right file?"
            )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
