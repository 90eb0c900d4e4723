"""Our attention pool with one query against the clip package's own, and its growth with the cells."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import nn

from benchmarks.timing import machine, seconds
from models.attention_pool import AttentionPool
from models.weights.clip import import_clip


@torch.inference_mode()
def main() -> None:
    """Print both times at 768 x 1024 and ours at 1, 2 and 4 times the cells."""
    torch.manual_seed(0)
    stock = import_clip().model.AttentionPool2d(7, 2048, 32, 1024).eval()
    ours = AttentionPool(copy.deepcopy(stock), "none")
    # As the authors test: nothing is added; the package's pool takes maps of its embedding's size alone.
    stock.positional_embedding = nn.Parameter(torch.zeros(1 + 24 * 32, 2048))
    print(f"Attention pool of RN50, positional embedding none ({machine()})")
    maps = torch.randn(1, 2048, 24, 32)
    torch.testing.assert_close(ours(maps), stock(maps), rtol=1e-3, atol=1e-5)
    theirs, one = seconds(lambda: stock(maps), 10), seconds(lambda: ours(maps), 20)
    print(
        f"768 x 1024: the package's {1e3 * theirs:6.1f} ms, ours {1e3 * one:5.1f} ms, {theirs / one:4.1f} x"
    )
    for height in (24, 48, 96):
        maps = torch.randn(1, 2048, height, 32)
        one = seconds(partial(ours, maps), 20)
        print(f"{height * 32:>5} cells: {1e3 * one:6.2f} ms, {1e6 * one / (height * 32):5.2f} us a cell")


if __name__ == "__main__":
    main()
