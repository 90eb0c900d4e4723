"""Statistics of patches that weigh less the farther they are from the middle of the image."""

from __future__ import annotations

import torch

from Evaluation.distance import FeatureStatistics, check_features

# People look at the middle of an image first and most, and photographers put there what they mean (Tatler,
# The central fixation bias in scene viewing, Journal of Vision 2007). In half sides: a border in the middle
# of its side weighs a twentieth of the centre.
CENTRE_DEVIATION = 0.4


def centre_weights(rows: int, columns: int, deviation: float) -> torch.Tensor:
    """Weights (rows * columns,) in (0, 1], float64, row by row, of patches that overlap by half.

    `exp(-(y^2 + x^2) / (2 deviation^2))`, where y and x lead from the middle of all patches to that of one,
    in half sides of what they cover: -1 and 1 are borders. Infinity weighs all alike.
    """
    y, x = (
        (2 * torch.arange(count, dtype=torch.float64) + 1 - count) / (count + 1) for count in (rows, columns)
    )
    return torch.exp(-(y[:, None].square() + x.square()) / (2 * deviation * deviation)).flatten()


def weighted_statistics(features: torch.Tensor, weights: torch.Tensor) -> FeatureStatistics:
    """Weighted mean and covariance of features (N, F).

    With w the weights and W their sum: `m = sum_i w_i f_i / W` and
    `C = sum_i w_i (f_i - m)(f_i - m)^T / (W - sum_i w_i^2 / W)`, a divisor of N - 1 for weights of 1.

    Args:
        features: of N patches.
        weights: (N,), above 0, float64 on the CPU.

    Raises:
        UserError: fewer than 2 rows, which have no covariance, or a value that is not finite.
    """
    features = check_features(features)
    total = weights.sum()
    mean = (features * weights[:, None]).sum(0) / total
    centred = features - mean
    covariance = (centred.T * weights) @ centred / (total - weights.square().sum() / total)
    return FeatureStatistics(mean, covariance, len(features))


def grid_statistics(features: torch.Tensor, deviation: float = CENTRE_DEVIATION) -> FeatureStatistics:
    """Statistics of patches' features (rows, columns, F), which weigh as `centre_weights` says."""
    rows, columns = features.shape[:2]
    return weighted_statistics(features.flatten(0, 1), centre_weights(rows, columns, deviation))
