"""Images of the high-level branch: references, cropped at the centre (method.md part 2)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.decoder import decode_pixels
from datasets.image_files import list_images
from utils.errors import UserError


class Batch(NamedTuple):
    """The images (N, 3, S, S) of a step, float32 in [0, 1], and their files."""

    images: torch.Tensor
    files: list[str]


class ReferenceImages(Dataset[tuple[torch.Tensor, str]]):
    """Centre crops (3, S, S) by (epoch, place), the same in each epoch, with their files' names."""

    def __init__(self, files: Sequence[Path], side: int, fill: Sequence[float]) -> None:
        self.files, self.side, self.fill = files, side, fill

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, str]:
        file = self.files[key[1]]
        try:
            return centre_crop(decode_pixels(file), self.side, self.fill), str(file)
        except UserError as error:
            raise UserError(str(error)) from None


def collate(views: Sequence[tuple[torch.Tensor, str]]) -> Batch:
    """The images of a step, stacked."""
    images, files = zip(*views, strict=True)
    return Batch(torch.stack(images), list(files))


def find_references(root: str | Path, marker: str) -> list[Path]:
    """The images of a set, in sorted order.

    A folder that holds images itself is a plain folder of images. In a folder-per-image set it is
    each folder's last image with `marker` in its file name; hidden folders (half written) do not count.

    Raises:
        UserError: no such set, nothing in it, or a folder without a reference.
        UserError: a folder without images.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: there is no such set; name folders of images, or of folders that hold a "
            "reference each, with --set data=DIR."
        )
    with contextlib.suppress(UserError):
        return list_images(root)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise UserError(f"{root}: holds neither images nor folders of them.")
    references = []
    for folder in folders:
        marked = [file for file in list_images(folder) if marker in file.name]
        if not marked:
            raise UserError(
                f"{folder}: no image has '{marker}' in its file name; say what the references have there "
                "with --set reference=TEXT."
            )
        references.append(marked[-1])
    return references


def centre_crop(pixels: np.ndarray, side: int, fill: Sequence[float]) -> torch.Tensor:
    """The centre (3, side, side) of an image (H, W, 3) of whole numbers, float32 in [0, 1].

    It lies where torchvision's CenterCrop has it: an odd rest is split to the even offset. An image
    smaller than `side` is padded with the colour `fill`; left and top get the smaller half.
    """
    top, left = (round(max(0, length - side) / 2) for length in pixels.shape[:2])
    piece = pixels[top : top + side, left : left + side]
    height, width = piece.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    crop = np.empty((side, side, 3), np.float32)
    crop[:] = fill
    white = np.float32(np.iinfo(pixels.dtype).max)
    crop[top : top + height, left : left + width] = np.divide(piece, white, dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))
