"""Statistics of pristine patches, made or found (method.md part 4, Pristine patches).

Three places are looked at, the first that there is wins: a folder of images that was named, the
authors' file of patches in the working directory, the statistics file beside the weights. Statistics
carry the SHA-256 of the weights that made them and are never used with others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from configs import Settings
from datasets.decoder import read_image
from datasets.image_files import list_images
from Evaluation.distance import FeatureStatistics, statistics
from Evaluation.encoders import Say
from Evaluation.image_sizes import resize
from Evaluation.patches import extract_patches, patch_features, select_pristine
from Evaluation.pristine_files import (
    Pristine,
    read_patches,
    read_statistics,
    statistics_beside,
    statistics_file_name,
    write_statistics,
    writing_patches,
)
from models.engine import run_by_torch
from models.weights.low_level import DEFAULT_LOW_LEVEL, LowLevelWeights
from utils.errors import UserError
from utils.files import file_sha256

_HINT = "Name a folder of sharp, undistorted images with --pristine_img_dir."


def find_pristine(
    weights: LowLevelWeights, settings: Settings, folder: Path | None, working: Path, say: Say
) -> Pristine:
    """The pristine statistics for these weights and settings, from the first place that has them.

    Args:
        weights: the encoder, on the device where it is to run.
        settings: patch size, thresholds and chunk.
        folder: images to take; None looks into `working`, then beside the weights.
        working: where the file of patches lies and results are kept for the next time.
        say: receives one sentence for each thing the user should know.

    Raises:
        UserError: there are none, a file cannot be used, or the folder is missing or holds no image.
    """
    patches_file = working / settings.patches_file
    if folder is not None:
        digest = digest_of_images(list_images(folder))
        make = partial(pristine_of_folder, weights, settings, folder, None, say)
    elif patches_file.is_file():
        say(f"Pristine patches are those of {patches_file.name} in the working directory.")
        digest = file_sha256(patches_file)
        make = partial(pristine_of_patches, weights, settings, patches_file)
    else:
        return _pristine_beside(weights, settings)

    kept = working / statistics_file_name(weights, settings, digest)
    if kept.is_file():
        try:
            earlier = read_statistics(kept)
        except UserError as error:
            say(f"{error} It is made anew.")
        else:
            if earlier.belongs_to(weights, settings) and earlier.patches_sha256 == digest:
                return earlier
    made = make()
    try:
        write_statistics(kept, made)
    except OSError as error:
        say(f"{kept}: cannot be kept for the next time ({error.strerror}).")
    return made


def pristine_of_folder(
    weights: LowLevelWeights, settings: Settings, folder: Path, patches_file: Path | None, say: Say,
    short_sides: Sequence[int] = (0,),
) -> Pristine:  # fmt: skip
    """Statistics of the pristine patches of all images in a folder, one image in memory at a time.

    Args:
        weights: the encoder; statistics are always computed in float32.
        settings: patch size, thresholds and chunk.
        folder: the images; those that give no patch are counted and said.
        patches_file: where the patches are written in the authors' format; None writes none.
        say: receives what was left out.
        short_sides: sizes in pixels to which each image is shrunk, its patches taken from all of them; 0,
            the authors' way, is its own.

    Raises:
        UserError: no image gives a patch, there is a single patch, or a short side is too small.
    """
    wrong = [side for side in short_sides if side != 0 and side < settings.patch_size]
    if wrong:
        raise UserError(f"A short side is 0 or {settings.patch_size} pixels and more, not {wrong[0]}.")
    paths = list_images(folder)
    run = run_by_torch(weights.model)
    features, used, without = [], [], []
    with writing_patches(patches_file, settings.patch_size) as write:
        for path in tqdm(paths, desc="Pristine images", unit="image", disable=None):
            try:
                sizes = at_short_sides(read_image(path), short_sides)
            except UserError as error:
                say(f"Left out of the pristine images: {error}")
                continue
            patches = torch.cat([pristine_patches(image, settings) for image in sizes])
            if len(patches) == 0:
                without.append(path.name)
                continue
            used.append(path.name)
            features.append(patch_features(run, [patches[None]], settings.chunk)[0][0])
            write(patches)
        if not features:
            raise UserError(f"{folder}: no image gives a pristine patch. {_HINT}")
        measured = _statistics(torch.cat(features), folder)
    if without:
        say(f"{len(without)} of {len(paths)} pristine images give no patch, because they are flat, grey or "
            f"under {settings.patch_size} pixels: {_few(without)}.")  # fmt: skip
    source = f"{folder.resolve().name} ({len(used)} images)"
    return _made_by(weights, settings, measured, digest_of_images(paths), tuple(used), source)


def pristine_of_patches(weights: LowLevelWeights, settings: Settings, path: Path) -> Pristine:
    """Statistics of the patches in an HDF5 file of the authors' format, read `settings.chunk` at a time.

    Raises:
        UserError: the file is damaged or does not hold patches of this size.
    """
    run = run_by_torch(weights.model)
    features = [patch_features(run, [patches[None]], settings.chunk)[0][0]
                for patches in read_patches(path, settings)]  # fmt: skip
    measured = _statistics(torch.cat(features), path)
    return _made_by(weights, settings, measured, file_sha256(path), (), path.name)


def pristine_patches(image: torch.Tensor, settings: Settings) -> torch.Tensor:
    """The pristine patches (n, 3, p, p) of an image (3, H, W) in [0, 1]; n is 0 where there are none."""
    size = settings.patch_size
    if min(image.shape[-2:]) < size:
        return image.new_empty((0, 3, size, size))
    patches = extract_patches(image, size, size)
    return patches[select_pristine(patches, settings.sharpness, settings.colorfulness)]


def at_short_sides(image: torch.Tensor, short_sides: Sequence[int]) -> Iterator[torch.Tensor]:
    """An image (3, H, W) shrunk to each short side in pixels; 0, or more than its own, is its own."""
    height, width = image.shape[-2:]
    own = min(height, width)
    for short in dict.fromkeys(min(side or own, own) for side in short_sides):
        size = (round(height * short / own), round(width * short / own))
        yield image if short == own else resize(image, *size)


def digest_of_images(paths: Sequence[Path]) -> str:
    """One SHA-256 over names and contents."""
    listing = [(path.name, file_sha256(path)) for path in paths]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _pristine_beside(weights: LowLevelWeights, settings: Settings) -> Pristine:
    """The statistics file beside the weights, or the shipped one where it was made by the same weights."""
    beside, shipped = statistics_beside(weights.path), statistics_beside(DEFAULT_LOW_LEVEL)
    for path in dict.fromkeys((beside, shipped)):
        if not path.is_file():
            continue
        pristine = read_statistics(path)
        if pristine.belongs_to(weights, settings):
            return dataclasses.replace(pristine, source=f"{path.name} ({len(pristine.images)} images)")
        if pristine.weights_sha256 == weights.sha256:
            raise UserError(
                f"The statistics of {weights.path.name} are for patch size {pristine.patch_size}, sharpness "
                f"{pristine.sharpness} and colorfulness {pristine.colorfulness} only. {_HINT}"
            )
    raise UserError(f"There are no pristine statistics made by the weights {weights.path}. {_HINT}")


def _made_by(
    weights: LowLevelWeights, settings: Settings, measured: FeatureStatistics, digest: str,
    images: tuple[str, ...], source: str,
) -> Pristine:  # fmt: skip
    return Pristine(
        statistics=measured,
        weights_sha256=weights.sha256,
        patches_sha256=digest,
        patch_size=settings.patch_size,
        sharpness=settings.sharpness,
        colorfulness=settings.colorfulness,
        images=images,
        source=source,
    )


def _statistics(features: torch.Tensor, source: Path) -> FeatureStatistics:
    try:
        return statistics(features)
    except UserError as error:
        raise UserError(f"{source}: {error} {_HINT}") from None


def _few(names: Sequence[str], limit: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
