"""Where patches of a view lie, and statistics of tiles, in which the middle of the image weighs most."""

from __future__ import annotations

import torch

from Evaluation.distance import FeatureStatistics, check_finite
from Evaluation.extended.centre import centre_weights
from Evaluation.patches import patches_at

# Most rows and columns of tiles: with more the score orders images no better.
MOST_TILES = 5
# Most rows and columns of the patches of a map.
MOST_MAPPED = 16
# Patches that the covariance of pristine ones counts for beside that of an image, which has few.
PRISTINE_COUNT = 20
_TINY = 1e-12


def tile_grid(view: torch.Tensor, size: int) -> torch.Tensor:
    """The middles of up to 5 x 5 equal cells of an image, copied: (rows, columns, 3, size, size).

    Args:
        view: (3, H, W), no side under `size`; H // size rows and W // size columns, at most 5, never overlap.
        size: side of a tile in pixels.
    """
    tops, lefts = (_starts(length, size) for length in view.shape[1:])
    return patches_at(view, tops, lefts, size)


def _starts(length: int, size: int) -> torch.Tensor:
    """Where the tile in the middle of each of n equal cells begins, (n,)."""
    cells = torch.arange(MOST_TILES, dtype=torch.float64)[: length // size]
    return (length * (2 * cells + 1) / (2 * cells.shape[0]) - size / 2).round().long()


def map_grid(view: torch.Tensor, size: int) -> torch.Tensor:
    """Patches from border to border, for a map: at most 16 x 16, (rows, columns, 3, size, size), copied.

    Args:
        view: (3, H, W), no side under `size`.
        size: side of a patch in pixels; they are half of it apart where so many are enough, else more.
    """
    tops, lefts = (map_starts(length, size) for length in view.shape[1:])
    return patches_at(view, tops, lefts, size)


def map_starts(length: int, size: int) -> torch.Tensor:
    """Where patches of a map begin along a side, evenly from 0 to the last place, (n,)."""
    count = min(MOST_MAPPED, -(-2 * (length - size) // size) + 1)
    return torch.linspace(0, length - size, count, dtype=torch.float64).round().long()


def tile_statistics(features: torch.Tensor) -> tuple[FeatureStatistics, torch.Tensor]:
    """Weighted mean and covariance of tiles' features (rows, columns, F), and how many tiles they are worth.

    With w the `centre_weights`, of sum 1, and n = 1 / sum_i w_i^2: `m = sum_i w_i f_i` and
    `C = n / (n - 1) sum_i w_i (f_i - m)(f_i - m)^T`, as for n tiles that weigh alike; 0 of a single tile.

    Raises:
        UserError: a value is not finite.
    """
    rows, columns = features.shape[:2]
    flat, weights = check_finite(features.flatten(0, 1)), centre_weights(rows, columns)
    worth = 1 / weights.square().sum()
    mean = weights @ flat
    centred = flat - mean
    # Of a single tile `centred` is 0 and so is the covariance; it is worth 1.
    covariance = (centred.T * weights) @ centred * (worth / (worth - 1).clamp_min(_TINY))
    return FeatureStatistics(mean, covariance, len(flat)), worth


def shrunk(image: FeatureStatistics, worth: torch.Tensor, pristine: FeatureStatistics) -> FeatureStatistics:
    """Statistics whose covariance is drawn towards the pristine one, the more the fewer tiles there are.

    `((n - 1) C + 20 C_p) / (n - 1 + 20)`, n the number of tiles that `image` is worth: a small crop has
    nearly the distance of its image.
    """
    own, total = worth - 1, worth - 1 + PRISTINE_COUNT
    covariance = (own * image.covariance + PRISTINE_COUNT * pristine.covariance) / total
    return FeatureStatistics(image.mean, covariance, image.count)
