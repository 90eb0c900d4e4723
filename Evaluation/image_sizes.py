"""The sizes at which images are looked at (method.md parts 4 and 5)."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from configs import Settings
from models.high_level import SMALLEST_IMAGE
from utils.errors import UserError

# Slivers such as 1 x 60,000 would grow beyond any memory when they are enlarged.
MOST_ENLARGED_PIXELS = 1 << 26


def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """An image (3, H, W) as (3, height, width), bilinear with antialiasing."""
    return F.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]


def as_the_set_resizes(image: torch.Tensor, size: tuple[int, int] | None) -> tuple[torch.Tensor, str]:
    """The image at the (height, width) at which its set's protocol scores it, and a note where it changed."""
    if size is None or tuple(image.shape[-2:]) == size:
        return image, ""
    return resize(image, *size), f"resized to {size[1]}x{size[0]}"


def sides(height: int, width: int) -> torch.Tensor:
    """Both lengths, float64 (2,), to compute a size with: while a graph is traced they are not known yet."""
    return torch.stack([torch.as_tensor(height), torch.as_tensor(width)]).double()


def whole(lengths: torch.Tensor) -> tuple[int, int]:
    """(height, width) of `sides`; while a graph is traced they stay tensors."""
    height, width = lengths.long() if torch.jit.is_tracing() else lengths.long().tolist()
    return height, width


def at_least_smallest(image: torch.Tensor) -> tuple[torch.Tensor, str]:
    """The image, enlarged where a side is under the 32 pixels that CLIP needs, and a note where it was.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    height, width = image.shape[-2:]
    enlarged = with_short_side(height, width, sides(height, width).min().clamp_min(SMALLEST_IMAGE))
    if enlarged == (height, width):
        return image, ""
    return resize(image, *enlarged), f"whole image enlarged to {enlarged[1]}x{enlarged[0]}"


def with_two_patches(image: torch.Tensor, settings: Settings) -> tuple[torch.Tensor, str]:
    """The image (3, H, W), enlarged where it gives fewer than two patches, and a note where it was.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    height, width = image.shape[-2:]
    enlarged = enlarged_size(height, width, settings)
    if enlarged == (height, width):
        return image, ""
    return resize(image, *enlarged), f"enlarged to {enlarged[1]}x{enlarged[0]}"


def enlarged_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """(height, width) at which an image's patches are taken: its own wherever that gives two or more.

    Otherwise its short side becomes 1.5 patches, 144 pixels for 96: a departure from the authors,
    whose code fails on such images.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    size = settings.patch_size
    stride = size // 2
    own = sides(height, width)
    enough = (own.min() >= size) & (own.max() >= size + stride)
    short = own.min().where(enough, math.ceil(settings.enlarged_short_side * size))
    return with_short_side(height, width, short)


def with_short_side(height: int, width: int, short: int | torch.Tensor) -> tuple[int, int]:
    """(height, width) scaled so that the short side is `short`; itself where it has that already.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    own = sides(height, width)
    scaled = whole((own * (short / own.min())).round().clamp_min(short))
    if scaled != (height, width) and scaled[0] * scaled[1] > MOST_ENLARGED_PIXELS:
        raise UserError(f"{width}x{height} is too narrow to be scored.")
    return scaled
