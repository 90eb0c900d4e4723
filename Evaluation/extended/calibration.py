"""The extended score of new weights, from pristine images alone (method.md part 4, Extended score).

Images are distorted on purpose, the weights measure the distorted versions, and the score's numbers follow
from what they measure. No human score has part in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS, FewLabels
from datasets.decoder import read_image
from datasets.distorted.distortions import apply
from datasets.distorted.jpeg_augmentation import through_jpeg
from datasets.distorted.synthesis import versions
from datasets.distorted.targets import levels_of
from Evaluation.distance import FeatureStatistics, distance_of_quality
from Evaluation.extended.centre import CENTRE_DEVIATION
from Evaluation.extended.score import ExtendedScore, targets_of
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import Part
from models.semantic import MIDDLE_FEATURES
from utils.errors import UserError

KINDS = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
LEVELS = (0.1, 0.5, 0.9)
# Q_low of the median version at the highest level: nearly all of (0, 0.5] is then in use.
QUALITY_OF_WORST = 0.05
MOST_IMAGES = 40
# Side of the crop from the middle in pixels: 81 patches a version, and 40 images take minutes.
CROP = 512
# Versions that the semantic regression is fitted on, references with them, most of them through a JPEG file
# as the images that will be scored are. Many images, because what they show disturbs most; so the crops are
# smaller.
REGRESSION_PRESETS = tuple(
    dataclasses.replace(preset, versions=4) for preset in (CAMERA_SYNTHESIS, CHAINS_SYNTHESIS)
)
REGRESSION_IMAGES, REGRESSION_CROP, REGRESSION_JPEG_SHARE = 240, 384, 0.75


# What the semantic regression looks at.
SEMANTIC: tuple[Part, ...] = ("semantic",)


@dataclass(frozen=True)
class Versions:
    """Of N distorted versions: the terms (N, 3) of `ExtendedScore.terms`, and their levels (N,) in [0, 1]."""

    terms: np.ndarray
    levels: np.ndarray


def make_score(
    paths: Sequence[Path], model: GRepQ, pristine: FeatureStatistics, most: int = MOST_IMAGES,
    most_of_regression: int = REGRESSION_IMAGES,
) -> ExtendedScore:  # fmt: skip
    """The extended score of a model's low-level weights.

    Args:
        paths: pristine images; beyond the numbers that follow, so many evenly spaced in their order.
        model: with the low-level encoder; its own score and statistics are not used.
        pristine: statistics that the weights made.
        most: images to distort and measure.
        most_of_regression: images to distort and fit the semantic regression on.

    Raises:
        UserError: an image cannot be read, or the weights do not tell versions apart.
    """
    low = model.encoders.low
    score = ExtendedScore(
        distortion_weight=float(trained_on_targets(low.metadata)),
        semantic_weight=1.0,
        regression=fit_semantic_regression(evenly_spaced(paths, most_of_regression), model),
        centre_deviation=CENTRE_DEVIATION,
        semantic_sha256=model.encoders.semantic.sha256,
        targets=targets_of(low.metadata, low.path),
    )
    return calibrate(score, measure_versions(evenly_spaced(paths, most), model, pristine, score))


def trained_on_targets(metadata: Mapping[str, str]) -> bool:
    """Whether the configuration in a weights file's metadata says that it was trained on distortion targets.

    Raises:
        UserError: the configuration is not what training writes.
    """
    try:
        configuration = json.loads(metadata.get("configuration", "{}"))
    except ValueError:
        configuration = None
    if not isinstance(configuration, dict):
        raise UserError("The 'configuration' in the weights' metadata is not a JSON object.")
    return configuration.get("objective") == "targets"


def calibrate(score: ExtendedScore, measured: Versions) -> ExtendedScore:
    """`score` with scale and weights, rounded to 3 digits, that follow from versions of one distortion each.

    Distortion regression k and semantic regression c may vary as much as the distance d: their weights are
    `std(d) / std(k)`, 0 where it was 0, and `std(d) / std(c)`. The scale then gives the median version at the
    highest level a Q_low of 0.05.

    Raises:
        UserError: the weights do not tell versions apart.
    """
    d, k, c = measured.terms.T
    weighted = dataclasses.replace(
        score,
        distortion_weight=_weight(d, k) if score.distortion_weight else 0.0,
        semantic_weight=_weight(d, c),
    )
    worst = measured.terms[measured.levels == measured.levels.max()]
    median = float(np.median([weighted.total(*terms) for terms in worst.tolist()]))
    if median <= 0:
        raise UserError("The weights do not tell distorted images from pristine ones.")
    return dataclasses.replace(weighted, scale=_three_digits(distance_of_quality(QUALITY_OF_WORST) / median))


def fit_semantic_regression(paths: Sequence[Path], model: GRepQ) -> tuple[float, ...]:
    """Ridge regression of "distorted" (1) or not (0) on the semantic encoder's middle features.

    Least squares on two classes is Fisher's discriminant, which needs no probabilities.

    Returns:
        Slopes, then the intercept.

    Raises:
        UserError: an image cannot be read or a version not be measured.
    """
    features, distorted = [], []
    for path in tqdm(paths, desc="Semantic regression", unit="image", disable=None):
        for version, is_distorted in _as_cameras_make_them(path):
            seen = model.measure(version, SEMANTIC).part("semantic")
            features.append(seen[:MIDDLE_FEATURES].numpy())
            distorted.append(float(is_distorted))
    scaler = StandardScaler()
    ridge = RidgeCV(FewLabels.alphas).fit(scaler.fit_transform(np.stack(features)), distorted)
    slopes = ridge.coef_ / scaler.scale_
    return tuple(_three_digits(value) for value in (*slopes, ridge.intercept_ - scaler.mean_ @ slopes))


def measure_versions(
    paths: Sequence[Path], model: GRepQ, pristine: FeatureStatistics, score: ExtendedScore
) -> Versions:
    """The terms of `score` for every kind at every level of the images.

    Raises:
        UserError: an image cannot be read or a version not be measured.
    """
    regularisation = model.settings.regularisation
    terms, levels = zip(
        *(
            (score.terms(model.measure(version, score.parts), pristine, regularisation), level)
            for path in tqdm(paths, desc="Calibration", unit="image", disable=None)
            for version, level in _versions(path)
        ),
        strict=True,
    )
    return Versions(np.array(terms), np.array(levels))


def evenly_spaced(paths: Sequence[Path], most: int) -> list[Path]:
    """All paths, or `most` of them from the first to the last."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(place)] for place in np.linspace(0, len(paths) - 1, most)]


