"""The high-level encoder: CLIP's ResNet, and quality by two opposite prompts (method.md parts 2, 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from models.attention_pool import AttentionPool, Positions

# Of the images that CLIP was trained on.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Below this side the last of CLIP's feature maps, a 32nd of the image, is empty.
SMALLEST_IMAGE = 32
# The layers of CLIP's ResNet that see the image at a quarter of its size or more, with the maps that take
# the most memory; how many pixels that makes a row of theirs; and how many rows of the image beyond a band
# they look at (16), rounded up.
SHALLOW = ("conv1", "bn1", "relu1", "conv2", "bn2", "relu2", "conv3", "bn3", "relu3", "avgpool", "layer1")
DEEP = ("layer2", "layer3", "layer4", "attnpool")
SHALLOW_STRIDE = 4
HALO = 32
# Pixels of a band; an image that has fewer passes whole.
BAND_PIXELS = 1 << 21
# By which the difference of the two cosines is divided.
QUALITY_TEMPERATURE = 0.1


class HighLevelEncoder(nn.Module):
    """CLIP's image encoder on images of any size from 32 x 32 up.

    `visual` is the loaded CLIP's, with this project's attention pool in the place of its own; its
    `state_dict()` keeps the names of CLIP and of the authors' file.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, visual: Any, positions: Positions) -> None:
        super().__init__()
        visual.attnpool = AttentionPool(visual.attnpool, positions)
        self.visual: Any = visual
        self.positions = positions
        for name, values in (("mean", CLIP_MEAN), ("std", CLIP_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @property
    def features(self) -> int:
        """Length of a feature: 1024 for RN50."""
        return self.visual.output_dim

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, features), not normalised, of images (N, 3, H, W) in [0, 1]."""
        if self.training:  # BatchNorm has to see all of a batch at once
            return self.visual((images - self.mean) / self.std)
        rows = max(HALO, BAND_PIXELS // images.shape[-1]) // SHALLOW_STRIDE * SHALLOW_STRIDE
        maps = in_bands(self._shallow, images, rows)
        for name in DEEP:
            maps = getattr(self.visual, name)(maps)
        return maps

    def _shallow(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, h, w) of images (N, 3, H, W), a quarter of their size."""
        maps = (images - self.mean) / self.std
        for name in SHALLOW:
            maps = getattr(self.visual, name)(maps)
        return maps


def in_bands(layers: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, rows: int) -> torch.Tensor:
    """`layers(images)` computed in horizontal bands, so that only the result is whole in memory.

    A band is computed with HALO rows above and below, whose results are dropped: they saw the cut
    where the image goes on.

    Args:
        layers: convolutions that together see no more than HALO rows beyond a pixel and make maps
            (N, C, (H + 1) // SHALLOW_STRIDE, ...): CLIP's first convolution rounds up, its pool down.
        images: (N, 3, H, W).
        rows: of a band, a multiple of SHALLOW_STRIDE.
    """
    height = images.shape[-2]
    if height <= rows + HALO:
        return layers(images)
    whole = None
    map_rows = (height + 1) // SHALLOW_STRIDE
    for top in range(0, map_rows * SHALLOW_STRIDE, rows):
        first = max(0, top - HALO)
        part = layers(images[:, :, first : min(top + rows + HALO, height)])
        if whole is None:
            whole = part.new_empty((*part.shape[:2], map_rows, part.shape[3]))
        above, kept = (top - first) // SHALLOW_STRIDE, rows // SHALLOW_STRIDE
        target = whole[:, :, top // SHALLOW_STRIDE :][:, :, :kept]
        target.copy_(part[:, :, above : above + target.shape[2]])
    assert whole is not None
    return whole


def antonym_quality(features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Quality (N,) in (0, 1), higher is better: 1 / (1 + exp((cos(f, bad) - cos(f, good)) / 0.1)).

    It is the pseudo-label of training and the zero-shot Q_high. With several pairs of prompts it is
    the mean over the pairs.

    Args:
        features: (N, F) of images.
        text: (P, 2, F) of P pairs of prompts, the good one first.
    """
    cosines = torch.einsum("nf,psf->nps", F.normalize(features), F.normalize(text, dim=-1))  # (N, P, 2)
    return torch.sigmoid((cosines[..., 0] - cosines[..., 1]) / QUALITY_TEMPERATURE).mean(1)
