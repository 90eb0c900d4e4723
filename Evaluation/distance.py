"""Distance between two sets of features, and the quality it stands for (method.md part 4, Distance)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from Evaluation.patches import centre_weights


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean (F,) and unbiased covariance (F, F), float64 on the CPU, of `count` features."""

    mean: torch.Tensor
    covariance: torch.Tensor
    count: int


def statistics(features: torch.Tensor, weights: torch.Tensor | None = None) -> FeatureStatistics:
    """Mean and covariance of features (N, F), all alike or weighted.

    With w the weights and W their sum: `m = sum_i w_i f_i / W` and
    `C = sum_i w_i (f_i - m)(f_i - m)^T / (W - sum_i w_i^2 / W)`, a divisor of N - 1 for weights of 1.

    Args:
        features: of N patches.
        weights: (N,), above 0, float64 on the CPU; None: all alike.

    Raises:
        ValueError: fewer than 2 rows, which have no covariance, or a value that is not finite.
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} patch(es) have no covariance; 2 or more are needed.")
    features = features.detach().cpu().double()
    if not features.isfinite().all():
        raise ValueError("The encoder's features are not finite; the weights do not fit this input.")
    if weights is None:
        weights = torch.ones(len(features), dtype=torch.float64)
    total = weights.sum()
    mean = (features * weights[:, None]).sum(0) / total
    centred = features - mean
    covariance = (centred.T * weights) @ centred / (total - weights.square().sum() / total)
    return FeatureStatistics(mean, covariance, len(features))


def grid_statistics(features: torch.Tensor, centre_deviation: float) -> FeatureStatistics:
    """`statistics` of patches' features (rows, columns, F), which weigh as `centre_weights` says."""
    rows, columns = features.shape[:2]
    return statistics(features.flatten(0, 1), centre_weights(rows, columns, centre_deviation))


def distance(pristine: FeatureStatistics, test: FeatureStatistics, regularisation: float) -> float:
    """The distance sqrt((m_p - m_t)^T ((C_p + C_t) / 2 + regularisation I)^-1 (m_p - m_t)), 0 or more.

    Args:
        pristine: statistics of pristine patches.
        test: statistics of the test picture's patches.
        regularisation: above 0, so that few patches leave the matrix invertible.

    Raises:
        ValueError: the matrix cannot be inverted.
    """
    difference = pristine.mean - test.mean
    covariance = (pristine.covariance + test.covariance) / 2
    covariance = covariance + regularisation * torch.eye(len(difference), dtype=torch.float64)
    triangle, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise ValueError("The mean covariance cannot be inverted; raise the regularisation.")
    # With C = L L^T the squared distance is |L^-1 difference|^2.
    whitened = torch.linalg.solve_triangular(triangle, difference[:, None], upper=False)
    return float(whitened.norm())


def low_level_quality(d: float) -> float:
    """Q_low = 1 - 1 / (1 + exp(-d / 100)) of a distance d >= 0: in (0, 0.5], higher is better."""
    decay = math.exp(-d / 100)  # at most 1, so a large d cannot overflow
    return decay / (1 + decay)


def distance_of_quality(quality: float) -> float:
    """The distance that `low_level_quality` makes `quality`, in (0, 0.5], of; 0 or more."""
    return 100 * math.log(1 / quality - 1)
