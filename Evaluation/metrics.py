"""How well scores agree with MOS: correlations and errors with bootstrap intervals.

Intervals are 95 % percentile intervals over resamples of the images. A fitted mapping is fitted once,
on all images; the resamples then take its values as they are, so these intervals hold no uncertainty
of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

Array = np.ndarray
# Correlation of fewer pairs is 1 or -1 by chance too often to be told.
FEWEST = 3
# The figures of `agreement`, in its order.
FIGURES = (
    "srcc", "krcc", "plcc", "plcc_poly3",
    "plcc_logistic4", "rmse_logistic4", "plcc_logistic5", "rmse_logistic5",
)  # fmt: skip
# Values of a matrix of pairs or resamples that are held at once.
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Metric:
    """A figure with its 95 % interval; `value` is None where it is undefined, and `note` says why."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class Fit:
    """A mapping from scores to MOS; `note` is what a reader should know of it."""

    curve: Callable[[Array], Array]
    note: str = ""


def agreement(scores: ArrayLike, mos: ArrayLike, resamples: int = 1000, seed: int = 0) -> tuple[Metric, ...]:
    """All `FIGURES` of a set.

    Args:
        scores: (N,) predictions.
        mos: (N,) mean MOS scores; the RMSE is in their unit.
        resamples: of the bootstrap.
        seed: of the bootstrap; all figures see the same resamples.

    Raises:
        ValueError: the two differ in length or hold values that are not finite.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"Scores and MOS must be two rows of one length, not {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("Scores and MOS must be finite.")
    reason = undefined(x, y)
    if reason:
        return tuple(Metric(name, None, None, None, reason) for name in FIGURES)
    counts = resample_counts(len(x), resamples, seed)
    figures = [
        _metric("srcc", srcc(x, y), bootstrap_srcc(x, y, counts)),
        _metric("krcc", krcc(x, y), bootstrap_krcc(x, y, counts)),
        _metric("plcc", plcc(x, y), bootstrap_plcc(x, y, counts)),
    ]
    fits = {"poly3": fit_cubic(x, y), "logistic4": fit_logistic(x, y, 4), "logistic5": fit_logistic(x, y, 5)}
    for name, fit in fits.items():
        fitted = fit.curve(x)
        figures.append(_metric(f"plcc_{name}", plcc(fitted, y), bootstrap_plcc(fitted, y, counts), fit.note))
        if f"rmse_{name}" in FIGURES:
            samples = bootstrap_rmse(fitted, y, counts)
            figures.append(_metric(f"rmse_{name}", rmse(fitted, y), samples, fit.note))
    return tuple(figures)


def undefined(x: Array, y: Array) -> str:
    """Why nothing can be computed; "" where it can."""
    if len(x) < FEWEST:
        return f"undefined: {len(x)} scored image(s), {FEWEST} or more are needed"
    if np.ptp(x) == 0:
        return "undefined: all scores are equal"
    if np.ptp(y) == 0:
        return "undefined: all MOS are equal"
    return ""


def srcc(x: Array, y: Array) -> float:
    """Spearman's rank correlation, in [-1, 1]; ties share their mean rank."""
    return plcc(stats.rankdata(x), stats.rankdata(y))


def krcc(x: Array, y: Array) -> float:
    """Kendall's tau-b, in [-1, 1]."""
    return float(stats.kendalltau(x, y).statistic)


