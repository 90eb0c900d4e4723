"""The extended score: from what is measured of an image to the number that Q_low is taken of.

Beyond the paper: beside the distance it asks two regressions that were fitted on distorted images, without
human scores, and whether fine detail is lacking (method.md part 4, Extended score). A weights file asks for
it in its metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.distorted.targets import TARGETS
from Evaluation.distance import FeatureStatistics, distance
from Evaluation.extended.detail import lack_of_detail
from Evaluation.extended.tiles import shrunk, tile_statistics
from Evaluation.zeroshot import Measurement, Part
from models.semantic import SEMANTIC_FEATURES
from models.weights.semantic import SemanticWeights
from utils.errors import UserError

# In the metadata of a weights file: the score as one JSON object, and what scores of before were kept by.
KEY = "extended_score"
FORMER_KEYS = (
    "distance_scale", "centre_deviation", "distortion_weight", "chance_weight", "chance_regression",
    "content_sha256",
)  # fmt: skip
# What training wrote of the first features; files of before are of TARGETS.
TARGETS_KEY = "distortion_targets"
# How gently the number meets 0: without it all very good images would have the same Q_low, 0.5.
SOFTNESS = 50.0

# What of an image has to be measured.
PARTS: tuple[Part, ...] = ("tiles", "semantic", "detail")


@dataclass(frozen=True)
class ExtendedScore:
    """`softplus(scale * (w d + v k + c + u f))`, of which Q_low is taken in the place of the distance.

    d is the paper's distance, of tiles; k the `distortion_regression` of the same tiles; c the
    `semantic_regression`; f the `lack_of_detail`. w is `distance_weight`, v `distortion_weight`, u
    `detail_weight`; c was fitted for the semantic weights of `semantic_sha256`. `targets` name what the
    first low-level features were trained to say.
    """

    scale: float
    distance_weight: float
    distortion_weight: float
    detail_weight: float
    least_detail: float
    regression: tuple[float, ...]
    semantic_sha256: str
    targets: tuple[str, ...] = TARGETS

    def distance(
        self, image: Measurement, pristine: FeatureStatistics, regularisation: float
    ) -> torch.Tensor:
        """The number (), above 0, that Q_low is taken of.

        Raises:
            UserError: the distance cannot be computed.
        """
        return self.total(*self.terms(image, pristine, regularisation))

    def terms(
        self, image: Measurement, pristine: FeatureStatistics, regularisation: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Distance d, distortion regression k, semantic regression c and lack of detail f, () each.

        Raises:
            UserError: the distance cannot be computed.
        """
        d, k = low_level_terms(image, pristine, regularisation, self.targets)
        c = semantic_regression(image.part("semantic"), self.regression)
        return d, k, c, lack_of_detail(image.part("detail"), self.least_detail)

    def total(self, d: torch.Tensor, k: torch.Tensor, c: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        """The number of its terms, of one image or of many."""
        low_level = self.distance_weight * d + self.distortion_weight * k
        return softplus(self.scale * (low_level + c + self.detail_weight * f))

    def formula(self) -> str:
        """The number in words."""
        return (
            f"softplus of {self.scale:g} x ({self.distance_weight:g} x distance + "
            f"{self.distortion_weight:g} x distortion regression + semantic regression + "
            f"{self.detail_weight:g} x lack of detail), the middle of the image weighing most"
        )

    def metadata(self) -> dict[str, str]:
        """What `read_extended` reads, for the metadata of a weights file."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return {KEY: json.dumps(fields), TARGETS_KEY: json.dumps(self.targets)}


_NUMBERS = ("scale", "distance_weight", "distortion_weight", "detail_weight", "least_detail")
_FIELDS = (*_NUMBERS, "regression", "semantic_sha256")


def low_level_terms(
    image: Measurement, pristine: FeatureStatistics, regularisation: float, targets: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance d and distortion regression k of an image's tiles, () each.

    Raises:
        UserError: the distance cannot be computed.
    """
    measured, worth = tile_statistics(image.part("tiles"))
    d = distance(pristine, shrunk(measured, worth, pristine), regularisation)
    return d, distortion_regression(measured.mean, targets)


def distortion_regression(features: torch.Tensor, targets: Sequence[str]) -> torch.Tensor:
    """`structure + (sum of all levels) / 2`, as features that were trained on distortion targets tell them.

    Structure, how far a patch is from its undistorted self by FSIM, is not trained where light or colour were
    changed; the levels count these faults too. Of weights that were not trained so the number means nothing.

    Args:
        features: (F,) as the weighted mean over an image's tiles, or (..., F).
        targets: names of the first features: structure, total, then the level of each kind of distortion.
    """
    return features[..., 0] + features[..., 2 : len(targets)].sum(-1) / 2


def semantic_regression(features: torch.Tensor, regression: Sequence[float]) -> torch.Tensor:
    """`sum_i slope_i f_i + intercept`: the higher, the more distorted an image looks, by least squares.

    Args:
        features: semantic features (F,), float64.
        regression: F slopes, then the intercept.
    """
    *slopes, intercept = regression
    return features @ torch.tensor(slopes, dtype=torch.float64) + intercept


def softplus(value: torch.Tensor) -> torch.Tensor:
    """`s log(1 + exp(value / s))`, s = 50: above 0, and nearly `value` where that is well above s."""
    return value.clamp_min(0) + SOFTNESS * torch.log1p(torch.exp(-value.abs() / SOFTNESS))


def inverse_softplus(value: float) -> float:
    """The number whose `softplus` is `value`, above 0."""
    return SOFTNESS * math.log(math.expm1(value / SOFTNESS))


def read_extended(metadata: Mapping[str, str], path: Path) -> ExtendedScore | None:
    """The extended score that a weights file asks for; None where its metadata does not speak of it.

    Raises:
        UserError: it is of an older version, or a number is missing or out of its range; the message names
            `path`, where the metadata is from, and the field.
    """
    again = "make one with 'python -m tools.install_weights', or use --score paper."
    if KEY not in metadata:
        if not metadata.keys().isdisjoint(FORMER_KEYS):
            raise UserError(f"{path}: its extended score is of an older version; {again}")
        return None
    try:
        found = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or sorted(found) != sorted(_FIELDS):
        raise UserError(f"{path}: '{KEY}' is not a JSON object of {', '.join(_FIELDS)}; {again}")

    def check(name: str, fits: bool, words: str) -> None:
        if not fits:
            raise UserError(f"{path}: '{name}' in its '{KEY}' is not {words}; {again}")

    for name in _NUMBERS:
        check(name, _is_number(found[name]) and found[name] >= 0, "a finite number of 0 or more")
    check("scale", found["scale"] > 0, "above 0")
    values = found["regression"]
    numbers = isinstance(values, list) and len(values) == SEMANTIC_FEATURES + 1
    check("regression", numbers and all(map(_is_number, values)), f"{SEMANTIC_FEATURES + 1} finite numbers")
    check("semantic_sha256", isinstance(found["semantic_sha256"], str), "a text")
    return ExtendedScore(**{**found, "regression": tuple(values)}, targets=targets_of(metadata, path))


def check_semantic(score: ExtendedScore, path: Path, semantic: SemanticWeights) -> None:
    """Raise `UserError` where the score of the weights in `path` was made for other semantic weights."""
    if semantic.sha256 != score.semantic_sha256:
        known = score.semantic_sha256[:12] or "unknown"
        raise UserError(
            f"{path}: its score was made for semantic weights sha256 {known}, those of {semantic.path} are "
            f"{semantic.sha256[:12]}; make another with 'python -m tools.install_weights', or use "
            "--score paper."
        )


def targets_of(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """What the first features of weights were trained to say.

    Raises:
        UserError: the metadata names something else.
    """
    try:
        targets = json.loads(metadata[TARGETS_KEY]) if TARGETS_KEY in metadata else [*TARGETS]
    except (ValueError, RecursionError):
        targets = []
    named = isinstance(targets, list) and all(isinstance(name, str) for name in targets)
    if not named or targets[:2] != [*TARGETS[:2]]:
        raise UserError(f"{path}: '{TARGETS_KEY}' does not name structure, total and kinds of distortion.")
    return tuple(targets)


def without_score(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a weights file but for what it asks of a score, of this version or of former ones."""
    return {key: value for key, value in metadata.items() if key not in (KEY, *FORMER_KEYS)}


def _is_number(value: object) -> bool:
    # Beyond 1e300 it would overflow where it is used.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
