"""The semantic encoder: EfficientNet-Lite0 without its last layers, which knows what an image shows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from models.engine import Run

# As the network was trained: bytes less 127, over 128.
MEAN, DEVIATION = 127 / 255, 128 / 255
STEM_CHANNELS = 32
# Of each stage: kernel, stride of the first block, expansion, channels, blocks. The network goes on with 1280
# channels and the classes of ImageNet, which tell quality worse.
STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip
# The first stages, whose maps take nearly all of the memory, and by what they are smaller than the image.
SHALLOW, STRIDES = 2, (2, 4)
# Pixels of a band in which they are computed, of which rows it has a multiple, and how many rows beyond it
# they look at (14), rounded up to what all strides divide.
BAND_PIXELS, BAND_ROWS, HALO = 1 << 17, 32, 16
# An image of fewer pixels passes in one piece, which is a little faster.
WHOLE_PIXELS = 1 << 18
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

        From (N, 16, H / 2, W / 2) to (N, 320, H / 32, W / 32).
        """
        shallow = self.shallow(images)
        return [*shallow, *self.deep(shallow[-1])]

    def shallow(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of the first two stages, at a half and a fourth of the size: nearly all of the memory."""
        # In this layout the filters of single channels take half the time.
        images = ((images - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)
        return self._stages(F.relu6(self.stem(images)), 0, SHALLOW)

    def deep(self, maps: torch.Tensor) -> list[torch.Tensor]:
        """Maps of the other stages, of the last of the first two."""
        return self._stages(maps, SHALLOW, len(STAGES))

    def _stages(self, maps: torch.Tensor, first: int, end: int) -> list[torch.Tensor]:
        before = sum(count for *_, count in STAGES[:first])
        blocks, stages = iter(self.blocks[before:]), []
        for *_, count in STAGES[first:end]:
            for _ in range(count):
                maps = next(blocks)(maps)
            stages.append(maps)
        return stages


class ShallowStages(nn.Module):
    """The first stages of a semantic encoder by themselves."""

    def __init__(self, encoder: SemanticEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of these stages, as `SemanticEncoder`."""
        return self.encoder.shallow(images)


class DeepStages(ShallowStages):
    """The other stages by themselves."""

    def forward(self, maps: torch.Tensor) -> list[torch.Tensor]:
        """Maps of these stages, as `SemanticEncoder`."""
        return self.encoder.deep(maps)


def run_in_bands(shallow: Run, deep: Run, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Maps of all stages, the first ones computed in horizontal bands: to the bit those of one piece.

    Args:
        shallow: `ShallowStages` and
        deep: `DeepStages` of the encoder.
        images: (N, 3, H, W) in [0, 1].
    """
    height, width = images.shape[-2:]
    rows = max(BAND_ROWS, BAND_PIXELS // width // BAND_ROWS * BAND_ROWS)
    if height * width <= WHOLE_PIXELS or height <= rows + HALO:
        stages = shallow(images)
    else:
        bands = [_band(shallow, images, top, rows) for top in range(0, height, rows)]
        stages = tuple(torch.cat(stage, 2) for stage in zip(*bands, strict=True))
    return (*stages, *deep(stages[-1]))


def _band(shallow: Run, images: torch.Tensor, top: int, rows: int) -> list[torch.Tensor]:
    """Maps of some rows, computed with HALO more above and below, whose results are dropped."""
    first, ends = max(0, top - HALO), top + rows >= images.shape[-2]
    found = shallow(images[:, :, first : top + rows + HALO])
    return [
        maps[:, :, (top - first) // stride : None if ends else (top - first + rows) // stride]
        for stride, maps in zip(STRIDES, found, strict=True)
    ]


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
