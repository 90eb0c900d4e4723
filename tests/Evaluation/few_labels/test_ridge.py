"""Ridge regression against the normal equations, and its leave-one-out errors against leaving one out."""

import numpy as np
import pytest

from Evaluation.few_labels.ridge import fit_ridge

ALPHAS = (0.1, 1.0, 10.0, 100.0)


def problem(n, features, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, features)) + 3
    return x, x[:, : min(5, features)].sum(1) + random.normal(size=n)


def normal_equations(x, y, alpha):
    centred, mean = x - x.mean(0), x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + alpha * np.eye(x.shape[1]), centred.T @ (y - y.mean()))
    return weights, y.mean() - mean @ weights


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (20, 20)])
@pytest.mark.parametrize("alpha", [0.1, 10.0])
def test_the_normal_equations(shape, alpha):
    x, y = problem(*shape)
    weights, intercept = normal_equations(x, y, alpha)
    fitted = fit_ridge(x, y, [alpha])
    np.testing.assert_allclose(fitted.weights, weights, rtol=1e-7, atol=1e-9)
    assert fitted.intercept == pytest.approx(intercept, rel=1e-8)
    np.testing.assert_allclose(fitted.predict(x.astype(np.float32)), x @ weights + intercept, rtol=1e-5)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_leave_one_out_is_what_leaving_one_out_gives(shape):
    x, y = problem(*shape)
    fitted = fit_ridge(x, y, ALPHAS)
    for alpha in ALPHAS:
        left_out = []
        for k in range(len(y)):
            others = np.arange(len(y)) != k
            weights, intercept = normal_equations(x[others], y[others], alpha)
            left_out.append(x[k] @ weights + intercept)
        assert fitted.errors[alpha] == pytest.approx(np.sqrt(np.mean((left_out - y) ** 2)), rel=1e-7)
        if alpha == fitted.alpha:
            np.testing.assert_allclose(fitted.left_out, left_out, rtol=1e-7)
    assert fitted.errors[fitted.alpha] == min(fitted.errors.values())


def test_standardised_is_ridge_on_standardised_features():
    x, y = problem(30, 50)
    x[:, 7] = 0.1  # constant: no scale, no weight
    z = (x - x.mean(0)) / np.where(np.ptp(x, 0) > 0, x.std(0), 1)
    weights, intercept = normal_equations(z, y, 10)
    fitted = fit_ridge(x, y, [10.0], standardise=True)
    np.testing.assert_allclose(fitted.predict(x), z @ weights + intercept, rtol=1e-9)
    assert abs(fitted.weights[7]) < 1e-9
    assert np.abs(fitted.predict(x) - fit_ridge(x, y, [10.0]).predict(x)).max() > 0.1


def test_the_penalty_follows_what_there_is_to_learn():
    x = problem(40, 200, seed=2)[0]
    assert fit_ridge(x / 20, np.random.default_rng(1).normal(size=40), ALPHAS).alpha > 0.1
    assert fit_ridge(x, x @ np.random.default_rng(0).normal(size=200), (1e-3, 1e3, 1e6)).alpha < 1e6


def test_scores_without_spread_and_features_without_spread():
    x, y = problem(20, 30)
    np.testing.assert_allclose(fit_ridge(x, np.full(20, 3.0), ALPHAS).predict(x), 3)
    flat = fit_ridge(np.ones((20, 4)), y, ALPHAS)
    np.testing.assert_allclose(flat.predict(np.ones((5, 4))), y.mean())


def test_wrong_input_is_a_mistake_of_the_programmer():
    x, y = problem(5, 3)
    with pytest.raises(ValueError, match="inconsistent"):
        fit_ridge(x, y[:4], ALPHAS)
    with pytest.raises(ValueError, match="NaN"):
        fit_ridge(np.where(x == x[0, 0], np.nan, x), y, ALPHAS)
