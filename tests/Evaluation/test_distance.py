"""Distance against the authors' values in float64: 1e-7 relative."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import Settings
from Evaluation.distance import distance, low_level_quality, statistics
from utils.errors import UserError

# The authors build it in float32.
AUTHORS = float(np.float32(0.001))


@pytest.mark.parametrize(
    "name, pristine, test", [("full", "P", "X"), ("few", "Ps", "Xs"), ("two", "Ps", "X2")]
)
@pytest.mark.parametrize("regularisation", [AUTHORS, Settings.regularisation])
def test_distance(parity, name, pristine, test, regularisation):
    low = parity("low")
    ours = distance(
        statistics(torch.from_numpy(low[f"niqe_in_{pristine}"])),
        statistics(torch.from_numpy(low[f"niqe_in_{test}"][0])),
        regularisation,
    )
    assert ours.item() == pytest.approx(float(low[f"niqe_{name}_dist_f64"]), rel=1e-7)
    assert low_level_quality(ours).item() == pytest.approx(float(low[f"niqe_{name}_score_f64"]), rel=1e-7)


def test_distances_of_three(parity):
    low = parity("low")
    pristine = statistics(torch.from_numpy(low["niqe_in_P"]))
    ours = [distance(pristine, statistics(torch.from_numpy(x)), AUTHORS).item() for x in low["niqe_in_X3"]]
    np.testing.assert_allclose(ours, low["niqe_batch3_dist_f64"], rtol=1e-7)


def test_quality(parity):
    low = parity("low")
    ours = low_level_quality(torch.from_numpy(low["score_map_d"]).double())
    np.testing.assert_allclose(ours, low["score_map_q"], rtol=1e-12, atol=1e-15)


@given(st.floats(0, 1e300))
def test_quality_is_bounded_and_falls(d):
    quality, farther = low_level_quality(torch.tensor([d, d + 1], dtype=torch.float64)).tolist()
    assert 0 <= quality <= 0.5
    assert farther <= quality
    assert math.isfinite(quality)


def test_quality_of_no_distance():
    assert low_level_quality(torch.tensor(0.0)) == 0.5


@given(st.integers(2, 40), st.integers(1, 12), st.floats(-1e3, 1e3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_statistics_are_torch_cov(count, features, offset, seed):
    x = (
        torch.randn(count, features, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        + offset
    )
    ours = statistics(x)
    torch.testing.assert_close(ours.mean, x.mean(0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        ours.covariance, torch.cov(x.T).reshape(features, features), rtol=1e-12, atol=1e-12
    )
    assert ours.count == count


@given(st.integers(0, 2**31), st.integers(2, 30), st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_distance_is_symmetric_and_0_to_itself(seed, m, n):
    generator = torch.Generator().manual_seed(seed)
    a = statistics(torch.randn(m, 8, generator=generator))
    b = statistics(torch.randn(n, 8, generator=generator) + 1)
    assert distance(a, a, 0.001) == 0
    assert distance(a, b, 0.001) == pytest.approx(distance(b, a, 0.001).item(), rel=1e-12)
    assert distance(a, b, 0.001) > 0


def test_equal_patches_have_a_finite_distance():
    flat = statistics(torch.ones(5, 128))
    other = statistics(torch.randn(40, 128))
    assert math.isfinite(distance(other, flat, 0.001))
    assert math.isfinite(distance(flat, statistics(torch.zeros(5, 128)), 0.001))


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_patches_are_refused(rows):
    with pytest.raises(UserError, match="2 or more are needed"):
        statistics(torch.zeros(rows, 4))


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="not finite"):
        statistics(torch.tensor([[1.0], [float("nan")]]))


def test_no_regularisation_of_few_patches_is_refused():
    few = statistics(torch.zeros(2, 4))
    with pytest.raises(UserError, match="regularisation"):
        distance(few, few, 0.0)
