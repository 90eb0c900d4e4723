"""Distance between two sets of features, and the quality it stands for (method.md part 4, Distance)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from utils.errors import UserError


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean (F,) and unbiased covariance (F, F), float64 on the CPU, of `count` features."""

    mean: torch.Tensor
    covariance: torch.Tensor
    count: int


def statistics(features: torch.Tensor) -> FeatureStatistics:
    """Mean and covariance, its divisor N - 1, of the features (N, F) of N patches.

    Raises:
        UserError: fewer than 2 rows, which have no covariance, or a value that is not finite.
    """
    features = check_features(features)
    count = features.shape[0]  # not `len`, which a graph would take for a constant
    mean = features.mean(0)
    centred = features - mean
    return FeatureStatistics(mean, centred.T @ centred / (count - 1), count)


def check_features(features: torch.Tensor) -> torch.Tensor:
    """Features (N, F) as float64 on the CPU.

    Raises:
        UserError: fewer than 2 rows, which have no covariance, or a value that is not finite.
    """
    if len(features) < 2:
        raise UserError(f"{len(features)} patch(es) have no covariance; 2 or more are needed.")
    return check_finite(features)


def check_finite(features: torch.Tensor) -> torch.Tensor:
    """Features as float64 on the CPU; raises `UserError` where a value is not finite."""
    features = features.cpu().double()
    if not features.isfinite().all():
        raise UserError("The encoder's features are not finite; the weights do not fit this input.")
    return features


def distance(pristine: FeatureStatistics, test: FeatureStatistics, regularisation: float) -> torch.Tensor:
    """The distance sqrt((m_p - m_t)^T ((C_p + C_t) / 2 + regularisation I)^-1 (m_p - m_t)), (), 0 or more.

    Args:
        pristine: statistics of pristine patches.
        test: statistics of the test image's patches.
        regularisation: above 0, so that few patches leave the matrix invertible.

    Raises:
        UserError: the matrix cannot be inverted.
    """
    difference = pristine.mean - test.mean
    covariance = (pristine.covariance + test.covariance) / 2
    covariance = covariance + regularisation * torch.eye(len(difference), dtype=torch.float64)
    if torch.jit.is_tracing():  # ONNX has no operator for the factor
        return squared_by_elimination(covariance, difference).sqrt()
    triangle, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise UserError("The mean covariance cannot be inverted; raise the regularisation.")
    # With C = L L^T the squared distance is |L^-1 difference|^2.
    whitened = torch.linalg.solve_triangular(triangle, difference[:, None], upper=False)
    return whitened.norm()


@torch.jit.script_if_tracing
def squared_by_elimination(covariance: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """difference^T covariance^-1 difference, (), by steps that every graph of operators has.

    The covariance (F, F) is bordered by the difference (F,); when all F pivots are eliminated, what is left
    is minus the result.
    """
    column = torch.cat([difference, difference.new_zeros(1)])[:, None]  # (F + 1, 1)
    bordered = torch.cat([torch.cat([covariance, difference[None]]), column], 1)  # (F + 1, F + 1)
    for k in range(len(difference)):
        column = bordered[k]
        bordered = bordered - torch.outer(column, column / column[k])
    return -bordered[-1, -1]


def low_level_quality(d: torch.Tensor) -> torch.Tensor:
    """Q_low = 1 - 1 / (1 + exp(-d / 100)) of a distance d >= 0: in (0, 0.5], higher is better."""
    return torch.sigmoid(-d / 100)


def distance_of_quality(quality: float) -> float:
    """The distance that `low_level_quality` makes `quality`, in (0, 0.5], of; 0 or more."""
    return 100 * math.log(1 / quality - 1)
