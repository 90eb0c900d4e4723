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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS, FewLabels, Settings
from datasets.decoder import read_image
from datasets.distorted.distortions import apply
from datasets.distorted.jpeg_augmentation import deliver
from datasets.distorted.synthesis import levels_of, versions
from Evaluation.distance import distance_of_quality
from Evaluation.extended.score import LowLevelScore, chance_of_distortion, visible_distortion
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.features import with_two_patches
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.patches import CENTRE_DEVIATION
from Evaluation.zeroshot import LowLevelBranch, distance_and_mean
from models.semantic import MIDDLE_FEATURES, SemanticEncoder
from utils.errors import UserError

KINDS = ("gaussian_blur", "white_noise", "jpeg", "jpeg2000")
LEVELS = (0.1, 0.5, 0.9)
# Q_low of the median version at the highest level: nearly all of (0, 0.5] is then in use.
QUALITY_OF_WORST = 0.05
MOST_PHOTOGRAPHS = 40
# Side of the crop from the middle in pixels: 81 patches a version, and 40 photographs take minutes.
CROP = 512
# The versions that teach what distorted pictures look like, references with them, and most of them delivered
# as the pictures that will be scored are. Many photographs, because what they show disturbs most; so the
# crops are smaller.
DISTORTED_BY = tuple(
    dataclasses.replace(preset, versions=4) for preset in (CAMERA_SYNTHESIS, CHAINS_SYNTHESIS)
)
TAUGHT_PHOTOGRAPHS, TAUGHT_CROP, DELIVERED = 240, 384, 0.75
# What all scores that are made here begin with, and what versions are measured with.
_CENTRED = LowLevelScore(centre_deviation=CENTRE_DEVIATION)


@dataclass(frozen=True)
class Measurements:
    """Of N distorted versions: distances (N,), 0 or more; mean features (N, F); content features (N, 304);
    and levels (N,) in [0, 1].
    """

    distances: np.ndarray
    means: np.ndarray
    contents: np.ndarray
    levels: np.ndarray


def trained_on_targets(metadata: Mapping[str, str]) -> bool:
    """Whether the configuration in a weights file's metadata says that its features were taught targets.

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


def calibrate(
    measured: Measurements, chance_regression: tuple[float, ...], content_sha256: str, taught: bool
) -> LowLevelScore:
    """The score, its scale and weights rounded to 3 digits, from versions of one distortion each.

    Visible distortion k and the chance c of distortion may vary as much as the distance d: their weights are
    `std(d) / std(k)`, 0 where features were not taught, and `std(d) / std(c)`. The scale then gives the
    median version at the highest level a Q_low of 0.05.

    Args:
        measured: of the versions.
        chance_regression: what `fit_chance_of_distortion` found.
        content_sha256: of the content weights that it was found with.
        taught: whether the low-level features were taught targets.

    Raises:
        UserError: the measurements do not tell versions apart.
    """
    d, means, contents = (
        measured.distances,
        torch.from_numpy(measured.means),
        torch.from_numpy(measured.contents),
    )
    score = dataclasses.replace(
        _CENTRED,
        distortion_weight=_weight(d, [visible_distortion(mean) for mean in means]) if taught else 0.0,
        chance_weight=_weight(d, [chance_of_distortion(seen, chance_regression) for seen in contents]),
        chance_regression=chance_regression,
        content_sha256=content_sha256,
    )
    worst = np.flatnonzero(measured.levels == measured.levels.max())
    median = float(np.median([score.total(d[i], means[i], contents[i]) for i in worst]))
    if median <= 0:
        raise UserError("The weights do not tell distorted photographs from pristine ones.")
    scale = _three_digits(distance_of_quality(QUALITY_OF_WORST) / median)
    return dataclasses.replace(score, scale=scale)


def fit_chance_of_distortion(
    photographs: Sequence[Path], content: SemanticEncoder, settings: Settings, most: int = TAUGHT_PHOTOGRAPHS
) -> tuple[float, ...]:
    """Ridge regression of "distorted" (1) or not (0) on the content encoder's middle features.

    Least squares on two classes is Fisher's discriminant, which needs no probabilities.

    Args:
        photographs: pristine ones; beyond `most`, so many evenly spaced in their order.
        content: in evaluation mode.
        settings: of the score.
        most: photographs to distort.

    Returns:
        Slopes, then the intercept.

    Raises:
        UserError: a photograph cannot be read.
        UserError: a version cannot be measured.
    """
    chosen = evenly_spaced(photographs, most)
    seen, distorted = [], []
    for path in tqdm(chosen, desc="Signs of distortion", unit="photo", disable=None):
        for version, is_distorted in _as_cameras_make_them(path):
            seen.append(semantic_features(version, content, settings)[0][:MIDDLE_FEATURES].numpy())
            distorted.append(float(is_distorted))
    ridge = fit_ridge(np.stack(seen), np.array(distorted), FewLabels.alphas, standardise=True)
    return tuple(_three_digits(value) for value in (*ridge.weights, ridge.intercept))


def measure(
    photographs: Sequence[Path], branch: LowLevelBranch, most: int = MOST_PHOTOGRAPHS
) -> Measurements:
    """What a score is made of, for every kind at every level of the photographs.

    Args:
        photographs: pristine ones; beyond `most`, so many evenly spaced in their order.
        branch: both encoders, the pristine statistics and settings; its score is not used.
        most: photographs to measure.

    Raises:
        UserError: a photograph cannot be read.
        UserError: a version cannot be measured.
    """
    branch = dataclasses.replace(branch, score=_CENTRED)
    assert branch.content is not None
    rows = [
        (
            *distance_and_mean(version, branch),
            semantic_features(version, branch.content, branch.settings)[0],
            level,
        )
        for path in tqdm(evenly_spaced(photographs, most), desc="Calibration", unit="photo", disable=None)
        for version, level in _versions(path, branch)
    ]
    distances, means, contents, levels = zip(*rows, strict=True)
    return Measurements(
        np.array(distances), torch.stack(means).numpy(), torch.stack(contents).numpy(), np.array(levels)
    )


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


def _as_cameras_make_them(path: Path) -> Iterator[tuple[torch.Tensor, bool]]:
    """A photograph and versions (3, H, W) in [0, 1] as cameras make them, and whether each is distorted."""
    picture = centre(read_image(path), TAUGHT_CROP).permute(1, 2, 0)
    reference = np.rint(picture.numpy() * 255).astype(np.uint8)
    rng = np.random.default_rng(_seed(path))
    generator = torch.Generator().manual_seed(int.from_bytes(_seed(path)[:7], "big"))  # it takes 64 bits
    for preset in DISTORTED_BY:
        for stem, pixels in versions(reference, preset, rng):
            version = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
            yield deliver(version[None], DELIVERED, generator)[0], bool(levels_of(stem))


def _seed(path: Path) -> list[int]:
    """As in a synthesised set: the same noise wherever the photograph lies and whatever its company."""
    return list(hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest())


def _weight(distances: np.ndarray, values: Sequence[float]) -> float:
    """With which values spread as the distances do."""
    if np.ptp(values) == 0:
        raise UserError("The weights' features are the same whatever the distortion.")
    return _three_digits(np.std(distances) / np.std(values))


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
