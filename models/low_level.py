"""The low-level encoder: a ResNet-18 that learns distortion (method.md part 1, Network)."""

from __future__ import annotations

import math

import torch
import torchvision
from torch import nn

FEATURES = 128
# Channels of the four stages of a ResNet-18 together.
INNER_FEATURES = 64 + 128 + 256 + 512


class LowLevelEncoder(nn.Module):
    """torchvision's ResNet-18 without its classifier, then Linear(512, 512), ReLU, Linear(512, 128).

    Similar to the authors' model but holds every tensor once; `models.weights.low_level` translates names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resnet = torchvision.models.resnet18(weights=None)
        self.resnet.fc = nn.Identity()
        self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, FEATURES))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features (N, 128), not normalised, of pictures (N, 3, H, W) in [0, 1], not standardised."""
        return self.head(self.resnet(pictures))


class InnerFeatures(nn.Module):
    """What the four stages of a low-level encoder see of a picture on the way to its features.

    The last layers keep what training asked for; the first ones still know what a picture looks like.
    """

    def __init__(self, encoder: LowLevelEncoder) -> None:
        super().__init__()
        self.resnet = encoder.resnet

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Means over places of all channels, (N, 960), of pictures (N, 3, H, W) in [0, 1]."""
        net = self.resnet
        seen = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))
        means = []
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            seen = stage(seen)
            # In float32, whose differences between patches bfloat16 would round away.
            means.append(seen.mean((2, 3), dtype=torch.float32))
        return torch.cat(means, 1)


@torch.no_grad()
def start_from_cosines(model: LowLevelEncoder) -> None:
    """Let the first layer begin as a block transform and every residual block as its shortcut.

    The 64 filters become products of the 7 cosines of a DCT of 7 samples, of unit norm: all 49 on
    luminance (R + G + B), and of lowest frequency 8 on R - G and 7 on (R + G) / 2 - B. Faults of
    compression, blur and noise are simple in these numbers, so that the network learns about twice
    as fast as from random filters. The last BatchNorm of a block starts with weight 0.
    """
    frequency, place = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    cosines = torch.cos(math.pi * (place + 0.5) * frequency / 7)
    cosines /= cosines.norm(dim=1, keepdim=True)  # (7, 7)
    pairs = sorted(((u, v) for u in range(7) for v in range(7)), key=lambda pair: pair[0] ** 2 + pair[1] ** 2)
    filters = []
    for colour, count in (((1.0, 1.0, 1.0), 49), ((1.0, -1.0, 0.0), 8), ((0.5, 0.5, -1.0), 7)):
        mix = torch.tensor(colour) / torch.tensor(colour).norm()
        filters += [mix[:, None, None] * torch.outer(cosines[u], cosines[v]) for u, v in pairs[:count]]
    model.resnet.conv1.weight.copy_(torch.stack(filters))
    for module in model.resnet.modules():
        if isinstance(module, torchvision.models.resnet.BasicBlock):
            module.bn2.weight.zero_()
