"""The middle of an image weighs most."""

import numpy as np
import pytest
import torch

from Evaluation.extended.centre import centre_mean, centre_weights, line_weights


def test_cells_in_the_middle_weigh_most():
    """Three rows, two columns: their middles lie 0 and 2/3, and 1/2 half sides from that of the image."""
    weights = centre_weights(3, 2).reshape(3, 2)
    assert weights.sum().item() == pytest.approx(1, rel=1e-12)
    assert torch.equal(weights, weights.flip(0)) and torch.equal(weights, weights.flip(1))
    ratio = np.exp(-((2 / 3) ** 2) / (2 * 0.4**2))
    assert (weights[0, 0] / weights[1, 0]).item() == pytest.approx(ratio, rel=1e-12)
    assert centre_weights(1, 1).tolist() == [1]
    assert (centre_weights(1, 4) == line_weights(4)).all()


def test_the_mean_of_maps_is_that_of_their_cells():
    maps = torch.rand(4, 3, 7, dtype=torch.float64)
    torch.testing.assert_close(centre_mean(maps), maps.flatten(1) @ centre_weights(3, 7))