def centre(image: torch.Tensor, side: int) -> torch.Tensor:
    """The middle of an image (3, H, W): `side` pixels, or all there are along an axis that is shorter."""
    height, width = (min(side, length) for length in image.shape[-2:])
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[:, top : top + height, left : left + width]


def _versions(path: Path) -> Iterator[tuple[torch.Tensor, float]]:
    """An image's distorted versions (3, H, W) in [0, 1], as files would hold them, with their levels."""
    image = np.ascontiguousarray(centre(read_image(path), CROP).permute(1, 2, 0).numpy())
    rng = np.random.default_rng(_seed(path))
    dealt = list(itertools.product(KINDS, LEVELS))
    for (kind, level), own in zip(dealt, rng.spawn(len(dealt)), strict=True):
        pixels = np.rint(apply(kind, image, level, own) * 255).astype(np.uint8)
        yield torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, level


def _as_cameras_make_them(path: Path) -> Iterator[tuple[torch.Tensor, bool]]:
    """An image and versions (3, H, W) in [0, 1] as cameras make them, and whether each is distorted."""
    image = centre(read_image(path), REGRESSION_CROP).permute(1, 2, 0)
    reference = np.rint(image.numpy() * 255).astype(np.uint8)
    rng = np.random.default_rng(_seed(path))
    generator = torch.Generator().manual_seed(int.from_bytes(_seed(path)[:7], "big"))  # it takes 64 bits
    for preset in REGRESSION_PRESETS:
        for stem, pixels in versions(reference, preset, rng):
            version = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
            yield through_jpeg(version[None], REGRESSION_JPEG_SHARE, generator)[0], bool(levels_of(stem))


def _seed(path: Path) -> list[int]:
    """As in a synthesised set: the same noise wherever the image lies and whatever its company."""
    return list(hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest())


def _weight(distances: np.ndarray, values: np.ndarray) -> float:
    """With which values spread as the distances do."""
    if np.ptp(values) == 0:
        raise UserError("The weights' features are the same whatever the distortion.")
    return _three_digits(np.std(distances) / np.std(values))


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
