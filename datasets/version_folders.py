"""Folder-per-image sets: a folder holds the distorted versions of one photograph (method.md part 1, Data)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.decoder import IMAGE_SUFFIXES, decode_pixels, read_image
from utils.errors import UserError


@dataclass(frozen=True)
class VersionFolder:
    """The versions of one photograph, in sorted order of file name, and which of them is the reference."""

    path: Path
    files: tuple[Path, ...]

    @property
    def reference(self) -> int:
        """Place of the last file with REF in its name; of the first file where none has it."""
        marked = [place for place, file in enumerate(self.files) if "REF" in file.name]
        return marked[-1] if marked else 0


def find_version_folders(root: str | Path) -> list[VersionFolder]:
    """The folders of a set in sorted order; hidden ones (half written) do not count.

    Raises:
        UserError: no such set, nothing in it, or a folder with fewer than 2 pictures.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: there is no such set; make one with 'python synthesize_distortions.py --photos DIR "
            f"--output {root}' or name others with --set data=DIR."
        )
    paths = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not paths:
        raise UserError(f"{root}: a set holds a folder for each photograph, and there is none.")
    folders = []
    for path in paths:
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        )
        if len(files) < 2:
            raise UserError(
                f"{path}: {len(files)} picture(s) in the folder; a photograph needs 2 versions or more."
            )
        folders.append(VersionFolder(path, tuple(files)))
    return folders


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
