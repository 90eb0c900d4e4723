"""The extended score of new weights, from pristine images alone (method.md part 4, Extended score).

Images are distorted on purpose, the weights measure the distorted versions, and the score's numbers follow
from what they measure. No human score has part in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS
from datasets.decoder import decode_pixels
from datasets.distorted.distortions import DISTORTIONS, quantised
from datasets.distorted.jpeg_augmentation import through_jpeg
from datasets.distorted.synthesis import crop, shrink_to, to_bytes, versions
from datasets.distorted.targets import TARGETS, levels_of
from Evaluation.distance import FeatureStatistics, distance_of_quality
from Evaluation.extended.score import (
    PARTS,
    ExtendedScore,
    inverse_softplus,
    low_level_terms,
    targets_of,
)
from Evaluation.grepq import GRepQ
from utils.errors import UserError

MOST_IMAGES = 240
# An image is distorted as a whole, its short side at most WHOLE pixels, and as a crop of CROP at its own
# scale; a large one as a crop at half its scale too.
WHOLE, CROP = 512, 384
# Versions of each by each preset, most of them through a JPEG file as the images that will be scored are.
PRESETS = tuple(dataclasses.replace(preset, versions=4) for preset in (CAMERA_SYNTHESIS, CHAINS_SYNTHESIS))
JPEG_SHARE = 0.75
# Beyond the worst that people upload, so that stronger is never better.
EXTREME_KINDS = (
    "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise", "jpeg", "resample",
    "over_exposure", "under_exposure",
)  # fmt: skip
EXTREMES, EXTREME_LEVELS = 2, (1.0, 1.4)
# Ridge penalties a version, of standardised features, and parts of the images that are left out in turn.
PENALTIES, FOLDS = (1.5, 5.0, 15.0, 50.0), 5
# How much the distance and the distortion regression may vary beside the semantic regression. With 1 each,
# real photographs are ordered worse; with 0, distortions of known strength.
LOW_LEVEL_SHARE = 0.25
# What lack of detail adds for each e-fold, in deviations of the semantic regression: enough for the heaviest
# blur to be below the heavy. It begins at a share of what nearly every pristine image has, so that hardly a
# photograph has any.
DETAIL_SHARE, LEAST_SHARE = 6.0, 0.75
# Q_low of the median reference and of the median version of a level from WORST_LEVEL on, so that nearly all
# of (0, 0.5) is in use.
QUALITY_OF_REFERENCE, QUALITY_OF_WORST, WORST_LEVEL = 0.35, 0.05, 0.85


@dataclass(frozen=True)
class Versions:
    """What is measured of N versions of images."""

    low_level: np.ndarray  # (N, 2): distance and distortion regression
    semantic: np.ndarray  # (N, 784)
    detail: np.ndarray  # (N,)
    levels: np.ndarray  # (N,): the highest of what was done to it; 0 of a reference
    images: np.ndarray  # (N,): number of the image that it is of


def make_score(paths: Sequence[Path], model: GRepQ, pristine: FeatureStatistics) -> ExtendedScore:
    """The extended score of a model's low-level weights.

    Args:
        paths: pristine images; beyond 240, so many evenly spaced in their order.
        model: with the low-level encoder; its own score and statistics are not used.
        pristine: statistics that the weights made.

    Raises:
        UserError: an image cannot be read, or the weights do not tell versions apart.
    """
    if len(paths) < 2:
        raise UserError("A score is made of two pristine images or more.")
    targets = trained_targets(model)
    measured = measure_versions(evenly_spaced(paths, MOST_IMAGES), model, pristine, targets or TARGETS)
    return calibrate(measured, model.encoders.semantic.sha256, targets)


def trained_targets(model: GRepQ) -> tuple[str, ...]:
    """What the first features of a model's low-level weights were trained to say; () where they were not.

    Raises:
        UserError: their metadata is not what training writes.
    """
    low = model.encoders.low
    return targets_of(low.metadata, low.path) if trained_on_targets(low.metadata) else ()


def trained_on_targets(metadata: Mapping[str, str]) -> bool:
    """Whether the configuration in a weights file's metadata says that it was trained on distortion targets.

    Raises:
        UserError: the configuration is not what training writes.
    """
    try:
        configuration = json.loads(metadata.get("configuration", "{}"))
    except (ValueError, RecursionError):
        configuration = None
    if not isinstance(configuration, dict):
        raise UserError("The 'configuration' in the weights' metadata is not a JSON object.")
    return configuration.get("objective") == "targets"


def calibrate(
    measured: Versions, semantic_sha256: str, targets: Sequence[str], share: float = LOW_LEVEL_SHARE
) -> ExtendedScore:
    """The score that follows from what was measured, its numbers rounded to 4 digits.

    c is fitted; `w = share std(c) / std(d)`, `v = share std(c) / std(k)`, 0 without `targets`; and scale and
    intercept give the median reference a Q_low of 0.35, the median version of the highest levels one of 0.05
    before lack of detail.

    Raises:
        UserError: the weights do not tell versions apart.
    """
    *slopes, intercept = fit_semantic_regression(measured)
    d, k = measured.low_level.T
    c = measured.semantic @ np.array(slopes) + intercept
    if not np.ptp(d) or not np.ptp(c) or (targets and not np.ptp(k)):
        raise UserError("The weights' features are the same whatever the distortion.")
    w = share * c.std() / d.std()
    v = share * c.std() / k.std() if targets else 0.0
    total = w * d + v * k + c
    reference = np.median(total[measured.levels == 0])
    worst = np.median(total[measured.levels >= WORST_LEVEL])
    if worst <= reference:
        raise UserError("The weights do not tell distorted images from pristine ones.")
    best_number, worst_number = (
        inverse_softplus(distance_of_quality(quality)) for quality in (QUALITY_OF_REFERENCE, QUALITY_OF_WORST)
    )
    scale = (worst_number - best_number) / (worst - reference)
    return ExtendedScore(
        scale=_rounded(scale),
        distance_weight=_rounded(w),
        distortion_weight=_rounded(v),
        detail_weight=_rounded(DETAIL_SHARE * c.std()),
        least_detail=_rounded(LEAST_SHARE * np.percentile(measured.detail[measured.levels == 0], 1)),
        regression=(*map(_rounded, slopes), _rounded(intercept - reference + best_number / scale)),
        semantic_sha256=semantic_sha256,
        targets=tuple(targets) or TARGETS,
    )


def fit_semantic_regression(measured: Versions, penalties: Sequence[float] = PENALTIES) -> tuple[float, ...]:
    """Ridge regression of "distorted" (1) or not (0) on semantic features: slopes, then the intercept.

    Least squares on two classes is Fisher's discriminant, which needs no probabilities. Of the penalties the
    largest wins whose area under the curve, on images that were left out, is within one standard error of the
    best: the stronger it is, the better distortions are told that are not among these.
    """
    area = np.array([left_out_areas(measured, penalty) for penalty in penalties])  # (penalties, folds)
    best = area[area.mean(1).argmax()]
    enough = best.mean() - best.std(ddof=1) / math.sqrt(len(best))
    penalty = max(one for one, own in zip(penalties, area, strict=True) if own.mean() >= enough)
    return _fit(measured, penalty, np.ones(len(measured.levels), bool))


def left_out_areas(measured: Versions, penalty: float) -> np.ndarray:
    """Area under the curve, reference or distorted, of each fifth of the images by a fit to the others."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    areas = []
    folds = GroupKFold(min(FOLDS, len(set(measured.images))))
    for own, left in folds.split(measured.semantic, groups=measured.images):
        *slopes, _ = _fit(measured, penalty, own)
        areas.append(roc_auc_score(measured.levels[left] > 0, measured.semantic[left] @ slopes))
    return np.array(areas)


