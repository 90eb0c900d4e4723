"""From a picture's patches to the number that Q_low is taken of (method.md part 4, Distance)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.taught_targets import TAUGHT
from models.weight_files import WeightsError

_SCALE_KEY = "distance_scale"
_WEIGHT_KEY = "distortion_weight"
_NUMBER_WEIGHT_KEY = "number_weight"
_NUMBER_KEY = "number_regression"
_CENTRE_KEY = "centre_deviation"


@dataclass(frozen=True)
class LowLevelScore:
    """What a score takes from a picture: `low_level_quality` of `scale * (d + w * k + v * n)`.

    d is the distance; k is `visible_distortion` and w `distortion_weight`; n is
    `number_of_distortions` by `number_regression`, and v `number_weight`. The patches that they are taken of
    weigh as `centre_weights` with `centre_deviation` says. The default is the paper's score.
    """

    scale: float = 1.0
    distortion_weight: float = 0.0
    number_weight: float = 0.0
    number_regression: tuple[float, ...] = ()
    centre_deviation: float = math.inf

    def total(self, d: float, mean: torch.Tensor) -> float:
        """`scale * (d + w * k + v * n)`, 0 where that is negative (k and n may be).

        Args:
            d: the distance, 0 or more.
            mean: features (F,), the mean over a picture's patches.
        """
        total = d
        if self.distortion_weight:
            total += self.distortion_weight * visible_distortion(mean)
        if self.number_weight:
            total += self.number_weight * number_of_distortions(mean, self.number_regression)
        return max(0.0, self.scale * total)

    def formula(self) -> str:
        """The number in words; empty for the paper's score."""
        if self == PAPER:
            return ""
        parts = ["distance"]
        if self.distortion_weight:
            parts.append(f"{self.distortion_weight:g} x distortion")
        if self.number_weight:
            parts.append(f"{self.number_weight:g} x number of distortions")
        formula = f"{self.scale:g} x " + (f"({' + '.join(parts)})" if parts[1:] else parts[0])
        if self.centre_deviation == math.inf:
            return formula
        return f"{formula}, patches weighted by a Gaussian of {self.centre_deviation:g} half sides"

    def metadata(self) -> dict[str, str]:
        """What `score_of_weights` reads, for the metadata of a weights file."""
        return {
            _SCALE_KEY: str(self.scale),
            _WEIGHT_KEY: str(self.distortion_weight),
            _NUMBER_WEIGHT_KEY: str(self.number_weight),
            _NUMBER_KEY: json.dumps(self.number_regression),
            _CENTRE_KEY: str(self.centre_deviation),
        }


PAPER = LowLevelScore()


def visible_distortion(mean: torch.Tensor) -> float:
    """`structure + (sum of all levels) / 2`, as taught features tell them.

    Structure, how far a patch is from its undistorted self by FSIM, is not taught where light or colour were
    changed; the levels count these faults too. Of weights that were not taught the number means nothing.

    Args:
        mean: features (F,), the mean over a picture's patches, in the order of `TAUGHT`.
    """
    structure, _, *levels = mean[: len(TAUGHT)].tolist()
    return structure + sum(levels) / 2


def number_of_distortions(mean: torch.Tensor, regression: Sequence[float]) -> float:
    """`sum_i slope_i mean_i + intercept` over the taught features.

    Args:
        mean: features (F,), the mean over a picture's patches, in the order of `TAUGHT`.
        regression: slopes of the first features, then the intercept.
    """
    *slopes, intercept = regression
    return sum(slope * value for slope, value in zip(slopes, mean.tolist(), strict=False)) + intercept


def score_of_weights(metadata: Mapping[str, str], path: Path) -> LowLevelScore:
    """The score that a weights file asks for; the paper's where its metadata does not speak of it.

    Raises:
        WeightsError: the scale is not a finite number above 0, a weight not one of 0 or more, the regression
            not a list of finite numbers, or the deviation not 0.1 or more; the message names `path`, where
            the metadata is from.
    """
    scale = _number(metadata, _SCALE_KEY, PAPER.scale)
    if not 0 < scale < math.inf:
        raise WeightsError(
            f"{path}: '{_SCALE_KEY}' is '{metadata[_SCALE_KEY]}', expected a finite number above 0."
        )
    weight, number_weight = (_weight(metadata, key, path) for key in (_WEIGHT_KEY, _NUMBER_WEIGHT_KEY))
    regression = _numbers(metadata.get(_NUMBER_KEY, "[]"))
    if regression is None or (len(regression) != len(TAUGHT) + 1 and (regression or number_weight)):
        raise WeightsError(
            f"{path}: '{_NUMBER_KEY}' is '{metadata.get(_NUMBER_KEY, '')}', expected a list of "
            f"{len(TAUGHT) + 1} finite numbers."
        )
    deviation = _number(metadata, _CENTRE_KEY, PAPER.centre_deviation)
    # Less would leave all weight with one patch, which has no covariance.
    if not deviation >= 0.1:
        raise WeightsError(
            f"{path}: '{_CENTRE_KEY}' is '{metadata[_CENTRE_KEY]}', expected a number of 0.1 or more, or inf."
        )
    return LowLevelScore(scale, weight, number_weight, regression, deviation)


def _weight(metadata: Mapping[str, str], key: str, path: Path) -> float:
    """The weight under `key`, 0 where there is none."""
    weight = _number(metadata, key, 0.0)
    if not 0 <= weight < math.inf:
        raise WeightsError(f"{path}: '{key}' is '{metadata[key]}', expected a finite number of 0 or more.")
    return weight


def _numbers(text: str) -> tuple[float, ...] | None:
    """The finite numbers of a JSON list; None where it is none."""
    try:
        values = json.loads(text)
        numbers = tuple(float(value) for value in values)
    except (ValueError, TypeError, OverflowError):
        return None
    return numbers if isinstance(values, list) and all(map(math.isfinite, numbers)) else None


def _number(metadata: Mapping[str, str], key: str, default: float) -> float:
    """The number under `key`; not a number (NaN) where it is none."""
    try:
        return float(metadata.get(key, default))
    except ValueError:
        return math.nan
