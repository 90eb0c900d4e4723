"""The reference: scoring written out as the authors' scripts run, an image at a time, eager, NCHW, float32.

Nothing is batched, kept or read ahead: each branch decodes the image for itself. The values are those of
GRepQ (tests/benchmarks).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from Evaluation.distance import FeatureStatistics, distance, low_level_quality, statistics
from Evaluation.extended.centre import centre_mean
from Evaluation.extended.detail import detail
from Evaluation.extended.tiles import tile_grid
from Evaluation.patches import extract_patches
from models.low_level import LowLevelEncoder
from models.semantic import SemanticEncoder
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level
from models.weights.semantic import load_semantic

PATCH = 96
REGULARISATION = 0.001
# Of the semantic encoder before it looked at a view in one piece.
SEMANTIC_PATCH = 224


def decode(path: Path) -> torch.Tensor:
    """(3, H, W) in [0, 1] of all pixels."""
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div(255).contiguous()


def low_level() -> LowLevelEncoder:
    """The shipped low-level encoder, as it is read."""
    return load_low_level(DEFAULT_LOW_LEVEL).model


def semantic() -> SemanticEncoder:
    """The shipped semantic encoder, as it is read."""
    return load_semantic().encoder


@torch.inference_mode()
def paper_low(path: Path, encoder: nn.Module, pristine: FeatureStatistics) -> float:
    """Q_low of the paper: all patches of the image that overlap by half, at once."""
    features = encoder(extract_patches(decode(path), PATCH, PATCH // 2)).double()
    return low_level_quality(distance(pristine, statistics(features), REGULARISATION)).item()


@torch.inference_mode()
def pristine_again(patches: torch.Tensor, encoder: nn.Module) -> FeatureStatistics:
    """Statistics of the pristine patches (N, 3, p, p), which the release computes anew for each set."""
    return statistics(torch.cat([encoder(some).double() for some in patches.split(128)]))


@torch.inference_mode()
def overlapping(path: Path, low: nn.Module, other: nn.Module) -> None:
    """Patches of all pixels, what an extended score looked at before it looked at tiles and a view."""
    for encoder, size in ((low, PATCH), (other, SEMANTIC_PATCH)):
        for patches in extract_patches(decode(path), size, size // 2).split(64):
            encoder(patches)


@torch.inference_mode()
def extended(path: Path, low: nn.Module, other: SemanticEncoder) -> None:
    """What the extended score looks at, of an image whose view is the image itself."""
    image = decode(path)
    low(tile_grid(image, PATCH).flatten(0, 1))
    stages = other(decode(path)[None])
    torch.cat([centre_mean(maps[0]) for maps in stages])
    detail(image)
