"""Figures against the authors' values and scipy's: 1e-9."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial
from scipy import optimize, stats

from Evaluation.metrics import (
    FIGURES,
    agreement,
    bootstrap_krcc,
    bootstrap_plcc,
    bootstrap_rmse,
    bootstrap_srcc,
    fit_cubic,
    fit_logistic,
    krcc,
    plcc,
    resample_counts,
    rmse,
    srcc,
)


def logistic4(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / b4))


def logistic5(x, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


def by_name(scores, mos, **more):
    return {metric.name: metric for metric in agreement(scores, mos, **more)}


def sample(n, seed=0, ties=False):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    y = 50 + 20 * np.tanh(x) + 5 * generator.normal(size=n)
    return (np.round(x, 0), np.round(y, -1)) if ties else (x, y)


@pytest.mark.parametrize("name", ["n60", "n12"])
def test_figures(parity, name):
    misc = parity("misc")
    x, y = misc[f"metric_{name}_scores"], misc[f"metric_{name}_mos"]
    ours = by_name(x, y)
    assert ours["srcc"].value == pytest.approx(float(misc[f"metric_{name}_srocc"]), abs=1e-9)
    assert ours["plcc"].value == pytest.approx(float(misc[f"metric_{name}_plcc_raw"]), abs=1e-9)
    assert ours["plcc_poly3"].value == pytest.approx(float(misc[f"metric_{name}_plcc_poly3"]), abs=1e-9)
    cubic = Polynomial.fit(x, y, 3)
    np.testing.assert_allclose(fit_cubic(x, y).curve(x), cubic(x))
    np.testing.assert_allclose(
        cubic.convert().coef[::-1], misc[f"metric_{name}_poly_coeffs_high_first"], rtol=1e-5
    )


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_scipys(ties):
    x, y = sample(200, 1, ties)
    assert srcc(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert krcc(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert plcc(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_bootstrap_is_scipys_on_each_resample(ties):
    x, y = sample(40, 2, ties)
    counts = resample_counts(40, 25, 3)
    assert (counts.sum(1) == 40).all()
    ours = [
        function(x, y, counts)
        for function in (bootstrap_srcc, bootstrap_krcc, bootstrap_plcc, bootstrap_rmse)
    ]
    for n, count in enumerate(counts.astype(int)):
        a, b = np.repeat(x, count), np.repeat(y, count)
        expected = (
            stats.spearmanr(a, b).statistic,
            stats.kendalltau(a, b).statistic,
            stats.pearsonr(a, b).statistic,
        )
        np.testing.assert_allclose([row[n] for row in ours], [*expected, rmse(a, b)], atol=1e-9)


def test_bands_of_pairs_change_nothing(monkeypatch):
    x, y = sample(60, 4)
    counts = resample_counts(60, 30, 0)
    whole = [f(x, y, counts) for f in (bootstrap_srcc, bootstrap_krcc, bootstrap_plcc)]
    monkeypatch.setattr("Evaluation.metrics._BLOCK", 500)
    for before, f in zip(whole, (bootstrap_srcc, bootstrap_krcc, bootstrap_plcc), strict=True):
        np.testing.assert_allclose(f(x, y, counts), before, rtol=1e-12)


def test_intervals_hold_the_value_and_repeat():
    x, y = sample(300, 5)
    first, again = agreement(x, y), agreement(x, y)
    assert first == again
    assert [metric.name for metric in first] == list(FIGURES)
    for metric in first:
        assert metric.low < metric.value < metric.high
        assert metric.note == ""


def test_intervals_are_as_wide_as_theory_says():
    x, noise = np.random.default_rng(0).normal(size=(2, 2000))
    raw = by_name(x, 0.6 * x + 0.8 * noise, resamples=2000)["plcc"]
    # Of two normal variables, the standard error is (1 - r^2) / sqrt(n).
    assert raw.high - raw.low == pytest.approx(2 * 1.96 * (1 - raw.value**2) / np.sqrt(2000), rel=0.08)


def test_nothing_to_fit_is_said():
    ours = by_name(np.array([0.0, -1, -2]), np.array([0.0, 1, 0]))
    for name in ("plcc_logistic4", "plcc_logistic5"):
        assert ours[name].value is None
        assert ours[name].note == "undefined: the fitted scores are all equal"


def test_full_set_of_resamples():
    x, y = sample(1162, 6)
    assert all(metric.low is not None for metric in agreement(x, y, resamples=1000))


@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (1e-3, 0.45), (-30.0, 1e3)])
@pytest.mark.parametrize("parameters, y_of", [
    (4, lambda x: logistic4(x, 80, 20, 0.4, 0.3)),
    (4, lambda x: logistic4(x, 20, 80, 0.4, 0.3)),
    (4, lambda x: logistic4(x, 80, 20, 0.4, 0.01)),
    (4, lambda x: 3 * x - 2),
    (5, lambda x: logistic5(x, 60, 5, 0.4, 8, 50)),
    (5, lambda x: logistic5(x, -60, 5, 0.4, 30, 50)),
])  # fmt: skip
def test_logistic_is_found_in_any_range_and_direction(parameters, y_of, scale, offset):
    x = np.linspace(-2, 3, 80)
    y = y_of(x)
    fit = fit_logistic(scale * x + offset, y, parameters)
    assert fit.note == ""
    np.testing.assert_allclose(fit.curve(scale * x + offset), y, atol=1e-3)
    between = np.linspace(-2, 0, 7)
    np.testing.assert_allclose(fit.curve(scale * between + offset), y_of(between), atol=1e-2)


def test_a_fifth_parameter_is_needed_where_opinions_go_on_rising():
    x = np.linspace(-3, 3, 200)
    ours = by_name(x, logistic5(x, 40, 8, 0, 10, 50))
    assert ours["plcc_logistic5"].value == pytest.approx(1, abs=1e-9)
    assert ours["rmse_logistic5"].value == pytest.approx(0, abs=1e-4)
    assert ours["plcc_logistic4"].value < 0.998
    assert ours["rmse_logistic4"].value > 1


@pytest.mark.parametrize("parameters, formula, truth", [
    (4, logistic4, (80, 20, 0.4, 0.3)), (5, logistic5, (60, 5, 0.4, 8, 50)),
])  # fmt: skip
def test_logistic_is_scipys_when_that_starts_from_the_truth(parameters, formula, truth):
    for seed in range(5):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=150)
        y = formula(x, *truth) + 6 * generator.normal(size=150)
        best, _ = optimize.curve_fit(formula, x, y, p0=truth)
        ours = by_name(x, y, resamples=2)
        assert ours[f"rmse_logistic{parameters}"].value == pytest.approx(rmse(formula(x, *best), y), rel=1e-6)
        expected = stats.pearsonr(formula(x, *best), y).statistic
        assert ours[f"plcc_logistic{parameters}"].value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("parameters", [4, 5])
def test_logistic_is_not_worse_than_a_line(parameters):
    for seed in range(10):
        generator = np.random.default_rng(seed)
        x, y = generator.normal(size=12), generator.normal(size=12)
        fitted = fit_logistic(x, y, parameters).curve(x)
        assert rmse(fitted, y) <= rmse(Polynomial.fit(x, y, 1)(x), y) + 1e-12


def fails(*_, **__):
    raise ValueError("no")


def far_off(_, start, **__):
    """A search that ends at a jump above all scores, where the logistic is constant."""
    return optimize.OptimizeResult(x=np.array([np.log(1000.0), 50.0]), cost=1.0, success=True)


@pytest.mark.parametrize("search, parameters", [(fails, 4), (fails, 5), (far_off, 4)])
def test_failed_logistic_is_said_and_is_a_line(monkeypatch, search, parameters):
    monkeypatch.setattr("Evaluation.metrics.optimize.least_squares", search)
    x, y = sample(30)
    ours = by_name(x, y)
    for name in (f"plcc_logistic{parameters}", f"rmse_logistic{parameters}"):
        assert ours[name].note == "the logistic fit failed: straight line instead"
    assert ours[f"plcc_logistic{parameters}"].value == pytest.approx(plcc(x, y))


def test_a_search_that_ran_out_is_said(monkeypatch):
    whole = optimize.least_squares
    monkeypatch.setattr(
        "Evaluation.metrics.optimize.least_squares", lambda *a, **k: whole(*a, **{**k, "max_nfev": 1})
    )
    assert fit_logistic(*sample(30)).note == "the logistic fit stopped before it converged"


def test_few_different_scores_are_said():
    x, y = np.array([1.0, 1, 2, 2, 2]), np.array([1.0, 2, 2, 3, 5])
    ours = by_name(x, y)
    assert "degree 1" in ours["plcc_poly3"].note
    assert ours["plcc_logistic4"].note.startswith("fewer than 5 different scores: straight line")
    assert ours["rmse_logistic5"].note.startswith("fewer than 6 different scores: straight line")
    assert all(metric.value is not None for metric in ours.values())


@pytest.mark.parametrize("scores, mos, reason", [
    ([1, 1, 1, 1], [1, 2, 3, 4], "all scores are equal"),
    ([1, 2, 3, 4], [5, 5, 5, 5], "all MOS are equal"),
    ([1, 2], [1, 2], r"2 scored image\(s\)"),
    ([], [], r"0 scored image\(s\)"),
])  # fmt: skip
def test_undefined_figures_say_why(scores, mos, reason):
    for metric in agreement(scores, mos):
        assert (metric.value, metric.low, metric.high) == (None, None, None)
        assert re.search(reason, metric.note)


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, 2.0, float("nan")]])
def test_bad_input_is_refused(scores):
    with pytest.raises(ValueError, match=r"one length|finite"):
        agreement(scores, [1.0, 2.0, 3.0])


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=15))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_is_finite_or_said(pairs):
    x, y = np.array(pairs, float).T
    for metric in agreement(x, y, resamples=40):
        if metric.value is None:
            assert metric.note
        else:
            assert np.isfinite(metric.value)
            assert metric.name.startswith("rmse") or -1 - 1e-9 <= metric.value <= 1 + 1e-9


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_ranks_do_not_see_a_monotone_mapping(seed):
    x, y = sample(30, seed)
    assert srcc(np.exp(x), y) == pytest.approx(srcc(x, y), abs=1e-12)
    assert krcc(-x, y) == pytest.approx(-krcc(x, y), abs=1e-12)
