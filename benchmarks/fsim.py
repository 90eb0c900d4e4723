"""The annotator matrix of 9 versions of 512 x 384: ours against the authors' way, 36 calls of piq.fsim."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import piq
import torch

from benchmarks.timing import Row, in_turns
from datasets.fsim import fsim_matrix


def authors_way(versions: torch.Tensor) -> torch.Tensor:
    """36 calls, one a pair, as the authors' loader makes them."""
    matrix = torch.eye(len(versions), dtype=versions.dtype)
    for i in range(len(versions)):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = piq.fsim(versions[i : i + 1], versions[j : j + 1], data_range=1.0)
    return matrix


def rows(img_dir: Path | None) -> Iterator[Row]:
    """In float64 and float32."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(1, 3, 384, 512, generator=generator, dtype=torch.float64)
    noise = torch.randn(9, 3, 384, 512, generator=generator, dtype=torch.float64)
    versions = (reference + 0.03 * torch.arange(9)[:, None, None, None] * noise).clamp(0, 1)
    expected = authors_way(versions)
    for dtype in (torch.float64, torch.float32):
        ours = partial(fsim_matrix, versions.to(dtype))
        apart = (ours().double() - expected).abs().max().item()
        remark = f"{str(dtype).removeprefix('torch.')}, differs by {apart:.0e}"
        work = "FSIMc of each two of 9 versions, 512 x 384"
        yield in_turns(work, "36 x piq.fsim, float64", partial(authors_way, versions), ours, 2, remark)
