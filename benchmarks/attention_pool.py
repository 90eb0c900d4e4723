"""The attention pool of RN50 with one query against all tokens as queries, and its growth with the cells."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.timing import machine, seconds
from models.attention_pool import AttentionPool
from models.weights.clip import import_clip


def all_queries(pool: Any, maps: torch.Tensor) -> torch.Tensor:
    """The pool as its first release: attention of every token, of which the mean's is taken."""
    tokens = maps.flatten(2).permute(2, 0, 1)  # (T, N, C)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
    return F.multi_head_attention_forward(
        tokens, tokens, tokens, tokens.shape[-1], pool.num_heads, None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0.0,
        pool.c_proj.weight, pool.c_proj.bias, training=False, need_weights=False,
        use_separate_proj_weight=True, q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight,
    )[0][0]  # fmt: skip


@torch.inference_mode()
def main() -> None:
    """Print both times at 768 x 1024 and ours at 1, 2 and 4 times the cells."""
    torch.manual_seed(0)
    pool = import_clip().model.AttentionPool2d(7, 2048, 32, 1024).eval()
    ours = AttentionPool(pool, "none")
    print(f"Attention pool of RN50, positional embedding none ({machine()})")
    maps = torch.randn(1, 2048, 24, 32)
    torch.testing.assert_close(ours(maps), all_queries(pool, maps), rtol=1e-3, atol=1e-5)
    every, one = seconds(lambda: all_queries(pool, maps), 10), seconds(lambda: ours(maps), 20)
    print(
        f"768 x 1024: all tokens {1e3 * every:6.1f} ms, one query {1e3 * one:5.1f} ms, {every / one:4.1f} x"
    )
    for height in (24, 48, 96):
        maps = torch.randn(1, 2048, height, 32)
        one = seconds(partial(ours, maps), 20)
        print(f"{height * 32:>5} cells: {1e3 * one:6.2f} ms, {1e6 * one / (height * 32):5.2f} us a cell")


if __name__ == "__main__":
    main()
