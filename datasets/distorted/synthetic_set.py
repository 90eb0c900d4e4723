"""A rated set that costs no human score: images, distorted and labelled with FSIMc to the image.

    OUTPUT/images/<image>_<kind>_<level>.png
    OUTPUT/scores.csv            image, mos (FSIMc), reference (the image), kind, level

FSIMc compares versions of one content; between contents its scale is not that of people. So the set tells
whether a score follows the strength of a distortion, not whether it agrees with MOS.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from configs import SMALLEST_SIDE
from datasets.decoder import decode_pixels
from datasets.distorted.distortions import apply
from datasets.distorted.synthesis import names_of, to_bytes
from datasets.fsim import FsimDescription, compare, describe
from datasets.image_files import list_images
from datasets.rated.score_files import read_table
from datasets.rated.sets import RatedImage, RatedSet, load_scores_table
from utils.errors import UserError
from utils.files import atomic_path

# The kinds that LIVE, CSIQ, TID2013 and KADID-10k have in common, at levels from slight to very strong.
KINDS = ("jpeg", "jpeg2000", "gaussian_blur", "white_noise")
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
SCORES, IMAGES = "scores.csv", "images"
COLUMNS = ("image", "mos", "reference", "kind", "level")
# Text of a version's PNG: the digest of the image that it was made from.
_SOURCE = "image sha256"


@dataclass(frozen=True)
class Version:
    """A distorted image: its file's name, FSIMc in (0, 1] to its image, and how it was made."""

    image: str
    mos: float
    reference: str
    kind: str
    level: float


@dataclass(frozen=True)
class SyntheticSummary:
    """What a run did; `failures` are sentences "PATH: reason."."""

    versions: tuple[Version, ...]
    kept: int  # of the versions: images that an earlier run had written
    failures: tuple[str, ...]


def make_synthetic_set(photos: Path, output: Path, limit: int | None = None) -> SyntheticSummary:
    """Write the versions of the images in `photos` and, last, the table of their labels.

    A version that is there whole, and of the same image, is kept. No table is written where no
    image could be read.

    Args:
        photos: folder of good images, taken whole at their own size.
        output: folder of the set, made where it is missing.
        limit: images to take, the first by name; None takes all.

    Raises:
        UserError: `limit` is under 1.
        UserError: `photos` is missing or holds no image.
        OSError: `output` cannot be written.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit takes 1 or more images, not {limit}.")
    # Named before the limit cuts them, so that a larger limit goes on with the same names.
    named = list(names_of(list_images(photos)).items())[:limit]
    images = output / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    versions: list[Version] = []
    kept, failures = 0, []
    with tqdm(total=len(named) * len(KINDS) * len(LEVELS), unit="image", disable=None) as progress:
        for path, name in named:
            try:
                original = _read_original(path)
            except UserError as error:
                failures.append(str(error))
                progress.update(len(KINDS) * len(LEVELS))
                continue
            for version, was_there in _versions(path, name, original, images):
                versions.append(version)
                kept += was_there
                progress.update()
    if versions:
        _write_scores(output / SCORES, versions)
    return SyntheticSummary(tuple(versions), kept, tuple(failures))


def distorted(original: np.ndarray, file_name: str, kind: str, level: float) -> np.ndarray:
    """`original` (H, W, 3) uint8 at a kind and level, uint8; draws follow from `file_name` and both."""
    digest = hashlib.sha256(f"{file_name}\n{kind}\n{level:g}".encode("utf-8", "surrogateescape")).digest()
    scaled = original.astype(np.float32) / np.float32(255)
    return np.rint(apply(kind, scaled, level, np.random.default_rng(list(digest))) * 255).astype(np.uint8)


def load_synthetic_set(folder: str | Path) -> tuple[RatedSet, tuple[str, ...]]:
    """The set that `make_synthetic_set` wrote into `folder`, and the kind of each of its images.

    Raises:
        UserError: the table is missing or damaged, or lacks a column or a cell of one.
    """
    table = Path(folder) / SCORES
    if not table.is_file():
        raise UserError(f"{table}: there is no such file; make_synthetic_set.py makes it.")
    rows = read_table(table, COLUMNS)
    for row in rows:
        row.text("reference")  # raises where it is empty
    kinds = tuple(row.text("kind") for row in rows)
    return load_scores_table(table, Path(folder) / IMAGES), kinds


def of_each_photograph(images: Sequence[RatedImage]) -> np.ndarray:
    """Number of the image of each image (N,), counted in order of first appearance."""
    numbers: dict[str | None, int] = {}
    return np.array([numbers.setdefault(image.reference, len(numbers)) for image in images])


def _read_original(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    pixels = to_bytes(decode_pixels(path))
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"{path}: is {width} x {height} pixels; an image needs {SMALLEST_SIDE} on both sides."
        )
    return pixels


def _versions(path: Path, name: str, original: np.ndarray, images: Path) -> Iterator[tuple[Version, bool]]:
    """All versions of an image, each with whether its image was there."""
    reference = _described(original)
    source = hashlib.sha256(repr(original.shape).encode() + original.tobytes()).hexdigest()
    for kind in KINDS:
        for level in LEVELS:
            file = images / f"{name}_{kind}_{level:.1f}.png"
            pixels = _kept(file, source)
            was_there = pixels is not None
            if pixels is None:
                pixels = distorted(original, path.name, kind, level)
                _write_image(file, pixels, source)
            label = compare(reference, _described(pixels)).item()
            yield Version(file.name, label, path.name, kind, level), was_there


def _described(pixels: np.ndarray) -> FsimDescription:
    return describe(torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 255.0))


def _kept(file: Path, source: str) -> np.ndarray | None:
    """The image in `file`; None where there is none, it is damaged, or was made of another image."""
    try:
        pixels = decode_pixels(file)
    except UserError:
        return None
    with Image.open(file) as image:
        return pixels if image.info.get(_SOURCE) == source else None


def _write_image(file: Path, pixels: np.ndarray, source: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text(_SOURCE, source)
    with atomic_path(file) as part:
        Image.fromarray(pixels).save(part, "PNG", pnginfo=text)


def _write_scores(table: Path, versions: Sequence[Version]) -> None:
    with (
        atomic_path(table) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(version, column) for column in COLUMNS] for version in versions)
