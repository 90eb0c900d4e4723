"""Fragments (grid mini-patch sampling of FAST-VQA) and the two views of a step (method.md part 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def two_views(
    versions: torch.Tensor, per_side: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two fragment views of all versions of one image, the second flipped at random.

    All versions share offsets and flips. The generator is asked in the authors' order: offsets of
    the first view, of the second, left-right flip, top-down flip.

    Args:
        versions: uint8 in [0, 255] or floating point in [0, 1], (D, 3, H, W).
        per_side: fragments along each side.
        size: side of a fragment in pixels.
        generator: a CPU generator.

    Returns:
        Two float32 tensors (D, 3, per_side * size, per_side * size) in [0, 1].
    """
    versions = enlarge_to(versions, per_side * size)
    height, width = versions.shape[-2:]
    views = []
    for _ in range(2):
        rows, columns = draw_offsets(height, width, per_side, size, generator)
        views.append(to_unit(cut_fragments(versions, rows, columns, size)))
    flips = [axis for axis in (-1, -2) if torch.rand(1, generator=generator) < 0.5]
    return views[0], views[1].flip(flips)


def draw_offsets(
    height: int, width: int, per_side: int, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column offsets (per_side, per_side) of fragments in their cells, in 0 .. side - size - 1.

    The last fitting offset is never drawn, as in the release; a cell no larger than the fragment gives 0.
    """
    rows, columns = (
        torch.randint(side - size, (per_side, per_side, 1), generator=generator)[..., 0]
        if side > size
        else torch.zeros(per_side, per_side, dtype=torch.int64)
        for side in (height // per_side, width // per_side)
    )
    return rows, columns


def cut_fragments(
    versions: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, size: int
) -> torch.Tensor:
    """Cut one fragment from each cell and set them side by side: (D, 3, H, W) -> (D, 3, g * size, g * size).

    Cell (i, j) starts at `min(H // g * i, H - size)`, `min(W // g * j, W - size)`.
    """
    height, width = versions.shape[-2:]
    per_side = len(rows)
    cells, within = torch.arange(per_side), torch.arange(size)
    row = (height // per_side * cells).clamp_max(height - size)[:, None] + rows  # (g, g)
    column = (width // per_side * cells).clamp_max(width - size)[None, :] + columns
    row_index = row[:, None, :, None] + within[None, :, None, None]  # (g, p, g, 1)
    column_index = column[:, None, :, None] + within  # (g, 1, g, p)
    fragments = versions[:, :, row_index, column_index]  # (D, 3, g, p, g, p)
    return fragments.reshape(*versions.shape[:2], per_side * size, per_side * size)


def enlarge_to(versions: torch.Tensor, short_side: int) -> torch.Tensor:
    """Enlarge (bilinear) to the short side, keeping the shape, where it is below; else return as it is.

    The one departure from the release, which enlarges but goes on with the small sizes and so reads
    the top-left part only (method.md part 1).
    """
    height, width = versions.shape[-2:]
    if min(height, width) >= short_side:
        return versions
    scale = short_side / min(height, width)
    size = [max(short_side, round(side * scale)) for side in (height, width)]
    return F.interpolate(to_unit(versions), size=size, mode="bilinear", align_corners=False)


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """uint8 in [0, 255] as float32 in [0, 1]; floating point becomes float32."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()
