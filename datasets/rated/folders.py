"""Where a rated set lies: its root, its score file and its images, from whatever folder of it was named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets.rated.file_lookup import FileLookup, is_there
from datasets.rated.layouts import Layout
from utils.errors import UserError

# Names that are listed one by one in a sentence.
MOST_NAMED = 10


def find_scores(folder: Path, layout: Layout, lookup: FileLookup) -> tuple[Path, Path]:
    """The set's root and its score file: at `folder`, above or below it, the nearest.

    Raises:
        UserError: there is none, or it cannot be said which of several.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name the one of {layout.name} with --img_dir.")
    for level in _around(folder, lookup):
        roots = [(root, found) for root in level if (found := _score_files(root, layout, lookup))]
        if len(roots) > 1:
            places = listed([str(root) for root, _ in roots])
            raise UserError(f"{folder}: holds {layout.name} several times; name one of them: {places}.")
        for root, found in roots:
            if len(found) > 1:
                names = listed([file.name for file in found])
                raise UserError(
                    f"{root}: any of these could be the scores of {layout.name}: {names}; keep one of them "
                    "there, or name a table of image and mos with --scores."
                )
            return root, found[0]
    wanted = " or ".join(layout.scores)
    raise UserError(
        f"{folder}: no {wanted} of {layout.name} in it, one or two levels below, or above; it holds "
        f"{contents(folder, lookup)}."
    )


def image_places(folder: Path, root: Path, layout: Layout, lookup: FileLookup) -> list[list[Path]]:
    """Where the images may be, best first; each place is one folder or several that share them.

    A folder that was named goes before all others, together with those that share the images with it.
    """
    places = [found for pattern in layout.images if (found := lookup.match(root, pattern))]
    named = next((place for place in places if _resolved([folder]) <= _resolved(place)), [folder])
    return [named, *(place for place in places if place is not named)]


def locate(image: str, folders: Sequence[Path], lookup: FileLookup) -> Path:
    """The image's file in the first of `folders` that has it; where none has, its place in the first."""
    paths = [lookup.find(folder / image) for folder in folders]
    return next((path for path in paths if is_there(path)), paths[0])


def other_versions(
    image: str, taken: Sequence[Path], places: Sequence[Sequence[Path]], lookup: FileLookup
) -> list[Path]:
    """Folders besides those that were taken in which the image is too, as sets of several sizes have it."""
    others = (place for place in places if not _resolved(place) & _resolved(taken))
    return [place[0] for place in others if locate(image, place, lookup).is_file()]


def passed_over(folder: Path, taken: Sequence[Path], root: Path) -> bool:
    """Whether `folder`, one inside the set, was named but the images are elsewhere."""
    inside = (folder.resolve(), *folder.resolve().parents)
    return root.resolve() in inside[1:] and not _resolved(taken) & set(inside)


def contents(folder: Path, lookup: FileLookup) -> str:
    """The first names in a folder, for people."""
    return listed([path.name for path in lookup.listing(folder).values()]) or "nothing"


def listed(names: Sequence[str]) -> str:
    """The first names of a list, for people."""
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")


def _around(folder: Path, lookup: FileLookup) -> Iterator[list[Path]]:
    """Where the root may be: `folder`, its parents, folders one and two levels below."""
    yield [folder]
    yield from ([parent] for parent in list(folder.resolve().parents)[:2])
    below = [folder]
    for _ in range(2):
        below = [path for place in below for path in lookup.listing(place).values() if path.is_dir()]
        yield below


def _score_files(root: Path, layout: Layout, lookup: FileLookup) -> list[Path]:
    return next((found for pattern in layout.scores if (found := lookup.match(root, pattern))), [])


def _resolved(folders: Sequence[Path]) -> set[Path]:
    return {folder.resolve() for folder in folders}
