"""Ridge regression against the normal equations, and leave-one-out against leaving one out."""

import numpy as np
import pytest
from sklearn import linear_model

from Evaluation.few_labels.ridge import decompose, fit_ridge

ALPHAS = (0.1, 1.0, 10.0, 100.0)


def problem(n, width, seed=0):
    """Features of unequal scale and offset, as networks give them, and scores around 50."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, width)) * random.uniform(0.1, 5, width) + random.normal(size=width) * 10
    y = 50 + x @ random.normal(size=width) / width + random.normal(size=n) * 5
    return x, y


def normal_equations(x, y, alpha):
    """Weights and intercept by least squares on the rows [X 1] with a row sqrt(alpha) e_k below a weight."""
    n, width = x.shape
    above = np.hstack([x, np.ones((n, 1))])
    below = np.hstack([np.sqrt(alpha) * np.eye(width), np.zeros((width, 1))])  # the intercept is free
    solution = np.linalg.lstsq(np.vstack([above, below]), np.append(y, np.zeros(width)), rcond=None)[0]
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(("n", "width"), [(20, 60), (60, 20), (30, 30), (2, 5)])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_weights_equal_the_normal_equations(n, width, alpha):
    x, y = problem(n, width)
    weights, intercept = normal_equations(x, y, alpha)
    fitted = fit_ridge(x, y, [alpha])
    np.testing.assert_allclose(fitted.weights, weights, rtol=1e-7, atol=1e-9)
    assert fitted.intercept == pytest.approx(intercept, rel=1e-9)
    np.testing.assert_allclose(fitted.predict(x.astype(np.float32)), x @ weights + intercept, atol=1e-3)


def test_it_is_scikit_learns_ridge():
    x, y = problem(40, 90)
    theirs, ours = linear_model.Ridge(10.0).fit(x, y), fit_ridge(x, y, [10.0])
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-8)


@pytest.mark.parametrize(("n", "width"), [(12, 40), (40, 12), (15, 15), (3, 8)])
def test_leave_one_out_is_leaving_one_out(n, width):
    x, y = problem(n, width, seed=1)
    expected = np.empty((len(ALPHAS), n))
    for row, alpha in zip(expected, ALPHAS, strict=True):
        for i in range(n):
            others = np.arange(n) != i
            weights, intercept = normal_equations(x[others], y[others], alpha)
            row[i] = x[i] @ weights + intercept
    np.testing.assert_allclose(decompose(x).leave_one_out(y, ALPHAS), expected, rtol=1e-7)


def test_leave_one_out_with_repeated_and_constant_features():
    x, y = problem(10, 6)
    x = np.hstack([x, x, np.full((10, 2), 7.0)])
    x[3] = x[4]
    others = np.arange(10) != 3
    weights, intercept = normal_equations(x[others], y[others], 0.1)
    assert decompose(x).leave_one_out(y, [0.1])[0, 3] == pytest.approx(x[3] @ weights + intercept)


def test_standardised_is_ridge_on_standardised_features():
    x, y = problem(30, 50)
    x[:, 7] = 0.1  # constant: no scale, no weight
    z = (x - x.mean(0)) / np.where(np.ptp(x, 0) > 0, x.std(0), 1)
    weights, intercept = normal_equations(z, y, 10)
    fitted = fit_ridge(x, y, [10.0], standardise=True)
    np.testing.assert_allclose(fitted.predict(x), z @ weights + intercept, rtol=1e-9)
    assert abs(fitted.weights[7]) < 1e-9
    assert np.abs(fitted.predict(x) - fit_ridge(x, y, [10.0]).predict(x)).max() > 0.1


def test_the_penalty_with_the_smallest_leave_one_out_error_is_chosen():
    x = problem(40, 200, seed=2)[0]
    y = np.random.default_rng(0).normal(size=40)
    noise = fit_ridge(x / 20, y, ALPHAS)
    assert noise.alpha == 100  # nothing to learn: the strongest
    signal = fit_ridge(x, x @ np.random.default_rng(0).normal(size=200), (1e-3, 1e3, 1e6))
    assert signal.alpha < 1e6
    for fitted in (noise, signal):
        assert fitted.errors[fitted.alpha] == min(fitted.errors.values())
    left_out = decompose(x / 20).leave_one_out(y, [100.0])
    assert noise.errors[100] == pytest.approx(np.sqrt(np.mean((left_out - y) ** 2)))


def test_scores_without_spread_and_features_without_spread():
    x, y = problem(20, 30)
    np.testing.assert_allclose(fit_ridge(x, np.full(20, 3.0), ALPHAS).predict(x), 3)
    flat = fit_ridge(np.ones((20, 4)), y, ALPHAS)
    np.testing.assert_allclose(flat.predict(np.ones((5, 4))), y.mean())


def test_wrong_input():
    x, y = problem(5, 3)
    with pytest.raises(ValueError, match="two pictures or more"):
        decompose(x[:1])
    with pytest.raises(ValueError, match="alpha must be above 0"):
        fit_ridge(x, y, [1.0, 0.0])
    with pytest.raises(ValueError, match="as many finite scores"):
        fit_ridge(x, y[:4], ALPHAS)
    with pytest.raises(ValueError, match="finite"):
        fit_ridge(np.where(x == x[0, 0], np.nan, x), y, ALPHAS)
