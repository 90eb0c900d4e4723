"""Patches in the middle weigh most."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from Evaluation.distance import statistics
from Evaluation.extended.centre import centre_weights, weighted_statistics
from utils.errors import UserError


def test_patches_in_the_middle_weigh_most():
    """Three rows, two columns: half sides of 2 and 1.5 patch strides."""
    weights = centre_weights(3, 2, 0.4).reshape(3, 2)
    assert torch.equal(weights, weights.flip(0)) and torch.equal(weights, weights.flip(1))
    assert weights[1, 0] == pytest.approx(np.exp(-((1 / 3) ** 2) / (2 * 0.16)), rel=1e-12)
    assert weights[0, 0] == pytest.approx(np.exp(-((1 / 2) ** 2 + (1 / 3) ** 2) / (2 * 0.16)), rel=1e-12)
    assert centre_weights(1, 1, 0.4).tolist() == [1]
    assert centre_weights(2, 3, float("inf")).tolist() == centre_weights(2, 3, 1e200).tolist() == [1] * 6


@given(st.integers(2, 40), st.floats(0.1, 10), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_weighted_statistics_are_numpys(count, scale, seed):
    """Weights of 1 are none, and only their proportions matter."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, dtype=torch.float64, generator=generator)
    weights = 0.01 + torch.rand(count, dtype=torch.float64, generator=generator)
    ours, scaled = weighted_statistics(x, weights), weighted_statistics(x, scale * weights)
    np.testing.assert_allclose(ours.mean, np.average(x, axis=0, weights=weights), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.covariance, np.cov(x.T, aweights=weights), rtol=1e-6, atol=1e-10)
    torch.testing.assert_close(ours.covariance, scaled.covariance, rtol=1e-9, atol=1e-12)
    even, plain = weighted_statistics(x, torch.ones(count, dtype=torch.float64)), statistics(x)
    torch.testing.assert_close(even.covariance, plain.covariance, rtol=1e-12, atol=1e-14)


def test_one_patch_has_no_covariance():
    with pytest.raises(UserError, match="2 or more are needed"):
        weighted_statistics(torch.zeros(1, 4), torch.ones(1, dtype=torch.float64))
