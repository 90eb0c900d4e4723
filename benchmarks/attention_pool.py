"""Our attention pool with one query against the clip package's own, and its growth with the cells."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.timing import Row, in_turns
from models.attention_pool import AttentionPool
from models.weights.clip import import_clip


@torch.inference_mode()
def rows(img_dir: Path | None) -> Iterator[Row]:
    """At 768 x 1024 against the package's, then four times the cells against one."""
    torch.manual_seed(0)
    stock = import_clip().model.AttentionPool2d(7, 2048, 32, 1024).eval()
    ours = AttentionPool(copy.deepcopy(stock), "none")
    # As the authors test: nothing is added; the package's pool takes maps of its embedding's size alone.
    stock.positional_embedding = nn.Parameter(torch.zeros(1 + 24 * 32, 2048))
    one, four = torch.randn(1, 2048, 24, 32), torch.randn(1, 2048, 96, 32)
    torch.testing.assert_close(ours(one), stock(one), rtol=1e-3, atol=1e-5)
    yield in_turns(
        "attention pool, 768 x 1024", "the clip package's", partial(stock, one), partial(ours, one), 15
    )
    yield in_turns(
        "attention pool, four times the cells", "once", partial(ours, one), partial(ours, four), 15
    )
