"""Ridge regression whose penalty is chosen by the exact leave-one-out error (method.md part 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Ridge:
    """A fitted regression: weights (F,) on the features as they come, intercept, penalty.

    `errors` are the root mean squared leave-one-out errors of the penalties that there were to choose from,
    `left_out` (n,) the predictions of each training image by the regression of all the others.
    """

    weights: Array
    intercept: float
    alpha: float
    errors: dict[float, float]
    left_out: Array

    def predict(self, features: Array) -> Array:
        """Predictions (N,), float64, of features (N, F)."""
        return features.astype(np.float64) @ self.weights + self.intercept


def fit_ridge(features: Array, y: Array, alphas: Sequence[float], standardise: bool = False) -> Ridge:
    """The regression of y (n,) on features (n, F): minimises `|y - Xw - b|^2 + alpha |w|^2`.

    The penalty of the smallest mean squared leave-one-out error wins, the first of equals.

    Args:
        features: of 2 images or more.
        y: their scores.
        alphas: penalties to choose from, above 0.
        standardise: divide each feature by its deviation over these images; a constant one stays.

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite.
    """
    # Only here: it takes a second, and not every user of this room fits a regression.
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    x, y = np.asarray(features, np.float64), np.asarray(y, np.float64)
    scale = StandardScaler(with_mean=False).fit(x).scale_ if standardise else np.ones(x.shape[1])
    # Asked for a scoring, it keeps the left-out predictions (n, alphas) and not their squared errors.
    found = RidgeCV(np.array(alphas), scoring="neg_mean_squared_error", store_cv_results=True).fit(
        x / scale, y
    )
    left_out = found.cv_results_.T  # (alphas, n)
    errors = np.sqrt(np.mean((left_out - y) ** 2, 1))  # (alphas,)
    known = {float(alpha): float(error) for alpha, error in zip(alphas, errors, strict=True)}
    best = [float(alpha) for alpha in alphas].index(float(found.alpha_))
    return Ridge(found.coef_ / scale, float(found.intercept_), float(found.alpha_), known, left_out[best])
