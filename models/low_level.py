"""The low-level encoder: a ResNet-18 that learns distortion (method.md part 1, Network)."""

from __future__ import annotations

import math

import torch
from torch import nn

FEATURES = 128
# Channels of the four stages of a ResNet-18, and all together.
STAGES = (64, 128, 256, 512)
INNER_FEATURES = sum(STAGES)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al., CVPR 2016), names and start as torchvision's."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (N, before, h, w) -> (N, channels, h / stride, w / stride)."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        out = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet18(nn.Module):
    """torchvision's ResNet-18 up to its average pool: the same tensors, names, start and outputs.

    Written out because importing torchvision takes longer than scoring an image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STAGES[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGES[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        before = STAGES[0]
        for number, channels in enumerate(STAGES, 1):
            stride = 1 if number == 1 else 2
            # torchvision makes the shortcut first; the order of random draws is part of a start.
            shortcut = None
            if stride != 1:
                shortcut = nn.Sequential(
                    nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
                )
            first = BasicBlock(before, channels, stride)
            first.downsample = shortcut
            self.add_module(f"layer{number}", nn.Sequential(first, BasicBlock(channels, channels, 1)))
            before = channels
        nn.Linear(STAGES[-1], 1000)  # the classifier, which torchvision draws here too
        for module in self.modules():
            # On the meta device there is nothing to draw, and asking for it would import torch's compiler.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of the four stages, (N, 64, H / 4, W / 4) to (N, 512, H / 32, W / 32)."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        found = []
        for number in range(1, len(STAGES) + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
            found.append(maps)
        return found

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, 512) of images (N, 3, H, W)."""
        return nn.functional.adaptive_avg_pool2d(self.stages(images)[-1], 1).flatten(1)


class LowLevelEncoder(nn.Module):
    """ResNet-18 without its classifier, then Linear(512, 512), ReLU, Linear(512, 128).

    Similar to the authors' model but holds every tensor once; `models.weights.low_level` translates names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, FEATURES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, 128), not normalised, of images (N, 3, H, W) in [0, 1], not standardised."""
        return self.head(self.resnet(images))


class InnerFeatures(nn.Module):
    """What the four stages of a low-level encoder see of an image on the way to its features.

    The last layers keep what training asked for; the first ones still know what an image looks like.
    """

    def __init__(self, encoder: LowLevelEncoder) -> None:
        super().__init__()
        self.resnet = encoder.resnet

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Means over places of all channels, (N, 960), of images (N, 3, H, W) in [0, 1]."""
        # In float32, whose differences between patches bfloat16 would round away.
        return torch.cat([maps.mean((2, 3), dtype=torch.float32) for maps in self.resnet.stages(images)], 1)


@torch.no_grad()
def start_from_cosines(model: LowLevelEncoder) -> None:
    """Let the first layer begin as a block transform and every residual block as its shortcut.

    The 64 filters become products of the 7 cosines of a DCT of 7 samples, of unit norm: all 49 on
    luminance (R + G + B), and of lowest frequency 8 on R - G and 7 on (R + G) / 2 - B. Distortions by
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
        if isinstance(module, BasicBlock):
            module.bn2.weight.zero_()
