"""Folder-per-image sets from plain images: the reference and distorted versions of it.

    OUTPUT/synthesis.json                              the configuration all folders were made with
    OUTPUT/<image>_s<short side>_c<crop>/00_REF.bmp
                                              01_jpeg_0.43.bmp      number, kind, level
                                              02_lens_blur_0.31+jpeg_0.22.bmp   of each part

With a factor of `shrink` below 1 the images are so much smaller than the image's size in the folder's
name, and levels are those that are left. The crop's number tells which factor.

A folder's bytes follow from the configuration, the image's file name and pixels, the size and the crop,
so the number of processes and the order and company of images do not matter. A folder appears only when
it is complete: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from configs import Synthesis
from datasets.decoder import decode_pixels, read_size
from datasets.distorted.distortions import (
    DISTORTIONS,
    FILE_KINDS,
    in_unit_range,
    level_before_shrinking,
    part_levels,
    quantised,
    split_kind,
)
from datasets.image_files import list_images
from utils.errors import UserError
from utils.files import atomic_path
from utils.processes import in_processes, stop_if_interrupted

RECORD = "synthesis.json"


@dataclass
class Summary:
    """What a run did; `failures` are sentences "PATH: reason."."""

    folders: int = 0
    versions: int = 0  # images, references counted
    bytes: int = 0
    present: int = 0  # folders that an earlier run had finished
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Folder:
    """One folder to make: an image shrunk to a short side in pixels, and one crop of it.

    Its versions are made `shrink` times as large once they are distorted.
    """

    path: Path
    short_side: int
    crop: int
    shrink: float


def synthesize(photos: Sequence[Path], output: Path, config: Synthesis, workers: int) -> Summary:
    """Makes the folders of every image that `photos` name, files or folders of them, under `output`.

    Finished folders are left as they are; images that cannot be read are reported in the summary.
    Raises `UserError` on an unknown kind or an `output` made with another one, `UserError` on
    a folder in `photos` without images, and `OSError` where `output` cannot be written.
    """
    for kind in config.kinds:
        for alternative in kind.split("|"):
            split_kind(alternative)
    if workers < 1:
        raise UserError(f"The number of workers is 1 or more, not {workers}.")
    listed = [path for place in photos for path in ([place] if place.is_file() else list_images(place))]
    paths = sorted({path.resolve(): path for path in listed}.values())
    _settle(output, config)
    jobs = [(path, output / label, config) for path, label in names_of(paths).items()]
    summary = Summary()
    with contextlib.closing(in_processes(_image_folders, jobs, workers)) as results:
        for done in tqdm(results, total=len(jobs), unit="image", smoothing=0.05):
            for part in dataclasses.fields(Summary):
                setattr(summary, part.name, getattr(summary, part.name) + getattr(done, part.name))
    summary.failures.sort()
    return summary


def deal(config: Synthesis, rng: np.random.Generator) -> list[tuple[str, float]]:
    """The (kind, level) of a folder's versions.

    With `config.levels` every entry of `config.kinds` at every level, of alternatives one each time.
    Otherwise `config.versions` of them: one level from each equal part of [0, 1], and kinds from shuffled
    decks, so that none comes twice before all came once; with `config.chain_lengths` a chain that is drawn
    for each version.
    """
    if config.levels:
        return [(_one_of(kind, rng), level) for kind in config.kinds for level in config.levels]
    count, kinds = config.versions, list(config.kinds)
    if config.chain_lengths:
        dealt = [_chain(config, rng) for _ in range(count)]
    else:
        decks = [kinds[i] for _ in range(-(-count // len(kinds))) for i in rng.permutation(len(kinds))]
        dealt = [_one_of(kind, rng) for kind in decks[:count]]
    levels = (rng.permutation(count) + rng.random(count)) / count
    return list(zip(dealt, levels.tolist(), strict=True))


def _chain(config: Synthesis, rng: np.random.Generator) -> str:
    """A chain of `config.kinds`, in their order, with a length that `config.chain_lengths` makes likely."""
    shares = np.array(config.chain_lengths) / sum(config.chain_lengths)
    number = 1 + int(rng.choice(len(shares), p=shares))
    chosen = sorted(rng.choice(len(config.kinds), number, replace=False).tolist())
    return "+".join(_one_of(config.kinds[place], rng) for place in chosen)


def _one_of(kind: str, rng: np.random.Generator) -> str:
    """One of the alternatives of "a|b"; a kind without them as it is, and nothing drawn."""
    alternatives = kind.split("|")
    return alternatives[int(rng.integers(len(alternatives)))] if len(alternatives) > 1 else kind


def versions(
    reference: np.ndarray, config: Synthesis, rng: np.random.Generator, shrink: float = 1.0
) -> Iterator[tuple[str, np.ndarray]]:
    """Names without suffix and images, (H, W, 3) uint8, of a folder; the reference comes first.

    They are `shrink` times as large as `reference`. Distortions up to the first that is a file's are made
    before, as strong as leaves the level that the name tells; the others after.
    """
    short_side = round(min(reference.shape[:2]) * shrink)
    yield f"{0:02d}_REF", shrink_to(reference, short_side)
    image = in_unit_range(reference, np.dtype(np.float32))
    dealt = deal(config, rng)
    for number, ((kind, level), own) in enumerate(zip(dealt, rng.spawn(len(dealt)), strict=True), start=1):
        distorted, parts = image, part_levels(kind, level, own, config.chain_share)
        before = list(itertools.takewhile(lambda part: part[0] not in FILE_KINDS, parts))
        for part, strength in before:
            distorted = DISTORTIONS[part](distorted, level_before_shrinking(part, strength, shrink), own)
        distorted = in_unit_range(shrink_to(quantised(distorted), short_side), np.dtype(np.float32))
        for part, strength in parts[len(before) :]:
            distorted = DISTORTIONS[part](distorted, strength, own)
        name = "+".join(f"{part}_{strength:.2f}" for part, strength in parts)
        yield f"{number:02d}_{name}", quantised(distorted)


def _settle(output: Path, config: Synthesis) -> None:
    """Makes `output` ready: no leftovers of an interrupted run, and a record equal to `config`."""
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file where the folder for the set is expected.")
    output.mkdir(parents=True, exist_ok=True)
    for leftover in output.glob(".*.part"):
        shutil.rmtree(leftover)
    wanted, defaults = (json.loads(json.dumps(dataclasses.asdict(made))) for made in (config, Synthesis()))
    record = output / RECORD
    if record.exists():
        try:
            # A record of before a field was there was made with what is now its default.
            found = defaults | json.loads(record.read_text(encoding="utf-8"))
            differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
        except (ValueError, TypeError):
            raise UserError(f"{record}: is damaged; delete it, or choose another --output.") from None
        if differing:
            name = differing[0]
            raise UserError(
                f"{output} was made with {name}={found.get(name)}, not {wanted.get(name)}: "
                "choose another --output or the same settings."
            )
        return
    with atomic_path(record) as part:
        part.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def names_of(paths: Sequence[Path]) -> dict[Path, str]:
    """What folders of each image are called: its stem, or as much more as tells it from others.

    Upper and lower case count as equal, because many file systems hold them so.
    """
    labels: dict[Path, str] = {}
    for spell in (
        lambda path: path.stem,
        lambda path: path.name.replace(".", "_"),
        lambda path: f"{path.resolve().parent.name}_{path.name.replace('.', '_')}",
        lambda path: f"{path.stem}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}",
    ):
        rest = [path for path in paths if path not in labels]
        taken = Counter(
            [*(spell(path).casefold() for path in rest), *(n.casefold() for n in labels.values())]
        )
        labels.update({path: spell(path) for path in rest if taken[spell(path).casefold()] == 1})
    return {path: labels[path] for path in paths}


def _image_folders(job: tuple[Path, Path, Synthesis]) -> Summary:
    """All folders of one image; the second of `job` is their path without size and crop."""
    path, prefix, config = job
    summary = Summary()
    try:
        size = read_size(path)
        if min(size) < config.smallest_side:
            raise UserError(
                f"{path}: is {size[1]} x {size[0]} pixels; an image needs {config.smallest_side} on both "
                "sides (64, or more where 'shrink' is below 1)."
            )
        folders = _plan(prefix, size, config)
        missing = [folder for folder in folders if not folder.path.exists()]
        summary.present = len(folders) - len(missing)
        if missing:
            original = to_bytes(decode_pixels(path))
            for folder in missing:
                _write(folder, path.name, original, config, summary)
    except UserError as error:
        summary.failures.append(str(error))
    return summary


def _plan(prefix: Path, size: tuple[int, int], config: Synthesis) -> list[_Folder]:
    """The folders of an image of `size` (H, W)."""
    own, folders = min(size), []
    for short in dict.fromkeys(min(side or own, own) for side in config.short_sides):
        for crop in range(config.crops):
            shrink = config.shrink[crop % len(config.shrink)]
            whole = config.crop_size == 0 or max(_shrunk(size, short)) <= _crop_side(config, shrink)
            # Where nothing can be cut off, further crops would be the same image.
            if not whole or crop < len(config.shrink):
                path = prefix.with_name(f"{prefix.name}_s{short}_c{crop}")
                folders.append(_Folder(path, short, crop, shrink))
    return folders


def _crop_side(config: Synthesis, shrink: float) -> int:
    """Side of a crop that is `config.crop_size` once it is shrunk; 0 for the whole image."""
    return round(config.crop_size / shrink)


def _shrunk(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """`size` (H, W) brought to a short side."""
    return round(size[0] * short_side / min(size)), round(size[1] * short_side / min(size))


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """uint8 as it is, uint16 rounded to uint8."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8)


