"""Folder-per-image sets: a folder holds the distorted versions of one image (method.md part 1, Data)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.decoder import decode_pixels, read_image, read_size
from datasets.image_files import is_image_file
from utils.errors import UserError

Say = Callable[[str], object]
# Unreadable files that are named one by one.
MOST_NAMED = 20


@dataclass(frozen=True)
class VersionFolder:
    """The versions of one image, in sorted order of file name, and which of them is the reference."""

    path: Path
    files: tuple[Path, ...]

    @property
    def reference(self) -> int:
        """Place of the last file with REF in its name; of the first file where none has it."""
        marked = [place for place, file in enumerate(self.files) if "REF" in file.name]
        return marked[-1] if marked else 0


def find_version_folders(root: str | Path, skip_unreadable: bool, say: Say) -> list[VersionFolder]:
    """The folders of a set in sorted order; hidden ones (half written) do not count.

    Args:
        root: of the set.
        skip_unreadable: leave files that cannot be read out, and folders that lose their reference or have
            fewer than 2 images left; else they are an error.
        say: receives what was left out.

    Raises:
        UserError: no such set, nothing in it, a folder with fewer than 2 images, or unreadable files, all
            of them named (up to twenty).
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: there is no such set; make one with 'python -m tools.synthesize_distortions --photos "
            f"DIR --output {root}' or name others with --set data=DIR."
        )
    paths = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not paths:
        raise UserError(f"{root}: a set holds a folder for each image, and there is none.")
    folders = [VersionFolder(path, tuple(sorted(filter(is_image_file, path.iterdir())))) for path in paths]
    for folder in folders:
        if len(folder.files) < 2:
            raise UserError(
                f"{folder.path}: {len(folder.files)} image(s) in the folder; 2 versions or more are needed."
            )
    bad = unreadable([file for folder in folders for file in folder.files], skip_unreadable, say)
    kept = []
    for folder in folders:
        good = tuple(file for file in folder.files if file not in bad)
        if len(good) == len(folder.files):
            kept.append(folder)
        elif len(good) < 2 or folder.files[folder.reference] in bad:
            say(f"Left out: {folder.path}, which has no reference or a single version left.")
        else:
            kept.append(VersionFolder(folder.path, good))
    if not kept:
        raise UserError(f"{root}: no folder can be read.")
    return kept


def unreadable(files: Sequence[Path], skip: bool, say: Say) -> set[Path]:
    """The files whose header cannot be read, looked at before any is trained on; with `skip` they are said.

    Raises:
        UserError: there are some and they are not to be skipped; the message names up to twenty.
    """
    reasons = {}
    for file in files:
        try:
            read_size(file)
        except UserError as error:  # noqa: PERF203 (all of them are to be named)
            reasons[file] = str(error)
    named = [*list(reasons.values())[:MOST_NAMED]]
    if len(reasons) > MOST_NAMED:
        named.append(f"and {len(reasons) - MOST_NAMED} more.")
    if reasons and not skip:
        raise UserError(
            f"{len(reasons)} file(s) of the set cannot be read; mend them, or leave them out with --set "
            "skip_unreadable=true:\n" + "\n".join(named)
        )
    if reasons:
        say("Left out: " + "\n".join(named))
    return set(reasons)


def read_versions(folder: VersionFolder, places: Sequence[int] | None = None) -> torch.Tensor:
    """Versions (D, 3, H, W) of a folder, all or those at `places`.

    uint8, or float32 in [0, 1] where one has 16 bits.

    Raises:
        UserError: a file that cannot be read, or sizes that differ.
    """
    files = folder.files if places is None else [folder.files[place] for place in places]
    try:
        pixels = [decode_pixels(file) for file in files]
        _check_sizes(files, [p.shape for p in pixels], folder)
        if any(p.dtype != np.uint8 for p in pixels):
            return torch.stack([read_image(file) for file in files])
    except UserError as error:
        raise UserError(str(error)) from None
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _check_sizes(files: Iterable[Path], shapes: Sequence[tuple[int, ...]], folder: VersionFolder) -> None:
    for file, shape in zip(files, shapes, strict=True):
        if shape != shapes[0]:
            (height, width), (first_height, first_width) = shape[:2], shapes[0][:2]
            raise UserError(
                f"{folder.path}: versions must have one size, but {file.name} is {width} x {height} and the "
                f"first {first_width} x {first_height}."
            )
