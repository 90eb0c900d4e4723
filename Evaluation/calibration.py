"""The low-level score of new weights, from pristine photographs alone (method.md part 4, Distance).

Photographs are distorted on purpose, the weights measure the versions, and the score's two numbers follow
from what they measure. No human score has part in it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datasets.decoder import read_image
from datasets.distortions import apply
from Evaluation.distance import distance_of_quality
from Evaluation.low_level_score import LowLevelScore
from Evaluation.zeroshot import LowLevelBranch, distance_and_distortion, with_two_patches

KINDS = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
LEVELS = (0.1, 0.5, 0.9)
# Q_low of the median version at the highest level: nearly all of (0, 0.5] is then in use.
QUALITY_OF_WORST = 0.05
MOST_PHOTOGRAPHS = 40
# Side of the crop from the middle in pixels: 81 patches a version, and 40 photographs take minutes.
CROP = 512


class CalibrationError(ValueError):
    """Measurements that no score can be made from; the message says why."""


def trained_on_targets(metadata: Mapping[str, str]) -> bool:
    """Whether the configuration in a weights file's metadata says that its features were taught targets.

    Raises:
        CalibrationError: the configuration is not what training writes.
    """
    try:
        configuration = json.loads(metadata.get("configuration", "{}"))
    except ValueError:
        configuration = None
    if not isinstance(configuration, dict):
        raise CalibrationError("The 'configuration' in the weights' metadata is not a JSON object.")
    return configuration.get("objective") == "targets"


def calibrate(
    distances: np.ndarray, distortions: np.ndarray, levels: np.ndarray, taught: bool
) -> LowLevelScore:
    """The score, rounded to 3 digits, from measurements of distorted versions.

    The weight lets the distortion vary as much as the distance, `std(d) / std(k)`; it is 0 where features
    were not taught. The scale then gives the median version at the highest level a Q_low of 0.05.

    Args:
        distances: d of each version, (N,), 0 or more.
        distortions: k of each, (N,).
        levels: strength of each, (N,), in [0, 1].
        taught: whether the weights were trained to tell the distortion in their first features.

    Raises:
        CalibrationError: the measurements do not tell versions apart.
    """
    weight = 0.0
    if taught:
        if np.ptp(distortions) == 0:
            raise CalibrationError("The weights' first features are the same whatever the distortion.")
        weight = _three_digits(np.std(distances) / np.std(distortions))
    worst = levels == levels.max()
    median = float(np.median(distances[worst] + weight * distortions[worst]))
    if median <= 0:
        raise CalibrationError("The weights do not tell distorted photographs from pristine ones.")
    return LowLevelScore(_three_digits(distance_of_quality(QUALITY_OF_WORST) / median), weight)


def measure(
    photographs: Sequence[Path], branch: LowLevelBranch, most: int = MOST_PHOTOGRAPHS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances, distortions and levels, (N,) each, of every kind at every level of the photographs.

    Args:
        photographs: pristine ones; beyond `most`, so many evenly spaced in their order.
        branch: encoder, its pristine statistics and settings.
        most: photographs to measure.

    Raises:
        ImageReadError: a photograph cannot be read.
        ScoreError: a version cannot be measured.
    """
    rows = [
        (*distance_and_distortion(version, branch), level)
        for path in tqdm(evenly_spaced(photographs, most), desc="Calibration", unit="photo", disable=None)
        for version, level in _versions(path, branch)
    ]
    distances, distortions, levels = np.array(rows, dtype=np.float64).T
    return distances, distortions, levels


def evenly_spaced(paths: Sequence[Path], most: int) -> list[Path]:
    """All paths, or `most` of them from the first to the last."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(place)] for place in np.linspace(0, len(paths) - 1, most)]


def centre(picture: torch.Tensor, side: int) -> torch.Tensor:
    """The middle of a picture (3, H, W): `side` pixels, or all there are along an axis that is shorter."""
    height, width = (min(side, length) for length in picture.shape[-2:])
    top, left = (picture.shape[-2] - height) // 2, (picture.shape[-1] - width) // 2
    return picture[:, top : top + height, left : left + width]


def _versions(path: Path, branch: LowLevelBranch) -> Iterator[tuple[torch.Tensor, float]]:
    """A photograph's distorted versions (3, H, W) in [0, 1], as files would hold them, with their levels."""
    picture = np.ascontiguousarray(centre(read_image(path), CROP).permute(1, 2, 0).numpy())
    # As in a synthesised set: the same noise wherever the photograph lies and whatever its company.
    digest = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest()
    rng = np.random.default_rng(list(digest))
    dealt = list(itertools.product(KINDS, LEVELS))
    for (kind, level), own in zip(dealt, rng.spawn(len(dealt)), strict=True):
        pixels = np.rint(apply(kind, picture, level, own) * 255).astype(np.uint8)
        version = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        yield with_two_patches(version, branch.settings)[0], level


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
