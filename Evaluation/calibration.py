"""The low-level score of new weights, from pristine photographs alone (method.md part 4, Distance).

Photographs are distorted on purpose, the weights measure the versions, and the score's numbers follow from
what they measure. No human score has part in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS, FewLabels
from datasets.decoder import read_image
from datasets.delivery import deliver
from datasets.distortions import apply
from datasets.synthesis import levels_of, versions
from datasets.taught_targets import TAUGHT
from Evaluation.distance import distance_of_quality
from Evaluation.low_level_score import LowLevelScore, number_of_distortions, visible_distortion
from Evaluation.patches import CENTRE_DEVIATION, patch_features, patch_grid
from Evaluation.ridge import fit_ridge
from Evaluation.zeroshot import LowLevelBranch, distance_and_mean, with_two_patches

KINDS = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
LEVELS = (0.1, 0.5, 0.9)
# Q_low of the median version at the highest level: nearly all of (0, 0.5] is then in use.
QUALITY_OF_WORST = 0.05
MOST_PHOTOGRAPHS = 40
# Side of the crop from the middle in pixels: 81 patches a version, and 40 photographs take minutes.
CROP = 512
# The versions that teach to count distortions, references with them, and most of them delivered as the
# pictures that will be scored are. Many photographs, because their contents disturb the count most; so the
# crops are smaller, and their patches do not overlap.
COUNTED = tuple(dataclasses.replace(preset, versions=4) for preset in (CAMERA_SYNTHESIS, CHAINS_SYNTHESIS))
COUNTED_PHOTOGRAPHS, COUNTED_CROP, DELIVERED = 240, 384, 0.75
# Spread of the number of distortions, times its weight, over that of the distance, over versions of one
# distortion each: the number should not part these, so this is what its errors may add.
NUMBER_SHARE = 0.125
# What all scores that are made here begin with, and what versions are measured with.
_CENTRED = LowLevelScore(centre_deviation=CENTRE_DEVIATION)


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
    distances: np.ndarray, means: np.ndarray, levels: np.ndarray, number_regression: tuple[float, ...]
) -> LowLevelScore:
    """The score, its scale and weights rounded to 3 digits, from versions of one distortion each.

    Visible distortion k may vary as much as the distance and the number n of distortions an eighth as much:
    their weights are `std(d) / std(k)` and `std(d) / (8 std(n))`, 0 where features were not taught. The scale
    then gives the median version at the highest level a Q_low of 0.05.

    Args:
        distances: d of each version, (N,), 0 or more.
        means: mean features of each, (N, F).
        levels: strength of each, (N,), in [0, 1].
        number_regression: what `fit_number_of_distortions` found; () where features were not taught.

    Raises:
        CalibrationError: the measurements do not tell versions apart.
    """
    score = _CENTRED
    if number_regression:
        k = [visible_distortion(mean) for mean in torch.from_numpy(means)]
        n = [number_of_distortions(mean, number_regression) for mean in torch.from_numpy(means)]
        if np.ptp(k) == 0 or np.ptp(n) == 0:
            raise CalibrationError("The weights' first features are the same whatever the distortion.")
        spread = np.std(distances)
        score = dataclasses.replace(
            _CENTRED,
            distortion_weight=_three_digits(spread / np.std(k)),
            number_weight=_three_digits(NUMBER_SHARE * spread / np.std(n)),
            number_regression=number_regression,
        )
    worst = np.flatnonzero(levels == levels.max())
    median = float(np.median([score.total(distances[i], torch.from_numpy(means[i])) for i in worst]))
    if median <= 0:
        raise CalibrationError("The weights do not tell distorted photographs from pristine ones.")
    scale = _three_digits(distance_of_quality(QUALITY_OF_WORST) / median)
    return dataclasses.replace(score, scale=scale)


def fit_number_of_distortions(
    photographs: Sequence[Path], branch: LowLevelBranch, most: int = COUNTED_PHOTOGRAPHS
) -> tuple[float, ...]:
    """Ridge regression of the number of distortions on a version's mean taught features: slopes, intercept.

    Arguments are those of `measure`.

    Raises:
        ImageReadError: a photograph cannot be read.
        ValueError: the weights' features are not finite.
    """
    chosen, size = evenly_spaced(photographs, most), branch.settings.patch_size
    means, numbers = [], []
    for path in tqdm(chosen, desc="Counting distortions", unit="photo", disable=None):
        for version, number in _counted_versions(path, branch):
            grid = patch_grid(version, size, size)
            features = patch_features(branch.encoder, grid, branch.settings.chunk, branch.precision)
            means.append(features.mean(0)[: len(TAUGHT)].numpy())
            numbers.append(number)
    ridge = fit_ridge(np.stack(means), np.array(numbers), FewLabels.alphas, standardise=True)
    return tuple(_three_digits(value) for value in (*ridge.weights, ridge.intercept))


def measure(
    photographs: Sequence[Path], branch: LowLevelBranch, most: int = MOST_PHOTOGRAPHS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (N,), mean features (N, F) and levels (N,) of every kind at every level of the photographs.

    Args:
        photographs: pristine ones; beyond `most`, so many evenly spaced in their order.
        branch: encoder, its pristine statistics and settings; its score is not used.
        most: photographs to measure.

    Raises:
        ImageReadError: a photograph cannot be read.
        ScoreError: a version cannot be measured.
    """
    branch = dataclasses.replace(branch, score=_CENTRED)
    rows = [
        (*distance_and_mean(version, branch), level)
        for path in tqdm(evenly_spaced(photographs, most), desc="Calibration", unit="photo", disable=None)
        for version, level in _versions(path, branch)
    ]
    distances, means, levels = zip(*rows, strict=True)
    return np.array(distances), torch.stack(means).numpy(), np.array(levels)


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
    rng = np.random.default_rng(_seed(path))
    dealt = list(itertools.product(KINDS, LEVELS))
    for (kind, level), own in zip(dealt, rng.spawn(len(dealt)), strict=True):
        pixels = np.rint(apply(kind, picture, level, own) * 255).astype(np.uint8)
        version = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        yield with_two_patches(version, branch.settings)[0], level


def _counted_versions(path: Path, branch: LowLevelBranch) -> Iterator[tuple[torch.Tensor, int]]:
    """A photograph and versions (3, H, W) in [0, 1] as cameras make them, with the number of distortions."""
    picture = centre(read_image(path), COUNTED_CROP).permute(1, 2, 0)
    reference = np.rint(picture.numpy() * 255).astype(np.uint8)
    rng = np.random.default_rng(_seed(path))
    generator = torch.Generator().manual_seed(int.from_bytes(_seed(path)[:7], "big"))  # it takes 64 bits
    for preset in COUNTED:
        for stem, pixels in versions(reference, preset, rng):
            version = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
            version = deliver(version[None], DELIVERED, generator)[0]
            yield with_two_patches(version, branch.settings)[0], len(levels_of(stem))


def _seed(path: Path) -> list[int]:
    """As in a synthesised set: the same noise wherever the photograph lies and whatever its company."""
    return list(hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest())


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
