"""The regression of the first features on distortion targets (method.md part 1, Distortion targets)."""

from __future__ import annotations

import torch

# The two distances from the reference weigh as much as half of the kinds together.
DISTANCES, WEIGHT = 2, 4.0


def distortion_target_loss(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`mean_nk w_k (features_nk - targets_nk)^2` over the known targets; w is 4 for the first two, else 1.

    Args:
        features: (N, F); the first K are regressed, the others are free.
        targets: (N, K), NaN where unknown.

    Returns:
        A scalar.
    """
    known = targets.isfinite()
    weights = known.to(features.dtype)
    weights[:, :DISTANCES] *= WEIGHT
    errors = features[:, : targets.shape[1]] - targets.nan_to_num()
    return (weights * errors.square()).sum() / known.sum()
