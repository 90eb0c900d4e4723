"""From a picture's patches to the number that Q_low is taken of (method.md part 4, Distance)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.taught_targets import TAUGHT
from models.weight_files import WeightsError

_SCALE_KEY = "distance_scale"
_WEIGHT_KEY = "distortion_weight"


@dataclass(frozen=True)
class LowLevelScore:
    """What a score takes from a picture: `q_low = low_level_quality(scale * (d + distortion_weight * k))`.

    d is the paper's distance and k `visible_distortion`. The default is the paper's score.
    """

    scale: float = 1.0
    distortion_weight: float = 0.0

    def total(self, d: float, k: float) -> float:
        """`scale * (d + distortion_weight * k)`, 0 where that is negative (k may be)."""
        return max(0.0, self.scale * (d + self.distortion_weight * k))

    def formula(self) -> str:
        """The number in words; empty for the paper's score."""
        if self == PAPER:
            return ""
        if self.distortion_weight == 0:
            return f"{self.scale:g} x distance"
        return f"{self.scale:g} x (distance + {self.distortion_weight:g} x distortion)"

    def metadata(self) -> dict[str, str]:
        """What `score_of_weights` reads, for the metadata of a weights file."""
        return {_SCALE_KEY: str(self.scale), _WEIGHT_KEY: str(self.distortion_weight)}


PAPER = LowLevelScore()


def visible_distortion(features: torch.Tensor) -> float:
    """Mean over a picture's patches of `structure + (sum of all levels) / 2`, as taught features tell them.

    Structure, how far a patch is from its undistorted self by FSIM, is not taught where light or colour were
    changed; the levels count these faults too. Of weights that were not taught the number means nothing.

    Args:
        features: (N, F) of a picture's patches, N of 1 or more, finite, in the order of `TAUGHT`.
    """
    structure, _, *levels = features.mean(0)[: len(TAUGHT)].tolist()
    return structure + sum(levels) / 2


def score_of_weights(metadata: Mapping[str, str], path: Path) -> LowLevelScore:
    """The score that a weights file asks for; the paper's where its metadata does not speak of it.

    Raises:
        WeightsError: the scale is not a finite number above 0, or the weight not one of 0 or more;
            the message names `path`, where the metadata is from.
    """
    scale = _number(metadata, _SCALE_KEY, PAPER.scale)
    if not 0 < scale < math.inf:
        raise WeightsError(
            f"{path}: '{_SCALE_KEY}' is '{metadata[_SCALE_KEY]}', expected a finite number above 0."
        )
    weight = _number(metadata, _WEIGHT_KEY, PAPER.distortion_weight)
    if not 0 <= weight < math.inf:
        raise WeightsError(
            f"{path}: '{_WEIGHT_KEY}' is '{metadata[_WEIGHT_KEY]}', expected a finite number of 0 or more."
        )
    return LowLevelScore(scale, weight)


def _number(metadata: Mapping[str, str], key: str, default: float) -> float:
    """The number under `key`; not a number (NaN) where it is none."""
    try:
        return float(metadata.get(key, default))
    except ValueError:
        return math.nan