def _write(folder: _Folder, name: str, original: np.ndarray, config: Synthesis, summary: Summary) -> None:
    """Makes one folder from `original` (H, W, 3) uint8, whose file is called `name`, and counts it."""
    text = f"{config.seed}\n{name}\n{folder.short_side}\n{folder.crop}"
    rng = np.random.default_rng(list(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()))
    reference = crop(shrink_to(original, folder.short_side), _crop_side(config, folder.shrink), rng)
    part = folder.path.with_name(f".{folder.path.name}.part")
    written, images = 0, 0
    try:
        part.mkdir()
        for stem, pixels in versions(reference, config, rng, folder.shrink):
            stop_if_interrupted()
            file = part / f"{stem}.{config.file_format}"
            Image.fromarray(pixels).save(file)
            written, images = written + file.stat().st_size, images + 1
        part.rename(folder.path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    summary.folders += 1
    summary.versions += images
    summary.bytes += written


def shrink_to(pixels: np.ndarray, short_side: int) -> np.ndarray:
    """`pixels` (H, W, 3) uint8 brought to a short side, antialiased."""
    height, width = _shrunk((pixels.shape[0], pixels.shape[1]), short_side)
    if (height, width) == pixels.shape[:2]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def crop(pixels: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A square of `side` pixels from a random place; all there is along an axis that is shorter, or for 0."""
    height, width = (min(side, length) if side else length for length in pixels.shape[:2])
    top = rng.integers(pixels.shape[0] - height + 1)
    left = rng.integers(pixels.shape[1] - width + 1)
    return pixels[top : top + height, left : left + width]
