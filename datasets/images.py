"""An image in whatever form it comes, as the project computes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from datasets.decoder import in_unit_range, pixels_of, read_image
from utils.errors import UserError

# What resizing may leave [0, 1] by.
ROUNDING = 1e-4

ImageLike: TypeAlias = "str | Path | Image.Image | np.ndarray | torch.Tensor"


def as_image(source: ImageLike) -> torch.Tensor:
    """An image as float32 (3, H, W), RGB in [0, 1], on the CPU.

    Args:
        source: a path; a PIL image; an array (H, W), (H, W, 1) or (H, W, 3); a tensor (3, H, W). Numbers are
            uint8, uint16, or floating point in [0, 1].

    Raises:
        UserError: it is none of these; the message says what came and what is expected.
    """
    if isinstance(source, str | Path):
        return read_image(source)
    if isinstance(source, Image.Image):
        return in_unit_range(pixels_of(source))
    if isinstance(source, np.ndarray):
        array = source[..., None] if source.ndim == 2 else source
        if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
            raise UserError(f"An array of shape {source.shape} is no image: (H, W) or (H, W, 3) is expected.")
        own = array.dtype.newbyteorder("=")  # torch knows this machine's order of bytes alone, and no longer
        if own in (np.uint8, np.uint16):
            return in_unit_range(np.ascontiguousarray(array.repeat(3 // array.shape[2], 2)))
        values: Any = array
        if own.kind == "f":
            values = torch.from_numpy(np.require(array, min(own, np.dtype(np.float64)), ["C", "W"]))
        return _checked(values).permute(2, 0, 1).repeat(3 // array.shape[2], 1, 1).contiguous()
    if isinstance(source, torch.Tensor):
        if source.ndim != 3 or source.shape[0] != 3 or not source.numel():
            raise UserError(f"A tensor of shape {tuple(source.shape)} is no image: (3, H, W) is expected.")
        if source.dtype in (torch.uint8, torch.uint16):
            return in_unit_range(source.cpu().permute(1, 2, 0).numpy())
        return _checked(source.detach().cpu() if source.is_floating_point() else source)
    raise UserError(f"A {type(source).__name__} is no image: a path, array, tensor or PIL image is expected.")


def as_images(source: ImageLike) -> tuple[list[torch.Tensor], bool]:
    """The images of `source` as `as_image` makes them; many (True) where it is a tensor (N, 3, H, W)."""
    if isinstance(source, torch.Tensor) and source.ndim == 4:
        return [as_image(one) for one in source], True
    return [as_image(source)], False


def _checked(values: Any) -> torch.Tensor:
    """Floating-point values as float32."""
    if not isinstance(values, torch.Tensor) or not values.is_floating_point():
        raise UserError(f"An image of {values.dtype} has no defined white: give uint8 or floats in [0, 1].")
    values = values.float()  # before the least and greatest, which 8 bits do not have
    low, high = values.min().item(), values.max().item()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise UserError(f"Floats of an image lie in [0, 1], these from {low:g} to {high:g}: scale them.")
    return values.clamp(0, 1).contiguous()  # one layout, so that the same image has the same score
