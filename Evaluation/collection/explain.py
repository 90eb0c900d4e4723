"""What explains the scores of images: small copies of them and their quality maps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from datasets.rated.sets import RatedImage
from Evaluation.collection import draw
from Evaluation.collection.maps import QualityMap, quality_map
from Evaluation.collection.rows import Row, printable
from Evaluation.extended.view import view_size
from Evaluation.grepq import GRepQ
from Evaluation.measuring import loan_of
from Evaluation.zeroshot import Part, Unmeasured
from utils.errors import UserError
from utils.files import atomic_path


@dataclass(frozen=True)
class Explained:
    """An image of a table: a small copy of it, and its quality map where there is a low-level encoder."""

    row: Row
    copy: Image.Image
    map: QualityMap | None


def explain(
    model: GRepQ, images: Sequence[tuple[Row, RatedImage]], side: int, what: str
) -> Iterator[Explained]:
    """What explains each image, in order; those that cannot be read any more are left out.

    Args:
        model: that scored them.
        images: rows that have a score, with their images.
        side: of the copies in pixels, at most.
        what: is made, for the progress on the terminal.
    """
    parts: tuple[Part, ...] = ("map",) if model.encoders.has_low else ()
    files = [image for _, image in images]
    measured = model.measure_images(files, parts) if parts else ((file, None) for file in files)
    progress = tqdm(measured, total=len(files), desc=what, unit="image", disable=len(files) < 2)
    for (row, _), (file, seen) in zip(images, progress, strict=True):
        try:
            copy = draw.small_copy(file, side, loan_of(model.settings))
        except UserError:
            continue
        if seen is None or isinstance(seen, Unmeasured):
            yield Explained(row, copy, None)
            continue
        settings = model.settings
        found = quality_map(
            seen.part("map"), view_size(seen.height, seen.width, settings), settings.patch_size,
            model.pristine.statistics, settings.regularisation,
            () if model.extended is None else model.extended.targets,
        )  # fmt: skip
        yield Explained(row, copy, found)


def write_maps(model: GRepQ, images: Sequence[tuple[Row, RatedImage]], folder: Path) -> None:
    """Draw the quality map of each image into `folder`, where none of the same score and weights is there."""
    weights = model.load().encoders.line()
    files = {row.image: folder / map_name(row, weights) for row, _ in images}
    waiting = [(row, image) for row, image in images if not files[row.image].is_file()]
    for one in explain(model, waiting, draw.FIGURE_SIDE, "Quality maps"):
        if one.map is not None:
            title = f"{printable(Path(one.row.image).name)}   {one.row.score:.3f}"
            with atomic_path(files[one.row.image]) as part:
                draw.draw_map(part, one.copy, one.map, title)


def map_name(row: Row, weights: str) -> str:
    """The name of an image's map: its own name, and digits that tell its folder, score and weights."""
    digits = hashlib.sha256(f"{printable(row.image)} {row.score!r} {weights}".encode()).hexdigest()[:8]
    return f"{re.sub(r'[^0-9A-Za-z._-]+', '_', Path(row.image).name)[:80]}_{digits}.png"
