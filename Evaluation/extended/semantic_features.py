"""What the semantic encoder sees of an image (method.md parts 4 and 5)."""

from __future__ import annotations

import torch

from Evaluation.extended.centre import centre_mean
from models.device import autocast, full_float32
from models.semantic import SemanticEncoder


@torch.inference_mode()
def semantic_features(
    view: torch.Tensor, encoder: SemanticEncoder, precision: torch.dtype = torch.float32
) -> torch.Tensor:
    """Means over the image of the maps of all stages (784,), float64 on the CPU; the middle weighs most.

    Args:
        view: (3, h, w) in [0, 1], which passes in one piece.
        encoder: in evaluation mode.
        precision: in which convolutions run.
    """
    device = next(encoder.parameters()).device
    with autocast(device, precision), full_float32():
        stages = encoder(view[None].to(device))
    # In float32, whose differences between images bfloat16 would round away.
    return torch.cat([centre_mean(maps[0].float()) for maps in stages]).cpu().double()
