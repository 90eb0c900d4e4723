"""The semantic encoder: EfficientNet-Lite0 without its last layers, which knows what an image shows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

# As the network was trained: bytes less 127, over 128.
MEAN, DEVIATION = 127 / 255, 128 / 255
STEM_CHANNELS = 32
# Of each stage: kernel, stride of the first block, expansion, channels, blocks. The network goes on with 1280
# channels and the classes of ImageNet, which tell quality worse.
STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip
SEMANTIC_FEATURES = sum(channels for _, _, _, channels, _ in STAGES)


class SemanticEncoder(nn.Module):
    """EfficientNet-Lite0 up to its 320 channels at a 32nd of the image's size (Tan and Le, ICML 2019).

    Quality as people judge it depends on what is shown, which the low-level encoder does not know and CLIP
    does; this network is a fiftieth of CLIP's, so that it can be part of the repository. Its stages also see
    whether an image was distorted. Batch normalisations are folded into the convolutions. Inference alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, STEM_CHANNELS, 3, 2)
        blocks, before = [], STEM_CHANNELS
        for kernel, stride, expansion, channels, count in STAGES:
            for k in range(count):
                blocks.append(_Block(before, channels, kernel, stride if k == 0 else 1, expansion))
                before = channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The last maps of each stage of images (N, 3, H, W) in [0, 1].

        From (N, 16, H / 2, W / 2) to (N, 320, H / 32, W / 32), sizes rounded up.
        """
        # In this layout the filters of single channels take half the time.
        images = ((images - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)
        maps, stages, blocks = F.relu6(self.stem(images)), [], iter(self.blocks)
        for *_, count in STAGES:
            for _ in range(count):
                maps = next(blocks)(maps)
            stages.append(maps)
        return stages


class _Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does: with stride 2 more below and right than above."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, groups=groups)
        first = (kernel - stride) // 2
        self.border = (first, kernel - stride - first) * 2 if stride > 1 else None
        if self.border is None:
            self.padding = (first, first)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return super().forward(maps if self.border is None else F.pad(maps, self.border))


class _Block(nn.Module):
    """Inverted residual block: expand, filter each channel by itself, project; added where sizes agree."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _Convolution(before, inner, 1, 1) if expansion > 1 else None
        self.depthwise = _Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = _Convolution(inner, after, 1, 1)
        self.residual = stride == 1 and before == after

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = maps if self.expand is None else F.relu6(self.expand(maps))
        seen = self.project(F.relu6(self.depthwise(inner)))
        return maps + seen if self.residual else seen
