"""The extended score: from what is measured of an image to the number that Q_low is taken of.

Beyond the paper: beside the distance it asks two regressions that were fitted on distorted images, without
human scores (method.md part 4, Extended score). A weights file asks for it in its metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datasets.distorted.targets import TARGETS
from Evaluation.distance import FeatureStatistics, distance
from Evaluation.extended.centre import grid_statistics
from Evaluation.zeroshot import Measurement, Part
from models.semantic import MIDDLE_FEATURES
from utils.errors import UserError

# The metadata's keys; those of the shipped weights, so they keep the names that these were written with.
_SCALE, _CENTRE = "distance_scale", "centre_deviation"
_DISTORTION_WEIGHT, _TARGETS = "distortion_weight", "distortion_targets"
_SEMANTIC_WEIGHT, _SEMANTIC_REGRESSION = "chance_weight", "chance_regression"
_SEMANTIC_SHA256 = "content_sha256"
_KEYS = (_SCALE, _CENTRE, _DISTORTION_WEIGHT, _SEMANTIC_WEIGHT, _SEMANTIC_REGRESSION, _SEMANTIC_SHA256)


@dataclass(frozen=True)
class ExtendedScore:
    """`scale * max(0, d + w k + v c)`, of which Q_low is taken in the place of the distance.

    d is the paper's distance with patches that weigh as `centre_weights` with `centre_deviation` says;
    k the `distortion_regression` of the same patches, w `distortion_weight`; c the `semantic_regression`,
    v `semantic_weight`, fitted for the semantic weights of `semantic_sha256`. `targets` name what the first
    low-level features were trained to say.
    """

    scale: float = 1.0
    distortion_weight: float = 0.0
    semantic_weight: float = 0.0
    regression: tuple[float, ...] = ()
    centre_deviation: float = math.inf
    semantic_sha256: str = ""
    targets: tuple[str, ...] = TARGETS

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of an image has to be measured."""
        return ("patches", "semantic") if self.semantic_weight else ("patches",)

    def distance(self, image: Measurement, pristine: FeatureStatistics, regularisation: float) -> float:
        """The number, 0 or more, that Q_low is taken of.

        Raises:
            UserError: the distance cannot be computed.
        """
        d, k, c = self.terms(image, pristine, regularisation)
        return self.total(d, k, c)

    def terms(
        self, image: Measurement, pristine: FeatureStatistics, regularisation: float
    ) -> tuple[float, float, float]:
        """Distance d, distortion regression k and semantic regression c; 0 for one that is not asked for.

        Raises:
            UserError: the distance cannot be computed.
        """
        measured = grid_statistics(image.part("patches"), self.centre_deviation)
        d = distance(pristine, measured, regularisation)
        k = distortion_regression(measured.mean, self.targets) if self.distortion_weight else 0.0
        c = semantic_regression(image.part("semantic"), self.regression) if self.semantic_weight else 0.0
        return d, k, c

    def total(self, d: float, k: float, c: float) -> float:
        """`scale * (d + w k + v c)`, 0 where that is negative (k and c may be)."""
        return max(0.0, self.scale * (d + self.distortion_weight * k + self.semantic_weight * c))

    def formula(self) -> str:
        """The number in words."""
        parts = ["distance"]
        if self.distortion_weight:
            parts.append(f"{self.distortion_weight:g} x distortion regression")
        if self.semantic_weight:
            parts.append(f"{self.semantic_weight:g} x semantic regression")
        formula = f"{self.scale:g} x " + (f"({' + '.join(parts)})" if parts[1:] else parts[0])
        if self.centre_deviation == math.inf:
            return formula
        return f"{formula}, patches weighted by a Gaussian of {self.centre_deviation:g} half sides"

    def metadata(self) -> dict[str, str]:
        """What `read_extended` reads, for the metadata of a weights file."""
        return {
            _SCALE: str(self.scale),
            _CENTRE: str(self.centre_deviation),
            _DISTORTION_WEIGHT: str(self.distortion_weight),
            _TARGETS: json.dumps(self.targets),
            _SEMANTIC_WEIGHT: str(self.semantic_weight),
            _SEMANTIC_REGRESSION: json.dumps(self.regression),
            _SEMANTIC_SHA256: self.semantic_sha256,
        }


