"""Where an image looks distorted: the quality map, which explains a score and is no part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from Evaluation.distance import FeatureStatistics, check_finite
from Evaluation.extended.centre import centre_weights
from Evaluation.extended.score import distortion_regression
from Evaluation.extended.tiles import map_starts

# What is named of an image, and the distortion targets that it is the sum of: kinds that the features hardly
# tell from each other are one.
NAMES = {
    "blur": ("gaussian_blur", "lens_blur", "motion_blur", "resample"),
    "noise": ("white_noise", "dark_noise"),
    "JPEG": ("jpeg",),
    "JPEG 2000": ("jpeg2000",),
    "smoothing": ("denoise",),
    "over-sharpening": ("sharpen",),
    "under-exposure": ("under_exposure",),
    "over-exposure": ("over_exposure",),
    "low contrast": ("low_contrast",),
    "high contrast": ("high_contrast",),
    "haze": ("haze",),
    "colour cast": ("colour_cast",),
}
# So many are named, of levels from the least on.
MOST_NAMED, LEAST_LEVEL = 3, 0.15


@dataclass(frozen=True)
class QualityMap:
    """What the low-level encoder tells of patches all over an image, (rows, columns) each, higher is worse.

    `distance` is that of each patch to the pristine statistics; `distortion` the distortion regression of
    each, None of weights that were not trained on distortion targets. `rows` and `columns` are where the
    patches have their middle, as shares of height and width. `named` are the image's largest distortions
    with their levels in [0, 1].
    """

    distance: np.ndarray
    distortion: np.ndarray | None
    rows: np.ndarray
    columns: np.ndarray
    named: tuple[tuple[str, float], ...] = ()

    @property
    def words(self) -> str:
        """The named distortions, as in "blur 0.6, JPEG 0.3"; empty where there are none."""
        return ", ".join(f"{name} {level:.1f}" for name, level in self.named)


def quality_map(
    features: torch.Tensor, view: tuple[int, int], size: int, pristine: FeatureStatistics,
    regularisation: float, targets: Sequence[str],
) -> QualityMap:  # fmt: skip
    """The quality map of features (rows, columns, F) of patches.

    Args:
        features: of the patches of `map_grid`.
        view: (height, width) of the view that they are of.
        size: side of a patch in pixels.
        pristine: statistics of pristine patches.
        regularisation: as of the distance of an image.
        targets: what the first features were trained to say, none or as `distortion_regression` wants them.

    Raises:
        UserError: a feature is not finite.
    """
    features = check_finite(features)
    rows, columns = ((map_starts(length, size).numpy() + size / 2) / length for length in view)
    distance = patch_distances(features, pristine, regularisation)
    if not targets:
        return QualityMap(distance, None, rows, columns)
    mean = centre_weights(*features.shape[:2]) @ features.flatten(0, 1)
    named = named_distortions(dict(zip(targets, mean.tolist(), strict=False)))
    distortion = distortion_regression(features, targets).numpy()
    return QualityMap(distance, distortion, rows, columns, named)


def named_distortions(told: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The largest of `NAMES`, each with the sum of its targets in [0, 1], of a mean by names of targets."""
    sums = {name: sum(told.get(target, 0.0) for target in targets) for name, targets in NAMES.items()}
    largest = sorted(sums.items(), key=lambda one: -one[1])[:MOST_NAMED]
    return tuple((name, min(level, 1.0)) for name, level in largest if level >= LEAST_LEVEL)


def patch_distances(features: torch.Tensor, pristine: FeatureStatistics, regularisation: float) -> np.ndarray:
    """sqrt((f - m)^T (C + regularisation I)^-1 (f - m)) of each feature f of (rows, columns, F)."""
    covariance = pristine.covariance + regularisation * torch.eye(len(pristine.mean), dtype=torch.float64)
    difference = (features - pristine.mean).flatten(0, 1).T  # (F, rows * columns)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), difference, upper=False)
    return whitened.norm(dim=0).unflatten(0, features.shape[:2]).numpy()