def _fit(measured: Versions, penalty: float, own: np.ndarray) -> tuple[float, ...]:
    """The regression of the versions `own`, by a penalty for each of them."""
    from sklearn.linear_model import Ridge

    mean, deviation = measured.semantic.mean(0), measured.semantic.std(0)
    deviation[deviation == 0] = 1
    x = ((measured.semantic - mean) / deviation)[own]
    ridge = Ridge(alpha=penalty * len(x)).fit(x, (measured.levels > 0)[own].astype(float))
    slopes = ridge.coef_ / deviation
    return (*slopes.tolist(), float(ridge.intercept_ - mean @ slopes))


def measure_versions(
    paths: Sequence[Path], model: GRepQ, pristine: FeatureStatistics, targets: Sequence[str]
) -> Versions:
    """What the encoders see of all versions of the images.

    Raises:
        UserError: an image cannot be read or a version not be measured.
    """
    rows: list[tuple[object, ...]] = []
    regularisation = model.settings.regularisation
    for number, path in enumerate(tqdm(paths, desc="Calibration", unit="image", disable=None)):
        for version, level in _versions(path):
            seen = model.measure(version, PARTS)
            low_level = [*map(float, low_level_terms(seen, pristine, regularisation, targets))]
            rows.append((low_level, seen.part("semantic").numpy(), seen.part("detail").item(), level, number))
    return Versions(*map(np.array, zip(*rows, strict=True)))


def evenly_spaced(paths: Sequence[Path], most: int) -> list[Path]:
    """All paths, or `most` of them from the first to the last."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(place)] for place in np.linspace(0, len(paths) - 1, most)]


def _versions(path: Path) -> Iterator[tuple[torch.Tensor, float]]:
    """References and versions (3, H, W) in [0, 1] of an image, with the highest level of what was done."""
    # As in a synthesised set: the same noise wherever the image lies and whatever its company.
    seed = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest()
    rng = np.random.default_rng(list(seed))
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))  # it takes 64 bits
    for reference in _references(to_bytes(decode_pixels(path)), rng):
        for pixels, level in _distorted(reference, rng):
            version = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255
            yield through_jpeg(version[None], JPEG_SHARE, generator)[0], level


def _references(pixels: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The whole image and crops of it, (H, W, 3) uint8."""
    short = min(pixels.shape[:2])
    yield shrink_to(pixels, min(short, WHOLE))
    for scale in (1, 2):
        if scale == 1 or short >= scale * CROP:
            yield np.ascontiguousarray(crop(shrink_to(pixels, short // scale), CROP, rng))


def _distorted(reference: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, float]]:
    """The reference, its versions as cameras make them, and some beyond; each with its level."""
    yield reference, 0.0
    for preset in PRESETS:
        for stem, pixels in versions(reference, preset, rng):
            if levels := levels_of(stem):
                yield pixels, max(levels.values())
    image = reference.astype(np.float32) / np.float32(255)
    for kind in rng.permutation(EXTREME_KINDS)[:EXTREMES]:
        level = rng.uniform(*EXTREME_LEVELS)
        yield quantised(DISTORTIONS[kind](image, level, rng)), level


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
