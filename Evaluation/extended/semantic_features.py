"""What the semantic encoder sees of an image, in patches (method.md parts 4 and 5)."""

from __future__ import annotations

from dataclasses import replace

import torch

from configs import Settings
from Evaluation.extended.centre import grid_statistics
from Evaluation.image_sizes import with_two_patches
from Evaluation.patches import overlapping_features
from models.semantic import SemanticEncoder

# Side of its patches in pixels: of the images that it was trained on.
SEMANTIC_PATCH = 224


def semantic_features(
    image: torch.Tensor, encoder: SemanticEncoder, settings: Settings, precision: torch.dtype = torch.float32
) -> tuple[torch.Tensor, str]:
    """Mean features (304,), float64 on the CPU, of overlapping patches, and a note where it was enlarged.

    Patches weigh less the farther they are from the middle of the image. As many pixels pass at once as
    `settings` lets pass the low-level encoder.

    Args:
        image: (3, H, W) in [0, 1] as it was read; enlarged where it has room for a single patch.
        encoder: in evaluation mode.
        settings: of the score.
        precision: in which convolutions run.

    Raises:
        UserError: the image is so narrow that it would become too large.
    """
    chunk = max(1, settings.chunk * settings.patch_size**2 // SEMANTIC_PATCH**2)
    larger = replace(settings, patch_size=SEMANTIC_PATCH, chunk=chunk)
    image, note = with_two_patches(image, larger)
    features = overlapping_features(image, encoder, larger, precision)
    return grid_statistics(features).mean, note and f"{note} for the semantic encoder"
