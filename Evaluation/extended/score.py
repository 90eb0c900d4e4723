"""From a picture's patches to the number that Q_low is taken of (method.md part 4, Distance)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.distorted.targets import TARGETS
from models.semantic import MIDDLE_FEATURES
from models.weights.semantic import SemanticWeights, load_semantic
from utils.errors import UserError

_SCALE_KEY = "distance_scale"
_WEIGHT_KEY = "distortion_weight"
_CHANCE_WEIGHT_KEY = "chance_weight"
_CHANCE_KEY = "chance_regression"
_CONTENT_KEY = "content_sha256"
_CENTRE_KEY = "centre_deviation"
# Of scores that this project made before and no longer computes.
_FORMER_KEYS = ("number_weight", "number_regression")


@dataclass(frozen=True)
class LowLevelScore:
    """What a score takes from a picture: `low_level_quality` of `scale * (d + w * k + v * c)`.

    d is the distance; k is `visible_distortion` and w `distortion_weight`; c is
    `chance_of_distortion` by `chance_regression`, v `chance_weight`, and `content_sha256` tells the content
    weights that it was made for. The low-level encoder's patches weigh as `centre_weights` with
    `centre_deviation` says. The default is the paper's score.
    """

    scale: float = 1.0
    distortion_weight: float = 0.0
    chance_weight: float = 0.0
    chance_regression: tuple[float, ...] = ()
    centre_deviation: float = math.inf
    content_sha256: str = ""

    def total(self, d: float, mean: torch.Tensor, content: torch.Tensor | None = None) -> float:
        """`scale * (d + w * k + v * c)`, 0 where that is negative (k and c may be).

        Args:
            d: the distance, 0 or more.
            mean: features (F,), the mean over a picture's patches.
            content: `semantic_features` (304,) of the picture; needed where `chance_weight` is not 0.
        """
        total = d
        if self.distortion_weight:
            total += self.distortion_weight * visible_distortion(mean)
        if self.chance_weight:
            assert content is not None
            total += self.chance_weight * chance_of_distortion(content, self.chance_regression)
        return max(0.0, self.scale * total)

    def formula(self) -> str:
        """The number in words; empty for the paper's score."""
        if self == PAPER:
            return ""
        parts = ["distance"]
        if self.distortion_weight:
            parts.append(f"{self.distortion_weight:g} x distortion")
        if self.chance_weight:
            parts.append(f"{self.chance_weight:g} x chance of distortion")
        formula = f"{self.scale:g} x " + (f"({' + '.join(parts)})" if parts[1:] else parts[0])
        if self.centre_deviation == math.inf:
            return formula
        return f"{formula}, patches weighted by a Gaussian of {self.centre_deviation:g} half sides"

    def metadata(self) -> dict[str, str]:
        """What `score_of_weights` reads, for the metadata of a weights file."""
        return {
            _SCALE_KEY: str(self.scale),
            _WEIGHT_KEY: str(self.distortion_weight),
            _CHANCE_WEIGHT_KEY: str(self.chance_weight),
            _CHANCE_KEY: json.dumps(self.chance_regression),
            _CENTRE_KEY: str(self.centre_deviation),
            _CONTENT_KEY: self.content_sha256,
        }


PAPER = LowLevelScore()


def visible_distortion(mean: torch.Tensor) -> float:
    """`structure + (sum of all levels) / 2`, as taught features tell them.

    Structure, how far a patch is from its undistorted self by FSIM, is not taught where light or colour were
    changed; the levels count these faults too. Of weights that were not taught the number means nothing.

    Args:
        mean: features (F,), the mean over a picture's patches, in the order of `TARGETS`.
    """
    structure, _, *levels = mean[: len(TARGETS)].tolist()
    return structure + sum(levels) / 2


def chance_of_distortion(content: torch.Tensor, regression: Sequence[float]) -> float:
    """`sum_i slope_i content_i + intercept`: 0 for pristine pictures, 1 for distorted ones, by least squares.

    Args:
        content: `semantic_features` of a picture, of which the first ones count.
        regression: slopes of these, then the intercept.
    """
    *slopes, intercept = regression
    return sum(slope * value for slope, value in zip(slopes, content.tolist(), strict=False)) + intercept


def score_of_weights(metadata: Mapping[str, str], path: Path) -> LowLevelScore:
    """The score that a weights file asks for; the paper's where its metadata does not speak of it.

    Raises:
        UserError: the scale is not a finite number above 0, a weight not one of 0 or more, the regression
            not a list of finite numbers, the deviation not 0.1 or more, or the score one that is no longer
            computed; the message names `path`, where the metadata is from.
    """
    if _weight(metadata, _FORMER_KEYS[0], path):
        raise UserError(
            f"{path}: asks for a score with '{_FORMER_KEYS[0]}', which is no longer computed; make another "
            "with install_weights.py, or use --score paper."
        )
    scale = _number(metadata, _SCALE_KEY, PAPER.scale)
    if not 0 < scale < math.inf:
        raise UserError(
            f"{path}: '{_SCALE_KEY}' is '{metadata[_SCALE_KEY]}', expected a finite number above 0."
        )
    weight, chance_weight = (_weight(metadata, key, path) for key in (_WEIGHT_KEY, _CHANCE_WEIGHT_KEY))
    regression = _numbers(metadata.get(_CHANCE_KEY, "[]"))
    if regression is None or (len(regression) != MIDDLE_FEATURES + 1 and (regression or chance_weight)):
        raise UserError(
            f"{path}: '{_CHANCE_KEY}' is '{metadata.get(_CHANCE_KEY, '')}', expected a list of "
            f"{MIDDLE_FEATURES + 1} finite numbers."
        )
    deviation = _number(metadata, _CENTRE_KEY, PAPER.centre_deviation)
    # Less would leave all weight with one patch, which has no covariance.
    if not deviation >= 0.1:
        raise UserError(
            f"{path}: '{_CENTRE_KEY}' is '{metadata[_CENTRE_KEY]}', expected a number of 0.1 or more, or inf."
        )
    return LowLevelScore(scale, weight, chance_weight, regression, deviation, metadata.get(_CONTENT_KEY, ""))


def content_of_score(score: LowLevelScore, path: Path, device: torch.device) -> SemanticWeights | None:
    """The content encoder on `device` where the score of the weights at `path` looks at it, else None.

    Raises:
        UserError: its file cannot be used, or is not the one that the score was made for.
    """
    if not score.chance_weight:
        return None
    content = load_semantic(device=device)
    if content.sha256 != score.content_sha256:
        known = score.content_sha256[:12] or "unknown"
        raise UserError(
            f"{path}: its score was made for content weights sha256 {known}, those of {content.path} are "
            f"{content.sha256[:12]}; make another with install_weights.py, or use --score paper."
        )
    return content


def without_score(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a weights file but for what it asks of a score."""
    return {key: metadata[key] for key in metadata if key not in (*PAPER.metadata(), *_FORMER_KEYS)}


def _weight(metadata: Mapping[str, str], key: str, path: Path) -> float:
    """The weight under `key`, 0 where there is none."""
    weight = _number(metadata, key, 0.0)
    if not 0 <= weight < math.inf:
        raise UserError(f"{path}: '{key}' is '{metadata[key]}', expected a finite number of 0 or more.")
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
