"""Fragments (grid mini-patch sampling of FAST-VQA) and the two views of a step (method.md part 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def two_views(
    versions: torch.Tensor, grid: int, piece: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two fragment views of all versions of one photograph, the second flipped at random.

    All versions share offsets and flips. The generator is asked in the authors' order: offsets of
    the first view, of the second, left-right flip, top-down flip.

    Args:
        versions: uint8 in [0, 255] or floating point in [0, 1], (D, 3, H, W).
        grid: pieces along each side.
        piece: side of a piece in pixels.
        generator: a CPU generator.

    Returns:
        Two float32 tensors (D, 3, grid * piece, grid * piece) in [0, 1].
    """
    versions = enlarge_to(versions, grid * piece)
    height, width = versions.shape[-2:]
    views = []
    for _ in range(2):
        rows, columns = draw_offsets(height, width, grid, piece, generator)
        views.append(to_unit(cut_fragments(versions, rows, columns, piece)))
    flips = [axis for axis in (-1, -2) if torch.rand(1, generator=generator) < 0.5]
    return views[0], views[1].flip(flips)


def draw_offsets(
    height: int, width: int, grid: int, piece: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column offsets (grid, grid) of each piece in its cell, integers of 0 .. side - piece - 1.

    The last fitting offset is never drawn, as in the release; a cell no larger than the piece gives 0.
    """
    rows, columns = (
        torch.randint(side - piece, (grid, grid, 1), generator=generator)[..., 0]
        if side > piece
        else torch.zeros(grid, grid, dtype=torch.int64)
        for side in (height // grid, width // grid)
    )
    return rows, columns


def cut_fragments(
    versions: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, piece: int
) -> torch.Tensor:
    """Cut one piece from each cell and set them side by side: (D, 3, H, W) -> (D, 3, g * piece, g * piece).

    Cell (i, j) starts at `min(H // g * i, H - piece)`, `min(W // g * j, W - piece)`.
    """
    height, width = versions.shape[-2:]
    grid = len(rows)
    cells, within = torch.arange(grid), torch.arange(piece)
    row = (height // grid * cells).clamp_max(height - piece)[:, None] + rows  # (g, g)
    column = (width // grid * cells).clamp_max(width - piece)[None, :] + columns
    row_index = row[:, None, :, None] + within[None, :, None, None]  # (g, p, g, 1)
    column_index = column[:, None, :, None] + within  # (g, 1, g, p)
    fragments = versions[:, :, row_index, column_index]  # (D, 3, g, p, g, p)
    return fragments.reshape(*versions.shape[:2], grid * piece, grid * piece)


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


def to_unit(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 in [0, 255] as float32 in [0, 1]; floating point becomes float32."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures.float()
