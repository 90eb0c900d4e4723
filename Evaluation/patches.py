"""Patches of an image, which of them are pristine, and their features (method.md part 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch.nn import functional as F

from models.engine import Run

GREY = (0.2989, 0.587, 0.114)
# Local deviation looks through this window: 7 pixels, sigma 7 / 6.
WINDOW = 7


def patch_grid(image: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """All patches of an image as a view, nothing copied; borders that do not fill a patch are dropped.

    Args:
        image: (C, H, W), no side under `size`.
        size: side of a patch in pixels.
        stride: pixels from one patch to the next; `size` lets none overlap.

    Returns:
        (rows, columns, C, size, size), rows = (H - size) // stride + 1, columns likewise.

    Raises:
        ValueError: a side of the image is under `size`.
    """
    height, width = image.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"An image of {width}x{height} pixels holds no patch of {size}x{size}.")
    if torch.jit.is_tracing():
        tops, lefts = (torch.arange(0, length - size + 1, stride) for length in (height, width))
        return patches_at(image, tops, lefts, size)
    windows = image.unfold(1, size, stride).unfold(2, size, stride)  # (C, rows, columns, size, size)
    return windows.permute(1, 2, 0, 3, 4)  # (rows, columns, C, size, size)


def patches_at(image: torch.Tensor, tops: torch.Tensor, lefts: torch.Tensor, size: int) -> torch.Tensor:
    """The patches of an image (C, H, W) that begin there, copied: (rows, columns, C, size, size)."""
    inside = torch.arange(size)
    rows = image[:, tops[:, None] + inside]  # (C, rows, size, W)
    patches = rows[..., lefts[:, None] + inside]  # (C, rows, size, columns, size)
    return patches.permute(1, 3, 0, 2, 4).contiguous()


def extract_patches(image: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """The patches of `patch_grid` copied, row by row: (N, C, size, size)."""
    return patch_grid(image, size, stride).flatten(0, 1)


def sharpness(patches: torch.Tensor) -> torch.Tensor:
    """Sum of the local deviation of each patch's grey values, (N,), 0 or more.

    The window sees zeros outside the patch, so that a bright flat patch is not at 0: the authors'
    convolution pads so.

    Args:
        patches: (N, 3, p, p) in [0, 1].
    """
    weights = patches.new_tensor(GREY).view(1, 3, 1, 1)
    grey = (patches * weights).sum(1, keepdim=True)  # (N, 1, p, p)
    window = _gaussian_window(patches)
    mean = F.conv2d(grey, window, padding=WINDOW // 2)
    mean_of_square = F.conv2d(grey.square(), window, padding=WINDOW // 2)
    # abs(): rounding can bring the difference under 0.
    return (mean_of_square - mean.square()).abs().sqrt().sum((1, 2, 3))


def colorfulness(patches: torch.Tensor) -> torch.Tensor:
    """Colourfulness of each patch, (N,), 0 for grey.

    Like Hasler and Suesstrunk's but of absolute opponent colours and with weight 1 on the means,
    as the authors compute it.

    Args:
        patches: (N, 3, p, p) in [0, 1].
    """
    red, green, blue = patches.flatten(2).unbind(1)  # (N, p * p) each
    opponents = torch.stack(((red - green).abs(), ((red + green) / 2 - blue).abs()))  # (2, N, p * p)
    deviation, mean = opponents.std(-1), opponents.mean(-1)  # (2, N)
    return deviation.square().sum(0).sqrt() + mean.square().sum(0).sqrt()


def select_pristine(patches: torch.Tensor, sharpness_share: float, colorfulness_share: float) -> torch.Tensor:
    """Ascending indices of one image's pristine patches: the sharp, and of these the colourful.

    Both comparisons are strict, so that a black or a grey image gives none.

    Args:
        patches: (N, 3, p, p) in [0, 1], all of one image.
        sharpness_share: kept above this share of the sharpest patch.
        colorfulness_share: kept above this share of the most colourful among the sharp ones.
    """
    if len(patches) == 0:
        return torch.empty(0, dtype=torch.long)
    return pristine_places(sharpness(patches), colorfulness(patches), sharpness_share, colorfulness_share)


def pristine_places(
    sharp: torch.Tensor, colourful: torch.Tensor, sharpness_share: float, colorfulness_share: float
) -> torch.Tensor:
    """As `select_pristine`, from sharpness and colourfulness of each patch, (N,) each."""
    kept = torch.arange(len(sharp), device=sharp.device)
    for values, share in ((sharp, sharpness_share), (colourful, colorfulness_share)):
        if len(kept):
            own = values[kept]
            kept = kept[own > share * own.max()]
    return kept


def patch_features(run: Run, grids: Sequence[torch.Tensor], chunk: int) -> list[torch.Tensor]:
    """Features (rows, columns, features), float64 on the CPU, of the patches of each grid.

    Only `chunk` patches are copied at a time, so memory is that of the images and of one chunk; the patches
    of several images fill it.

    Args:
        run: the encoder, (n, 3, p, p) to (n, features).
        grids: (rows, columns, 3, p, p) in [0, 1] of each image, views of `patch_grid`.
        chunk: patches that go through the encoder at once.
    """
    if torch.jit.is_tracing():  # how many there are is not known yet
        return [run(grid.flatten(0, 1))[0].double().view(*grid.shape[:2], -1) for grid in grids]
    patches = (patch for grid in grids for row in grid for patch in row)
    features = []
    while batch := list(islice(patches, chunk)):
        features.append(run(torch.stack(batch))[0].cpu().double())  # the only copy
    shapes = [grid.shape[:2] for grid in grids]
    of_grids = torch.cat(features).split([shape.numel() for shape in shapes])
    return [found.unflatten(0, shape) for found, shape in zip(of_grids, shapes, strict=True)]


def whole_features(image: torch.Tensor, run: Run) -> torch.Tensor:
    """Features (F,) of an image in one pass, float32 on the CPU, not normalised.

    Args:
        image: (3, H, W) in [0, 1], no side under 32.
        run: the encoder of either branch.
    """
    return run(image[None])[0][0].cpu()


def _gaussian_window(like: torch.Tensor) -> torch.Tensor:
    """(1, 1, WINDOW, WINDOW) Gaussian of sigma WINDOW / 6 with sum 1, of the dtype and device of `like`."""
    place = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-place.square() / (2 * (WINDOW / 6) ** 2))
    window = torch.outer(line, line)
    return (window / window.sum()).to(like)[None, None]
