"""How much fine detail an image has for its contrast: what the encoders lose sight of in heavy blur."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from Evaluation.patches import GREY

COARSE = 32
_NOTHING = 1e-5


def detail(view: torch.Tensor) -> torch.Tensor:
    """Mean difference of neighbouring pixels, over that of the means of neighbouring 32 x 32 blocks.

    (), float64, above 0, in grey values; 1 of an image without any difference. A clear sky has little of
    both, a blurred image keeps the coarse one.

    Args:
        view: (3, H, W) in [0, 1], no side under 4; blocks are smaller where a side is under 64.
    """
    side = min(COARSE, *(length // 2 for length in view.shape[1:]))
    grey = (view * view.new_tensor(GREY)[:, None, None]).sum(0)[None]
    fine, coarse = _contrast(grey), _contrast(F.avg_pool2d(grey[None], side)[0])
    return (fine + _NOTHING) / (coarse + _NOTHING)


def _contrast(grey: torch.Tensor) -> torch.Tensor:
    across, down = grey[:, :, 1:] - grey[:, :, :-1], grey[:, 1:] - grey[:, :-1]
    return (across.abs().mean() + down.abs().mean()).double()


def lack_of_detail(found: torch.Tensor, least: float) -> torch.Tensor:
    """`max(0, log(least / found))`: 0 unless an image has less detail than pristine ones ever do.

    The encoders take what was blurred until nothing is left for a clear sky; this does not.
    """
    return (math.log(least) - found.log()).clamp_min(0) if least else torch.zeros_like(found)
