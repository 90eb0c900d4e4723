"""Ridge regression, all penalties and exact leave-one-out errors from one decomposition (method.md part 5).

Minimises `|y - Xw - b|^2 + alpha |w|^2`; the intercept b is not penalised. With Xc the centred features
and Xc = L R, the rows of R orthonormal and L^T L = diag(v): `w = R^T diag(1 / (v + alpha)) L^T y`, and the
error of picture i under the regression of all others is `e_i / (1 - h_i)`, where e is the residual and
`h_i = 1/n + sum_k L_ik^2 / (v_k + alpha)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
# Rows that are held as float64 at once in a prediction: 4096 x 1152 are 38 MB.
_BLOCK = 4096


@dataclass(frozen=True)
class Ridge:
    """A fitted regression: weights (F,) on the features as they come, intercept, penalty.

    `errors` are the root mean squared leave-one-out errors of the penalties that there were to choose from,
    `left_out` (n,) the predictions of each training picture by the regression of all the others.
    """

    weights: Array
    intercept: float
    alpha: float
    errors: dict[float, float]
    left_out: Array

    def predict(self, features: Array) -> Array:
        """Predictions (N,), float64, of features (N, F)."""
        blocks = [features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK)]
        values = [block.astype(np.float64) @ self.weights for block in blocks]
        return np.concatenate(values) + self.intercept if values else np.empty(0)


@dataclass(frozen=True)
class Decomposition:
    """Centred (and where asked standardised) features of n pictures as L (n, r) times R (r, F).

    `values` (r,) are the squared lengths of the columns of L, r the smaller of n and F.
    """

    mean: Array
    scale: Array
    left: Array
    values: Array
    right: Array

    def leave_one_out(self, y: Array, alphas: Sequence[float]) -> Array:
        """Predictions (alphas, n) of each picture by the regression of all the others.

        With standardised features the scale is that of all n pictures.
        """
        centred = y - y.mean()
        projected, square = self.left.T @ centred, self.left**2  # (r,), (n, r)
        predictions = np.empty((len(alphas), len(y)))
        for row, alpha in zip(predictions, alphas, strict=True):
            residual = centred - self.left @ (projected / (self.values + alpha))
            leverage = 1 / len(y) + square @ (1 / (self.values + alpha))
            row[:] = y - residual / (1 - leverage)
        return predictions

    def solve(self, y: Array, alpha: float) -> tuple[Array, float]:
        """Weights (F,) on the features as they come, and the intercept."""
        shrunk = self.left.T @ (y - y.mean()) / (self.values + alpha)
        weights = self.right.T @ shrunk / self.scale
        return weights, float(y.mean() - self.mean @ weights)


def decompose(features: Array, standardise: bool = False) -> Decomposition:
    """Decompose features (n, F) once for all penalties and opinions.

    Args:
        features: of n >= 2 pictures.
        standardise: divide each feature by its deviation over these pictures; a constant one stays.

    Raises:
        ValueError: fewer than two pictures, or a feature that is not finite.
    """
    x = np.array(features, np.float64)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"Features must be finite, of two pictures or more; their shape is {x.shape}.")
    mean = x.mean(0)
    x -= mean
    scale = np.ones_like(mean)
    if standardise:
        deviation = np.sqrt(np.mean(x**2, 0))
        # A constant feature's deviation is rounding, which must not be blown up.
        varies = deviation > 1e-12 * np.maximum(np.abs(mean), np.finfo(float).tiny)
        scale[varies] = deviation[varies]
        x /= scale
    # The smaller of the two products has all that is needed, and is many times faster than an SVD of x.
    wide = len(x) <= x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    # Below this is rounding; a floor instead of a cut, so that nothing is divided by 0.
    values = np.maximum(values, max(np.finfo(float).eps * values[-1], np.finfo(float).tiny))
    if wide:
        length = np.sqrt(values)
        return Decomposition(mean, scale, vectors * length, values, vectors.T @ x / length[:, None])
    return Decomposition(mean, scale, x @ vectors, values, vectors.T)


def fit_ridge(features: Array, y: Array, alphas: Sequence[float], standardise: bool = False) -> Ridge:
    """The regression of y (n,) on features (n, F), its penalty chosen from `alphas` by leave-one-out.

    The smallest mean squared error wins, the first of equals. With one penalty there is nothing to choose.

    Raises:
        ValueError: fewer than two pictures, a value that is not finite, or a penalty of 0 or below.
    """
    y = np.asarray(y, np.float64)
    if not alphas or any(not 0 < alpha < np.inf for alpha in alphas):
        raise ValueError(f"Every alpha must be above 0 and finite, not {', '.join(map(str, alphas))}.")
    if y.shape != (len(features),) or not np.isfinite(y).all():
        raise ValueError(f"{len(features)} pictures need as many finite scores, not {y.shape}.")
    parts = decompose(features, standardise)
    left_out = parts.leave_one_out(y, alphas)  # (alphas, n)
    errors = np.sqrt(np.mean((left_out - y) ** 2, 1))  # (alphas,)
    best = int(np.argmin(errors))
    alpha = float(alphas[best])
    weights, intercept = parts.solve(y, alpha)
    known = {float(a): float(error) for a, error in zip(alphas, errors, strict=True)}
    return Ridge(weights, intercept, alpha, known, left_out[best])
