"""What the content encoder sees of a picture, in patches (method.md parts 4 and 5)."""

from __future__ import annotations

from dataclasses import replace

import torch

from configs import Settings
from Evaluation.distance import grid_statistics
from Evaluation.features import with_two_patches
from Evaluation.patches import CENTRE_DEVIATION, overlapping_features
from models.semantic import SemanticEncoder

# Side of its patches in pixels: of the pictures that it was trained on.
SEMANTIC_PATCH = 224


def semantic_features(
    picture: torch.Tensor,
    encoder: SemanticEncoder,
    settings: Settings,
    precision: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, str]:
    """Mean features (304,), float64 on the CPU, of overlapping patches, and a note for the picture's status.

    Patches weigh less the farther they are from the middle of the picture. As many pixels pass at once as
    `settings` lets pass the low-level encoder.

    Args:
        picture: (3, H, W) in [0, 1]; enlarged where it has room for a single patch.
        encoder: in evaluation mode.
        settings: of the score.
        precision: in which convolutions run.

    Raises:
        UserError: the picture is so narrow that it would become too large.
    """
    chunk = max(1, settings.chunk * settings.patch_size**2 // SEMANTIC_PATCH**2)
    larger = replace(settings, patch_size=SEMANTIC_PATCH, chunk=chunk)
    picture, note = with_two_patches(picture, larger)
    features = overlapping_features(picture, encoder, larger, precision)
    return grid_statistics(features, CENTRE_DEVIATION).mean, note
