"""CLIP's attention pool on feature maps of any size (method.md part 3)."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

# "none": nothing is added to the tokens. "interpolate": the embedding's grid is resized to the map's; on
# the grid that it was trained for this is stock CLIP.
Positions = Literal["none", "interpolate"]


class AttentionPool(nn.Module):
    """Similar to the pool of CLIP's ResNets, whose parameters it takes over under their names, but:

    - the map may have any size from 1 x 1 up; the positional embedding is a choice;
    - only the output that is used is computed, that of the mean: cost is linear in the number of cells.

    With one query per head the keys need not be computed: q . (W_k x + b_k) = (W_k^T q) . x + q . b_k,
    where the last term is the same for all tokens and falls out of the softmax; and since the
    softmax sums to 1, sum of a_t (W_v x_t + b_v) = W_v (sum of a_t x_t) + b_v.
    """

    def __init__(self, loaded: Any, positions: Positions) -> None:
        super().__init__()
        self.positional_embedding = loaded.positional_embedding  # (1 + side * side, C), the mean's first
        self.k_proj, self.q_proj, self.v_proj = loaded.k_proj, loaded.q_proj, loaded.v_proj
        self.c_proj = loaded.c_proj
        self.num_heads: int = loaded.num_heads
        self.positions = positions

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, output) from feature maps (N, C, h, w)."""
        tokens = maps.flatten(2)  # (N, C, h * w)
        tokens = torch.cat([tokens.mean(2, keepdim=True), tokens], 2)  # (N, C, T), T = 1 + h * w
        if self.positions == "interpolate":
            height, width = maps.shape[-2:]
            tokens = tokens + resize_positions(self.positional_embedding, height, width).T.to(tokens.dtype)
        heads = (self.num_heads, -1)  # C = H * d
        query = self.q_proj(tokens[:, :, 0]).unflatten(1, heads)  # (N, H, d)
        keys = self.k_proj.weight.unflatten(0, heads)  # (H, d, C)
        direction = torch.einsum("nhd,hdc->nhc", query / math.sqrt(query.shape[-1]), keys)
        attention = torch.einsum("nhc,nct->nht", direction, tokens).softmax(-1)
        pooled = torch.einsum("nht,nct->nhc", attention, tokens)
        values = torch.einsum("nhc,hdc->nhd", pooled, self.v_proj.weight.unflatten(0, heads))
        return self.c_proj(values.flatten(1) + self.v_proj.bias)


def resize_positions(embedding: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A positional embedding (1 + side * side, C) for a map of height x width: (1 + height * width, C).

    The mean's row stays; the grid is resized bicubically.
    """
    side = math.isqrt(len(embedding) - 1)
    if (height, width) == (side, side):
        return embedding
    grid = embedding[1:].T.unflatten(1, (side, side))[None]  # (1, C, side, side)
    resized = F.interpolate(grid, (height, width), mode="bicubic")[0].flatten(1).T  # (height * width, C)
    return torch.cat([embedding[:1], resized])