def plcc(x: Array, y: Array) -> float:
    """Pearson's correlation, in [-1, 1]; nan where one of the two is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(np.mean(_standard(x) * _standard(y)), -1, 1))


def rmse(x: Array, y: Array) -> float:
    """Root of the mean squared difference."""
    return float(np.sqrt(np.mean((x - y) ** 2)))


def fit_cubic(x: Array, y: Array) -> Fit:
    """The least-squares polynomial of degree 3 of y on x.

    With fewer than 4 different scores the degree falls to their number less 1, and the note says so.
    """
    degree = min(3, len(np.unique(x)) - 1)
    note = "" if degree == 3 else f"only {degree + 1} different scores: polynomial of degree {degree}"
    if len(x) == degree + 1:
        note = f"{len(x)} images: the polynomial of degree {degree} meets them all"
    # Polynomial.fit maps x to [-1, 1] first, so close scores do not spoil the condition.
    return _fit(Polynomial.fit(x, y, degree), x, y, note)


def fit_logistic(x: Array, y: Array, parameters: Literal[4, 5] = 4) -> Fit:
    """The least-squares logistic of MOS y on the scores x.

    4 parameters: b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)), which is monotone;
    5 parameters: b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5, which need not be (VQEG; Sheikh 2006).

    Both are a constant and a step, the second a straight line too, so that given slope and place of the
    step the rest is linear: only these two are searched for. Falls back to the straight line, and says
    so, where there are no more different scores than parameters or the fit fails.
    """
    line = Polynomial.fit(x, y, 1)
    if len(np.unique(x)) <= parameters:
        few = f"fewer than {parameters + 1} different scores: straight line instead of the logistic"
        return _fit(line, x, y, few)
    # In standard units the same start values suit any range of scores.
    centre, spread = x.mean(), x.std()
    u = (x - centre) / spread

    def terms(shape: Array, u: Array) -> Array:
        step = special.expit(np.exp(shape[0]) * (u - shape[1]))
        return np.stack([np.ones_like(u), step, u][: parameters - 2], -1)  # (N, 2 or 3)

    def shares(shape: Array) -> Array:
        return np.linalg.lstsq(terms(shape, u), y, rcond=None)[0]

    def error(shape: Array) -> Array:
        return (terms(shape, u) @ shares(shape) - y) / y.std()

    # From nearly a line to a jump between two scores; the place may lie outside, where only a bend is seen.
    bounds = ((np.log(0.02), u.min() - 100), (np.log(1000.0), u.max() + 100))
    try:
        starts = [
            np.array([np.log(slope), place])
            for slope in (0.5, 1.5, 5.0, 15.0)
            for place in np.quantile(u, (0.05, 0.25, 0.5, 0.75, 0.95))
        ]
        starts.sort(key=lambda shape: float(np.sum(error(shape) ** 2)))
        found = [optimize.least_squares(error, start, bounds=bounds, max_nfev=200) for start in starts[:6]]
        best = min(found, key=lambda fit: fit.cost)
        weights = shares(best.x)
        fitted = terms(best.x, u) @ weights
    except (ValueError, np.linalg.LinAlgError):
        return _fit(line, x, y, "the logistic fit failed: straight line instead")
    # A logistic can come as near to a line as one likes, so a fit that is clearly worse has failed.
    excess = rmse(fitted, y) - rmse(line(x), y)
    if not excess <= 0:
        failed = not excess <= 1e-3 * y.std()
        return _fit(line, x, y, "the logistic fit failed: straight line instead" if failed else "")
    note = "" if best.success else "the logistic fit stopped before it converged"
    return _fit(lambda at: terms(best.x, (at - centre) / spread) @ weights, x, y, note)


def resample_counts(images: int, resamples: int, seed: int) -> Array:
    """How often each image is in each resample of the bootstrap: float32 (resamples, images)."""
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, images), np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, images, images), minlength=images)
    return counts


def bootstrap_plcc(x: Array, y: Array, counts: Array) -> Array:
    """Pearson's correlation of each resample (R,), nan where it is undefined."""
    # Standard units first: sums of squares would lose digits where values are large and close.
    x, y = _standard(x), _standard(y)
    return np.concatenate([_weighted_plcc(x, y, block) for block in _blocks(counts)])


def bootstrap_srcc(x: Array, y: Array, counts: Array) -> Array:
    """Spearman's correlation of each resample (R,), ranked anew in each; nan where it is undefined."""
    rank_x, rank_y = _resample_ranks(x), _resample_ranks(y)
    return np.concatenate([_weighted_plcc(rank_x(block), rank_y(block), block) for block in _blocks(counts)])


