"""From pixels to what the encoders see of them, several images at a time (method.md part 4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from configs import Settings
from datasets.decoder import read_image, read_reduced
from datasets.image_files import Loan
from datasets.rated.sets import RatedImage
from Evaluation.encoders import Encoders
from Evaluation.extended.detail import detail
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.extended.tiles import map_grid, tile_grid
from Evaluation.extended.view import to_view, view_size
from Evaluation.image_sizes import as_the_set_resizes, at_least_smallest, with_two_patches
from Evaluation.patches import patch_features, patch_grid, whole_features
from Evaluation.zeroshot import VIEW_PARTS, Measurement, Part
from models.engine import paused
from utils.errors import UserError

# Images are measured together until they have so many pixels, so that their patches fill the encoder. A view
# of a megapixel is measured alone.
TOGETHER = 800_000

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Pixels:
    """An image of (height, width) `size`: all of it (3, H, W), and what its view is made of (3, h, w).

    In [0, 1]; where only one of the two is asked for, it may stand for both. `resized` is the size at which
    its set's protocol scores it.
    """

    size: tuple[int, int]
    whole: torch.Tensor
    view: torch.Tensor
    resized: tuple[int, int] | None = None


def pixels_of(image: torch.Tensor, resized: tuple[int, int] | None = None) -> Pixels:
    """An image of which all pixels are there."""
    return Pixels((image.shape[-2], image.shape[-1]), image, image, resized)


def read_pixels(image: RatedImage, parts: Collection[Part], settings: Settings) -> Pixels:
    """What parts are measured of; the view is the same whether all pixels are asked for too or not.

    Raises:
        UserError: the file cannot be read.
    """
    loan = loan_of(settings)
    if image.size is not None or VIEW_PARTS.isdisjoint(parts):
        return pixels_of(read_image(image.path, loan), image.size)

    def size_to_read(height: int, width: int) -> tuple[int, int]:
        try:
            return view_size(height, width, settings)
        except UserError:
            return 0, 0  # told when the image is measured, where its size is known

    view, size = read_reduced(image.path, size_to_read, loan)
    nothing_more = VIEW_PARTS.issuperset(parts) or tuple(view.shape[-2:]) == size
    return Pixels(size, view if nothing_more else read_image(image.path, loan), view)


def loan_of(settings: Settings) -> Loan:
    """Memory for decoding a small file while no encoder takes any."""
    return Loan(settings.decoding_megabytes, paused)


def together(images: Iterable[tuple[Kept, Pixels | str]]) -> Iterator[list[tuple[Kept, Pixels | str]]]:
    """The images in order, in lists that end where `TOGETHER` pixels are reached."""
    some: list[tuple[Kept, Pixels | str]] = []
    count = 0
    for kept, pixels in images:
        some.append((kept, pixels))
        count += 0 if isinstance(pixels, str) else pixels.view.shape[-2] * pixels.view.shape[-1]
        if count >= TOGETHER:
            yield some
            some, count = [], 0
    if some:
        yield some


def measure(
    images: Sequence[Pixels], parts: Collection[Part], encoders: Encoders, settings: Settings
) -> list[Measurement]:
    """What the encoders see of each image; of one it depends on that image alone.

    Raises:
        UserError: an image is so narrow that it would become too large.
    """
    shown, notes = zip(*map(_resized, images), strict=True)
    said = [[note] for note in notes]
    views = [one.view for one in shown]
    if not VIEW_PARTS.isdisjoint(parts):
        made = [to_view(one.view, one.size, settings) for one in shown]
        views = [view for view, _ in made]
        said = [[*before, note] for before, (_, note) in zip(said, made, strict=True)]
    values: list[dict[str, Any]] = [{} for _ in images]
    for part in parts:
        seen = _measure_part(
            part, views if part in VIEW_PARTS else [one.whole for one in shown], encoders, settings
        )
        for k, (value, note) in enumerate(seen):
            values[k][part] = value
            said[k].append(note)
    return [
        Measurement(*image.size, **found, notes=tuple(dict.fromkeys(filter(None, words))))
        for image, found, words in zip(images, values, said, strict=True)
    ]


def _resized(image: Pixels) -> tuple[Pixels, str]:
    """The image at the size that its set asks for, and a note where it changed."""
    if image.resized is None:
        return image, ""
    whole, note = as_the_set_resizes(image.whole, image.resized)
    return pixels_of(whole), note


def _measure_part(
    part: Part, images: Sequence[torch.Tensor], encoders: Encoders, settings: Settings
) -> list[tuple[torch.Tensor, str]]:
    """One part of each `Measurement`, and a note where the image was enlarged for it."""
    size, unchanged = settings.patch_size, [""] * len(images)
    if part == "semantic":
        return [(semantic_features(image, encoders.run_semantic), "") for image in images]
    if part == "detail":
        return [(detail(image), "") for image in images]
    if part in ("tiles", "inner", "map"):
        run = encoders.run_inner if part == "inner" else encoders.run_low
        grids = [(map_grid if part == "map" else tile_grid)(image, size) for image in images]
        return list(zip(patch_features(run, grids, settings.chunk), unchanged, strict=True))
    if part == "patches":
        enlarged, notes = zip(*(with_two_patches(image, settings) for image in images), strict=True)
        grids = [patch_grid(image, size, size // 2) for image in enlarged]
        return list(zip(patch_features(encoders.run_low, grids, settings.chunk), notes, strict=True))
    run = encoders.run_low if part == "low" else encoders.run_high
    enough = [at_least_smallest(image) for image in images]
    return [(whole_features(image, run), note) for image, note in enough]
