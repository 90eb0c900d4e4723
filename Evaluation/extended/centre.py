"""Weights and means in which the middle of an image weighs most."""

from __future__ import annotations

import torch

# People look at the middle of an image first and most, and photographers put there what they mean (Tatler,
# The central fixation bias in scene viewing, Journal of Vision 2007). In half sides: a border in the middle
# of its side weighs a twentieth of the centre.
CENTRE_DEVIATION = 0.4


def line_weights(count: int) -> torch.Tensor:
    """Weights (count,), float64, of sum 1, of equal cells along a side of an image.

    `exp(-y^2 / (2 CENTRE_DEVIATION^2))`, where y leads from the middle of the side to that of a cell, in half
    sides: -1 and 1 are borders.
    """
    place = (2 * torch.arange(count, dtype=torch.float64) + 1 - count) / count
    weights = torch.exp(-place.square() / (2 * CENTRE_DEVIATION**2))
    return weights / weights.sum()


def centre_weights(rows: int, columns: int) -> torch.Tensor:
    """Weights (rows * columns,), float64, of sum 1, of equal cells of an image, row by row."""
    return torch.outer(line_weights(rows), line_weights(columns)).flatten()


def centre_mean(maps: torch.Tensor) -> torch.Tensor:
    """Weighted means (C,) of maps (C, h, w), in their precision."""
    rows, columns = (line_weights(count).to(maps) for count in maps.shape[1:])
    return maps @ columns @ rows
