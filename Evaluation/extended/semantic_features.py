"""What the semantic encoder sees of an image (method.md parts 4 and 5)."""

from __future__ import annotations

import torch

from Evaluation.extended.centre import centre_mean
from models.engine import Run


def semantic_features(view: torch.Tensor, run: Run) -> torch.Tensor:
    """Means over the image of the maps of all stages (784,), float64 on the CPU; the middle weighs most.

    Args:
        view: (3, h, w) in [0, 1], which passes in one piece.
        run: the semantic encoder.
    """
    # In float32, whose differences between images bfloat16 would round away.
    return torch.cat([centre_mean(maps[0]) for maps in run(view[None])]).cpu().double()
