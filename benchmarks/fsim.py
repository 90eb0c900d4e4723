"""The annotator matrix of 9 versions of 512 x 384: ours against the authors' way, 36 calls of piq.fsim."""

from __future__ import annotations

from functools import partial

import piq
import torch

from benchmarks.timing import machine, seconds
from datasets.fsim import fsim_matrix


def authors_way(versions: torch.Tensor) -> torch.Tensor:
    """36 calls, one a pair, as the authors' loader makes them."""
    matrix = torch.eye(len(versions), dtype=versions.dtype)
    for i in range(len(versions)):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = piq.fsim(versions[i : i + 1], versions[j : j + 1], data_range=1.0)
    return matrix


def main() -> None:
    """Print both times, the ratio and the largest difference of the values."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(1, 3, 384, 512, generator=generator, dtype=torch.float64)
    noise = torch.randn(9, 3, 384, 512, generator=generator, dtype=torch.float64)
    versions = (reference + 0.03 * torch.arange(9)[:, None, None, None] * noise).clamp(0, 1)
    print(f"FSIMc of each two of 9 versions of 512 x 384 ({machine()})")
    theirs = seconds(partial(authors_way, versions), 3)
    print(f"36 x piq.fsim, float64  {theirs:6.3f} s")
    for dtype in (torch.float64, torch.float32):
        converted = versions.to(dtype)
        ours = seconds(partial(fsim_matrix, converted), 5)
        difference = (fsim_matrix(converted).double() - authors_way(versions)).abs().max().item()
        name = str(dtype).removeprefix("torch.")
        print(f"ours, {name}           {ours:6.3f} s  {theirs / ours:5.1f} x  differs by {difference:.1e}")


if __name__ == "__main__":
    main()