def bootstrap_krcc(x: Array, y: Array, counts: Array) -> Array:
    """Kendall's tau-b of each resample (R,), nan where it is undefined.

    The sum over pairs of sign times sign is w^T S w with w the counts and S the matrix of pairs,
    which is made and used a band of rows at a time.
    """
    images = len(x)
    agreeing = np.zeros(len(counts))
    band = max(1, _BLOCK // images)
    for start in range(0, images, band):
        rows = slice(start, start + band)
        signs = np.sign(x[rows, None] - x) * np.sign(y[rows, None] - y)  # (band, N)
        sums = counts @ signs.astype(np.float32).T  # (R, band), whole numbers that float32 holds exactly
        agreeing += np.einsum("rn,rn->r", counts[:, rows], sums, dtype=np.float64)
    untied = [images**2 - (_group_counts(values, counts) ** 2).sum(1) for values in (x, y)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return agreeing / np.sqrt(untied[0] * untied[1])


def bootstrap_rmse(x: Array, y: Array, counts: Array) -> Array:
    """Root of the mean squared difference of each resample (R,)."""
    return np.sqrt(counts @ (x - y) ** 2 / len(x))


def _metric(name: str, value: float, samples: Array, note: str = "") -> Metric:
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value):
        return Metric(name, None, None, None, "undefined: the fitted scores are all equal")
    if len(samples) == 0:
        return Metric(name, value, None, None, note or "no interval: too few images")
    low, high = np.percentile(samples, (2.5, 97.5))
    return Metric(name, value, float(low), float(high), note)


def _fit(curve: Callable[[Array], Array], x: Array, y: Array, note: str) -> Fit:
    """The curve; one that is level but for rounding becomes the mean: nothing was found to fit."""
    mean = y.mean()
    level = np.ptp(curve(x)) <= 1e-9 * np.ptp(y)
    return Fit((lambda at: np.full(np.shape(at), mean)) if level else curve, note)


def _standard(x: Array) -> Array:
    spread = x.std()
    return (x - x.mean()) / (spread if spread > 0 else 1.0)


def _blocks(counts: Array) -> list[Array]:
    rows = max(1, _BLOCK // counts.shape[1])
    return [counts[start : start + rows] for start in range(0, len(counts), rows)]


def _weighted_plcc(x: Array, y: Array, counts: Array) -> Array:
    """Pearson's correlation (R,) of x and y, (N,) or (R, N), with each pair taken counts (R, N) times."""
    total = counts.shape[1]
    x = x - (counts * x).sum(1, keepdims=True) / total  # (R, N)
    y = y - (counts * y).sum(1, keepdims=True) / total
    covariance, variance_x, variance_y = ((counts * product).sum(1) for product in (x * y, x * x, y * y))
    # Rounding leaves a constant resample a variance just above 0.
    defined = (variance_x > 1e-12 * total) & (variance_y > 1e-12 * total)
    result = np.full(len(counts), np.nan)
    result[defined] = covariance[defined] / np.sqrt(variance_x[defined] * variance_y[defined])
    return np.clip(result, -1, 1)


def _resample_ranks(x: Array) -> Callable[[Array], Array]:
    """A function from counts (R, N) to the mean ranks (R, N) of each resample's own values."""
    _, group = np.unique(x, return_inverse=True)

    def ranks(counts: Array) -> Array:
        sizes = _group_counts(x, counts)  # (R, groups), ascending values
        return (np.cumsum(sizes, 1) - (sizes - 1) / 2)[:, group]

    return ranks


def _group_counts(x: Array, counts: Array) -> Array:
    """How often each different value of x, ascending, is in each resample: float64 (R, groups)."""
    order = np.argsort(x, kind="stable")
    _, starts = np.unique(x[order], return_index=True)
    return np.add.reduceat(counts[:, order], starts, axis=1, dtype=np.float64)
