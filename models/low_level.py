"""The low-level encoder: a ResNet-18 that learns distortion (method.md part 1, Network)."""

from __future__ import annotations

import torch
import torchvision
from torch import nn

FEATURES = 128


class LowLevelEncoder(nn.Module):
    """torchvision's ResNet-18 without its classifier, then Linear(512, 512), ReLU, Linear(512, 128).

    Similar to the authors' model but holds every tensor once; `models.low_level_weights` translates names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resnet = torchvision.models.resnet18(weights=None)
        self.resnet.fc = nn.Identity()
        self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, FEATURES))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features (N, 128), not normalised, of pictures (N, 3, H, W) in [0, 1], not standardised."""
        return self.head(self.resnet(pictures))
