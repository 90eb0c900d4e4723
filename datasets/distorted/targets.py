"""What the taught features of the low-level encoder are to say of a version: no human score is in it.

    structure   2 sqrt(1 - FSIM(version, reference)), unknown (NaN) where light or colour were changed:
                FSIM falls with them, though the picture stays as sharp and clean as it was
    total       2 sqrt(1 - FSIM(version, reference)), whatever was changed
    one for each name of DISTORTIONS   0 without that fault, else .2 + .8 level

The root spreads out FSIM near 1, where most versions lie; .2 parts the weakest level from none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets.distorted.distortions import DISTORTIONS
from datasets.distorted.synthesis import levels_of
from datasets.version_folders import VersionFolder
from utils.errors import UserError

# Faults of light and colour.
PHOTOMETRIC = frozenset(
    ("low_contrast", "high_contrast", "over_exposure", "under_exposure", "haze", "colour_cast")
)
TARGETS = ("structure", "total", *DISTORTIONS)


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


def _levels(file: Path) -> dict[str, float]:
    try:
        return levels_of(file.stem)
    except ValueError:
        raise UserError(
            f"{file}: its name does not tell the kinds and levels of its distortions, which "
            "objective=targets needs; make the set anew with synthesize_distortions.py."
        ) from None
