"""The high-level encoder: CLIP's ResNet, and quality by two opposite prompts (method.md parts 2, 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from models.attention_pool import AttentionPool, Positions

# Of the pictures that CLIP was trained on.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Below this side the last of CLIP's feature maps, a 32nd of the picture, is empty.
SMALLEST_PICTURE = 32
# By which the difference of the two cosines is divided.
QUALITY_TEMPERATURE = 0.1


class HighLevelEncoder(nn.Module):
    """CLIP's image encoder on pictures of any size from 32 x 32 up.

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

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features (N, features), not normalised, of pictures (N, 3, H, W) in [0, 1]."""
        return self.visual((pictures - self.mean) / self.std)


def antonym_quality(features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Quality (N,) in (0, 1), higher is better: 1 / (1 + exp((cos(f, bad) - cos(f, good)) / 0.1)).

    It is the pseudo-label of training and the zero-shot Q_high. With several pairs of prompts it is
    the mean over the pairs.

    Args:
        features: (N, F) of pictures.
        text: (P, 2, F) of P pairs of prompts, the good one first.
    """
    cosines = torch.einsum("nf,psf->nps", F.normalize(features), F.normalize(text, dim=-1))  # (N, P, 2)
    return torch.sigmoid((cosines[..., 0] - cosines[..., 1]) / QUALITY_TEMPERATURE).mean(1)
