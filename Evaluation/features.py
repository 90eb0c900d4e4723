"""Features of whole pictures, and the sizes at which pictures are looked at (method.md parts 4 and 5)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from configs import Settings
from datasets.rated.sets import RatedImage
from models.device import autocast, full_float32
from models.high_level import SMALLEST_PICTURE
from utils.errors import UserError

# Slivers such as 1 x 60,000 would grow beyond any memory when they are enlarged.
MOST_ENLARGED_PIXELS = 1 << 26


@torch.inference_mode()
def whole_picture_features(
    encoder: nn.Module, picture: torch.Tensor, precision: torch.dtype = torch.float32
) -> torch.Tensor:
    """Features (F,) of a picture in one pass, float32 on the CPU, not normalised.

    Args:
        encoder: of either branch, in evaluation mode.
        picture: (3, H, W) in [0, 1], no side under 32.
        precision: in which convolutions run.
    """
    device = next(encoder.parameters()).device
    with autocast(device, precision), full_float32():
        return encoder(picture[None].to(device))[0].float().cpu()


def resize(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture (3, H, W) as (3, height, width), bilinear with antialiasing."""
    return F.interpolate(picture[None], (height, width), mode="bilinear", antialias=True)[0]


def as_the_set_resizes(image: RatedImage, picture: torch.Tensor) -> tuple[torch.Tensor, str]:
    """The picture at the size at which its set's protocol scores it, and a note for its status."""
    if image.size is None or tuple(picture.shape[-2:]) == image.size:
        return picture, ""
    return resize(picture, *image.size), f", resized to {image.size[1]}x{image.size[0]}"


def at_least_smallest(picture: torch.Tensor) -> tuple[torch.Tensor, str]:
    """The picture, enlarged where a side is under the 32 pixels that CLIP needs, and a note for its status.

    Raises:
        UserError: the picture is so narrow that it would become too large.
    """
    height, width = picture.shape[-2:]
    if min(height, width) >= SMALLEST_PICTURE:
        return picture, ""
    enlarged = with_short_side(height, width, SMALLEST_PICTURE)
    return resize(picture, *enlarged), f", whole picture enlarged to {enlarged[1]}x{enlarged[0]}"


def with_short_side(height: int, width: int, short: int) -> tuple[int, int]:
    """(height, width) enlarged so that the short side is `short`.

    Raises:
        UserError: the picture is so narrow that it would become too large.
    """
    scale = short / min(height, width)
    enlarged = (max(short, round(height * scale)), max(short, round(width * scale)))
    if enlarged[0] * enlarged[1] > MOST_ENLARGED_PIXELS:
        raise UserError(f"{width}x{height} is too narrow to be scored.")
    return enlarged


def enlarged_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """(height, width) at which a picture's patches are taken: its own wherever that gives two or more.

    Otherwise its short side becomes 1.5 patches, 144 pixels for 96: a departure from the authors,
    whose code fails on such pictures.

    Raises:
        UserError: the picture is so narrow that it would become too large.
    """
    size = settings.patch_size
    stride = size // 2
    if min(height, width) >= size and max(height, width) >= size + stride:
        return height, width
    return with_short_side(height, width, math.ceil(settings.enlarged_short_side * size))


def with_two_patches(picture: torch.Tensor, settings: Settings) -> tuple[torch.Tensor, str]:
    """The picture (3, H, W), enlarged where it gives fewer than two patches, and a note for its status.

    Raises:
        UserError: the picture is so narrow that it would become too large.
    """
    height, width = picture.shape[-2:]
    enlarged = enlarged_size(height, width, settings)
    if enlarged == (height, width):
        return picture, ""
    return resize(picture, *enlarged), f", enlarged to {enlarged[1]}x{enlarged[0]}"
