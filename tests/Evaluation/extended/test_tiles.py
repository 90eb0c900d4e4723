"""Tiles of a view and their statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from Evaluation.distance import FeatureStatistics, statistics
from Evaluation.extended.centre import centre_weights
from Evaluation.extended.tiles import shrunk, tile_grid, tile_statistics
from Evaluation.patches import patch_features
from utils.errors import UserError


@given(st.integers(96, 1300), st.integers(96, 1300))
@settings(max_examples=50, deadline=None)
def test_tiles_lie_in_the_image_and_apart(height, width):
    """As many as fit, at most five a side, in the middle of equal cells."""
    places = torch.arange(height)[:, None] * 2000.0 + torch.arange(width)
    grid = tile_grid(places.expand(3, -1, -1), 96)
    assert grid.shape == (min(5, height // 96), min(5, width // 96), 3, 96, 96)
    tops, lefts = grid[:, 0, 0, 0, 0] // 2000, grid[0, :, 0, 0, 0] % 2000
    for starts, side in ((tops, height), (lefts, width)):
        assert starts[0] >= 0 and starts[-1] + 96 <= side
        assert (starts.diff() >= 96).all()
        assert starts[0].item() == pytest.approx(side - 96 - starts[-1].item(), abs=1)
    y, x = int(tops[-1]), int(lefts[0])
    assert torch.equal(grid[-1, 0, 0], places[y : y + 96, x : x + 96])


def test_features_stand_where_their_tiles_do():
    view = torch.rand(3, 200, 300)
    (features,) = patch_features(red_mean, [tile_grid(view, 96)], 2)
    assert features.shape == (2, 3, 1) and features.dtype == torch.float64
    expected = tile_grid(view, 96)[:, :, 0].mean((2, 3))
    torch.testing.assert_close(features[..., 0], expected.double())


def red_mean(patches):
    """One feature of a patch."""
    return (patches[:, 0].mean((1, 2))[:, None],)


@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_statistics_are_numpys(rows, columns, seed):
    x = torch.randn(rows, columns, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    measured, worth = tile_statistics(x)
    flat, weights = x.flatten(0, 1).numpy(), centre_weights(rows, columns).numpy()
    assert worth == pytest.approx(1 / (weights**2).sum(), rel=1e-12) and 1 < worth <= rows * columns + 1e-9
    np.testing.assert_allclose(
        measured.mean, np.average(flat, axis=0, weights=weights), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(measured.covariance, np.cov(flat.T, aweights=weights), rtol=1e-6, atol=1e-10)
    assert measured.count == rows * columns


def test_a_single_tile_has_the_pristine_covariance_in_part():
    """Shrinkage: 20 pristine patches beside the n - 1 of the image."""
    measured, worth = tile_statistics(torch.ones(1, 1, 3, dtype=torch.float64))
    assert worth == 1 and not measured.covariance.any()
    pristine = statistics(torch.rand(30, 3, dtype=torch.float64))
    torch.testing.assert_close(shrunk(measured, worth, pristine).covariance, pristine.covariance)
    ones = FeatureStatistics(measured.mean, torch.eye(3, dtype=torch.float64), 25)
    expected = (5 * torch.eye(3, dtype=torch.float64) + 20 * pristine.covariance) / 25
    torch.testing.assert_close(shrunk(ones, 6.0, pristine).covariance, expected)


def test_a_value_that_is_not_finite():
    features = torch.ones(2, 2, 3, dtype=torch.float64)
    features[1, 0, 2] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        tile_statistics(features)
