"""Distortion targets: what the first low-level features are trained to say of a distorted version.

    structure   2 sqrt(1 - FSIM(version, reference)), unknown (NaN) where light or colour were changed:
                FSIM falls with them, though the image stays as sharp and clean as it was
    total       2 sqrt(1 - FSIM(version, reference)), whatever was changed
    one for each kind of distortion   0 without it, else .2 + .8 level

The root spreads out FSIM near 1, where most versions lie; .2 parts the weakest level from none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets.version_folders import VersionFolder
from utils.errors import UserError

# Distortions of light and colour.
PHOTOMETRIC = frozenset(
    ("low_contrast", "high_contrast", "over_exposure", "under_exposure", "haze", "colour_cast")
)
# What the first features of the encoder are trained to say, in this order, whatever else DISTORTIONS learns
# to do: weights carry these names.
TARGETS = (
    "structure", "total", "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise", "jpeg",
    "jpeg2000", "resample", "low_contrast", "high_contrast", "over_exposure", "under_exposure", "haze",
    "colour_cast", "denoise", "sharpen",
)  # fmt: skip


def version_levels(folder: VersionFolder) -> list[dict[str, float]]:
    """Of each version of a folder in order: name of distortion -> level in [0, 1].

    Raises:
        UserError: a file name that does not tell them.
    """
    return [_levels(file) for file in folder.files]


def distortion_targets(levels: Sequence[Mapping[str, float]], similarity: np.ndarray) -> np.ndarray:
    """Targets (D, len(TARGETS)) float32 of D versions, NaN where unknown.

    Args:
        levels: name of distortion -> level, of each version.
        similarity: FSIM of each version and the reference in [0, 1], (D,).
    """
    targets = np.zeros((len(levels), len(TARGETS)), np.float32)
    total = 2 * np.sqrt(np.clip(1 - similarity, 0, 1))
    for row, own, distance in zip(targets, levels, total, strict=True):
        row[0] = np.nan if PHOTOMETRIC.intersection(own) else distance
        row[1] = distance
        for kind, level in own.items():
            row[TARGETS.index(kind)] = 0.2 + 0.8 * level
    return targets


def levels_of(stem: str) -> dict[str, float]:
    """Name of distortion -> level in [0, 1] of a version whose file has this stem; {} for a reference.

    Raises:
        ValueError: a name that `synthesis.versions` does not write, or of a kind that is not in `TARGETS`.
    """
    name = stem.partition("_")[2]
    if name == "REF":
        return {}
    levels: dict[str, float] = {}
    for part in name.split("+"):
        kind, _, level = part.rpartition("_")
        if kind not in TARGETS[2:] or not 0 <= float(level) <= 1:
            raise ValueError(stem)
        levels[kind] = float(level)
    return levels


def _levels(file: Path) -> dict[str, float]:
    try:
        return levels_of(file.stem)
    except ValueError:
        raise UserError(
            f"{file}: its name does not tell kinds and levels of distortions that are trained on, which "
            "objective=targets needs; make the set anew with 'python -m tools.synthesize_distortions'."
        ) from None
