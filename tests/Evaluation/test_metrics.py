"""Figures against the authors' values and scipy's: 1e-9."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial
from scipy import stats

from Evaluation.metrics import (
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

NAMES = ["srcc", "krcc", "plcc", "plcc_poly3", "plcc_logistic4", "rmse_logistic4"]


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
    np.testing.assert_allclose(fit_cubic(x, y)[0], cubic(x))
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
    assert [metric.name for metric in first] == NAMES
    for metric in first:
        assert metric.low < metric.value < metric.high
        assert metric.note == ""


def test_intervals_are_as_wide_as_theory_says():
    x, noise = np.random.default_rng(0).normal(size=(2, 2000))
    raw = by_name(x, 0.6 * x + 0.8 * noise, resamples=2000)["plcc"]
    # Of two normal variables, the standard error is (1 - r^2) / sqrt(n).
    assert raw.high - raw.low == pytest.approx(2 * 1.96 * (1 - raw.value**2) / np.sqrt(2000), rel=0.08)


def test_nothing_to_fit_is_said():
    metric = by_name(np.array([0.0, -1, -2]), np.array([0.0, 1, 0]))["plcc_logistic4"]
    assert metric.value is None
    assert metric.note == "undefined: the fitted scores are all equal"


def test_full_set_of_resamples():
    x, y = sample(1162, 6)
    assert all(metric.low is not None for metric in agreement(x, y, resamples=1000))


@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (1e-3, 0.45), (-30.0, 1e3)])
def test_logistic_is_found_in_any_range_and_direction(scale, offset):
    x = np.linspace(-2, 3, 80)
    y = 20 + 60 / (1 + np.exp(-(x - 0.4) / 0.3))
    fitted, note = fit_logistic(scale * x + offset, y)
    assert note == ""
    np.testing.assert_allclose(fitted, y, atol=1e-3)


def test_logistic_is_not_worse_than_a_line():
    for seed in range(10):
        generator = np.random.default_rng(seed)
        x, y = generator.normal(size=12), generator.normal(size=12)
        fitted, _ = fit_logistic(x, y)
        assert rmse(fitted, y) <= rmse(Polynomial.fit(x, y, 1)(x), y) * (1 + 1e-3)


def test_failed_logistic_is_said_and_is_a_line(monkeypatch):
    def fail(*_, **__):
        raise ValueError("no")

    monkeypatch.setattr("Evaluation.metrics.optimize.least_squares", fail)
    x, y = sample(30)
    metric = by_name(x, y)["plcc_logistic4"]
    assert metric.note == "the logistic fit failed: straight line instead"
    assert metric.value == pytest.approx(plcc(x, y))


def test_few_different_scores_are_said():
    x, y = np.array([1.0, 1, 2, 2, 2]), np.array([1.0, 2, 2, 3, 5])
    ours = by_name(x, y)
    assert "degree 1" in ours["plcc_poly3"].note
    assert "straight line" in ours["plcc_logistic4"].note
    assert all(metric.value is not None for metric in ours.values())


@pytest.mark.parametrize("scores, mos, reason", [
    ([1, 1, 1, 1], [1, 2, 3, 4], "all scores are equal"),
    ([1, 2, 3, 4], [5, 5, 5, 5], "all opinions are equal"),
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
