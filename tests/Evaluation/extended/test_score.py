"""The extended score: its formula by numpy, and what weights' metadata may ask for."""

from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from configs import Settings
from datasets.distorted.targets import TARGETS
from Evaluation.distance import low_level_quality, statistics
from Evaluation.extended.score import (
    ExtendedScore,
    distortion_regression,
    read_extended,
    semantic_regression,
    targets_of,
    without_score,
)
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.image_sizes import resize
from Evaluation.patches import overlapping_features
from Evaluation.zeroshot import Measurement
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level
from utils.errors import UserError

FILE = Path("w.safetensors")
# Slopes of the first two of three semantic features, and the intercept.
REGRESSION = (0.5, -0.2, 0.1)


class FourNumbers(torch.nn.Module):
    """Four features of a patch that plain numpy can make too."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, patches):
        red = patches[:, 0].flatten(1)
        return torch.stack([red.std(1), red.mean(1), patches[:, 1, 0, 0], patches[:, 2, 5, 7]], 1)


class ThreeNumbers(FourNumbers):
    """Three features of a larger patch."""

    def forward(self, patches):
        return torch.stack([patches[:, 0, 0, 3], patches[:, 1].flatten(1).mean(1), patches[:, 2, 9, 9]], 1)


def by_numpy(image, pristine, scale, weight, semantic_weight, centre_deviation):
    pixels = image.numpy().astype(np.float64)
    rows, weights = [], []
    tops, lefts = range(0, pixels.shape[1] - 95, 48), range(0, pixels.shape[2] - 95, 48)
    for top in tops:
        for left in lefts:
            patch = pixels[:, top : top + 96, left : left + 96]
            rows.append([patch[0].std(ddof=1), patch[0].mean(), patch[1, 0, 0], patch[2, 5, 7]])
            covered = np.array([tops[-1] + 96, lefts[-1] + 96])
            place = (np.array([top, left]) + 48 - covered / 2) / (covered / 2)
            weights.append(np.exp(-(place @ place) / 2 / centre_deviation**2))
    features, weights = np.array(rows), np.array(weights)
    mean = np.average(features, axis=0, weights=weights)
    difference = pristine.mean.numpy() - mean
    covariance = (pristine.covariance.numpy() + np.cov(features.T, aweights=weights)) / 2 + 0.001 * np.eye(4)
    d = np.sqrt(difference @ np.linalg.inv(covariance) @ difference)
    k = mean[0] + (mean[2] + mean[3]) / 2
    # 240 x 340 pixels hold one row of two patches of 224 that overlap by half.
    left, right = (pixels[:, :224, start : start + 224] for start in (0, 112))
    c = 0.5 * (left[0, 0, 3] + right[0, 0, 3]) / 2 - 0.2 * (left[1].mean() + right[1].mean()) / 2 + 0.1
    return 1 - 1 / (1 + np.exp(-scale * (d + weight * k + semantic_weight * c) / 100))


@pytest.mark.parametrize("centre_deviation", [np.inf, 0.4])
@pytest.mark.parametrize("numbers", [(1.0, 0.0, 0.0), (41.2, 0.0, 0.0), (41.2, 3.1, 0.0), (0.5, 200.0, 0.0),
                                     (9.0, 0.0, 40.0), (9.0, 30.0, 40.0)])  # fmt: skip
def test_the_formula(numbers, centre_deviation):
    array = inputs.image_under_test(0)
    image = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).float() / 255
    image = resize(image, 240, 340)
    pristine = statistics(torch.rand(30, 4, generator=torch.Generator().manual_seed(1)))
    score = ExtendedScore(*numbers, REGRESSION, centre_deviation, targets=("structure", "total", "a", "b"))
    measured = Measurement(
        240, 340, overlapping_features(image, FourNumbers(), Settings()),
        semantic=semantic_features(image, ThreeNumbers(), Settings())[0],
    )  # fmt: skip
    found = low_level_quality(score.distance(measured, pristine, 0.001))
    assert found == pytest.approx(by_numpy(image, pristine, *numbers, centre_deviation), rel=1e-5)
    assert score.parts == (("patches", "semantic") if numbers[2] else ("patches",))


def test_a_negative_sum_counts_as_no_distance():
    score = ExtendedScore(2.0, 3.0, 0.5)
    assert score.total(1.0, -5.0, 0.0) == score.total(1.0, 0.0, -5.0) == 0
    assert score.total(16.0, -5.0, 0.0) == 2


def test_distortion_regression_is_of_structure_and_half_the_levels():
    """Not of feature 1, and of no free feature; how many levels there are the names tell."""
    mean = torch.zeros(128)
    mean[[0, 1, 2, 9, 17, 18]] = torch.tensor([0.3, 50.0, 0.2, 0.5, 0.4, 1000.0])
    assert distortion_regression(mean, TARGETS) == pytest.approx(0.3 + (0.2 + 0.5 + 0.4) / 2)
    assert distortion_regression(mean, TARGETS[:4]) == pytest.approx(0.3 + 0.2 / 2)


def test_semantic_regression_is_of_the_first_features():
    assert semantic_regression(torch.tensor([0.25, 0.5, 1000.0]), (2.0, 3.0, -0.5)) == 1.5


def test_the_score_that_metadata_asks_for():
    assert read_extended({}, FILE) is None
    assert read_extended({"steps": "3", "version": "0.1.0"}, FILE) is None
    former = {"distance_scale": "41.2", "distortion_weight": "3.1"}
    assert read_extended(former, FILE) == ExtendedScore(41.2, 3.1)
    asked = ExtendedScore(41.2, 3.1, 0.7, tuple(range(113)), 0.4, "abc", ("structure", "total", "jpeg"))
    assert asked.metadata()["distortion_targets"] == '["structure", "total", "jpeg"]'
    for score in (asked, ExtendedScore(2.0), ExtendedScore(2.0, 3.0)):
        assert read_extended(score.metadata(), FILE) == score
    assert without_score({"steps": "3", **asked.metadata()}) == {"steps": "3"}


def test_the_shipped_weights_ask_for_what_they_asked_for():
    """Their bytes do not change; names of targets that they do not carry are those of then."""
    score = read_extended(load_low_level(DEFAULT_LOW_LEVEL).metadata, DEFAULT_LOW_LEVEL)
    numbers = (score.scale, score.distortion_weight, score.semantic_weight, score.centre_deviation)
    assert numbers == (5.09, 13.2, 26.6, 0.4)
    assert score.targets == (
        "structure", "total", "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise",
        "jpeg", "jpeg2000", "resample", "low_contrast", "high_contrast", "over_exposure", "under_exposure",
        "haze", "colour_cast", "denoise", "sharpen",
    )  # fmt: skip


@pytest.mark.parametrize("targets", ["", "[]", '["total", "structure"]', '["structure", "total", 3]', "{}"])
def test_targets_that_are_none(targets):
    with pytest.raises(UserError, match=r"^w\.safetensors: 'distortion_targets' "):
        targets_of({"distortion_targets": targets}, FILE)


@pytest.mark.parametrize("regression", [
    "", "[]", "[1, 2]", "113", "{}", f"{[0] * 112}", f"{[0] * 112 + ['a']}", f"[{'0, ' * 112}Infinity]",
])  # fmt: skip
def test_metadata_whose_regression_is_none(regression):
    for weight in ("3",) if regression == "[]" else ("3", "0"):
        with pytest.raises(UserError, match=r"^w\.safetensors: 'chance_regression' is .*list"):
            read_extended({"chance_weight": weight, "chance_regression": regression}, FILE)


@pytest.mark.parametrize("key, value, expected", [
    *(("distance_scale", value, "above 0") for value in ("large", "nan", "inf", "0", "-1", "")),
    *(("distortion_weight", value, "of 0 or more") for value in ("none", "nan", "inf")),
    ("chance_weight", "-0.1", "of 0 or more"),
    *(("centre_deviation", value, "of 0.1 or more, or inf") for value in ("none", "nan", "0.09", "-inf")),
])  # fmt: skip
def test_metadata_that_asks_for_no_score(key, value, expected):
    with pytest.raises(UserError) as caught:
        read_extended({key: value}, FILE)
    assert str(caught.value).startswith(f"w.safetensors: '{key}' is '{value}', expected a finite number")
    assert str(caught.value).endswith(f"{expected}.")


def test_the_formula_in_words():
    assert ExtendedScore(41.2).formula() == "41.2 x distance"
    words = "1 x (distance + 3.1 x distortion regression + 0.5 x semantic regression)"
    assert ExtendedScore(1.0, 3.1, 0.5, REGRESSION).formula() == words
    centred = f"{words}, patches weighted by a Gaussian of 0.4 half sides"
    assert ExtendedScore(1.0, 3.1, 0.5, REGRESSION, 0.4).formula() == centred