def distortion_regression(mean: torch.Tensor, targets: Sequence[str]) -> float:
    """`structure + (sum of all levels) / 2`, as features that were trained on distortion targets tell them.

    Structure, how far a patch is from its undistorted self by FSIM, is not trained where light or colour were
    changed; the levels count these faults too. Of weights that were not trained so the number means nothing.

    Args:
        mean: features (F,), the mean over an image's patches.
        targets: names of the first features: structure, total, then the level of each kind of distortion.
    """
    structure, _, *levels = mean[: len(targets)].tolist()
    return structure + sum(levels) / 2


def semantic_regression(features: torch.Tensor, regression: Sequence[float]) -> float:
    """`sum_i slope_i f_i + intercept`: 0 for pristine images, 1 for distorted ones, by least squares.

    Args:
        features: semantic features of an image, of which the first ones count.
        regression: slopes of these, then the intercept.
    """
    *slopes, intercept = regression
    return sum(slope * value for slope, value in zip(slopes, features.tolist(), strict=False)) + intercept


def read_extended(metadata: Mapping[str, str], path: Path) -> ExtendedScore | None:
    """The extended score that a weights file asks for; None where its metadata does not speak of it.

    Raises:
        UserError: a number is missing or out of its range; the message names `path`, where the metadata is
            from, and the key.
    """
    if not any(key in metadata for key in _KEYS):
        return None
    scale = _number(metadata, path, _SCALE, 1.0, lambda value: value > 0, "above 0")
    distortion, semantic = (
        _number(metadata, path, key, 0.0, lambda value: value >= 0, "of 0 or more")
        for key in (_DISTORTION_WEIGHT, _SEMANTIC_WEIGHT)
    )
    # Less would leave all weight with one patch, which has no covariance.
    centre = _number(metadata, path, _CENTRE, math.inf, lambda value: value >= 0.1, "of 0.1 or more, or inf")
    regression = _list(metadata, path, _SEMANTIC_REGRESSION, ())
    length = MIDDLE_FEATURES + 1
    if (regression or semantic) and (
        len(regression) != length
        or not all(isinstance(one, int | float) and math.isfinite(one) for one in regression)
    ):
        raise UserError(f"{path}: '{_SEMANTIC_REGRESSION}' is not a list of {length} finite numbers.")
    sha256 = metadata.get(_SEMANTIC_SHA256, "")
    return ExtendedScore(scale, distortion, semantic, regression, centre, sha256, targets_of(metadata, path))


def targets_of(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """What the first features of weights were trained to say; files of before the names were kept: TARGETS.

    Raises:
        UserError: the metadata names something else.
    """
    targets = _list(metadata, path, _TARGETS, TARGETS)
    if targets[:2] != TARGETS[:2] or not all(isinstance(name, str) for name in targets):
        raise UserError(f"{path}: '{_TARGETS}' does not name structure, total and kinds of distortion.")
    return targets


def without_score(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a weights file but for what it asks of a score."""
    return {key: value for key, value in metadata.items() if key not in ExtendedScore().metadata()}


def _number(
    metadata: Mapping[str, str], path: Path, key: str, default: float, fits: Callable[[float], bool],
    words: str,
) -> float:  # fmt: skip
    try:
        value = float(metadata.get(key, default))
    except ValueError:
        value = math.nan
    if not fits(value) or (value == math.inf and default != math.inf):
        raise UserError(f"{path}: '{key}' is '{metadata[key]}', expected a finite number {words}.")
    return value


def _list(metadata: Mapping[str, str], path: Path, key: str, default: Sequence[Any]) -> tuple[Any, ...]:
    try:
        values = json.loads(metadata[key]) if key in metadata else default
    except ValueError:
        values = None
    if not isinstance(values, list | tuple):
        raise UserError(f"{path}: '{key}' is '{metadata[key]}', expected a list.")
    return tuple(values)
