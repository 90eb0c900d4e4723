"""The score that weights bring with them: its formula, and what their metadata may say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from configs import Settings
from datasets.rated.sets import RatedImage
from Evaluation.distance import statistics
from Evaluation.extended.score import (
    PAPER,
    LowLevelScore,
    chance_of_distortion,
    content_of_score,
    score_of_weights,
    visible_distortion,
    without_score,
)
from Evaluation.features import resize, with_two_patches
from Evaluation.patches import centre_weights, extract_patches
from Evaluation.zeroshot import (
    LowLevelBranch,
    distance_and_mean,
    low_level_distance,
    score_picture,
)
from models.weights.semantic import load_semantic
from utils.errors import UserError

ANY = RatedImage("any", Path("any"))
FILE = Path("w.safetensors")
# Slopes of the first two of three content features, and the intercept.
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


@pytest.fixture
def picture():
    array = inputs.image_under_test(0)
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).float() / 255


@pytest.fixture
def pristine():
    return statistics(torch.rand(30, 4, generator=torch.Generator().manual_seed(1)))


def by_numpy(picture, pristine, scale, weight, chance_weight, centre_deviation):
    pixels = picture.numpy().astype(np.float64)
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
    # 336 pixels high as it is, it holds one row of two patches of 224 that overlap by half.
    left, right = (pixels[:, :224, start : start + 224] for start in (0, 112))
    c = 0.5 * (left[0, 0, 3] + right[0, 0, 3]) / 2 - 0.2 * (left[1].mean() + right[1].mean()) / 2 + 0.1
    return 1 - 1 / (1 + np.exp(-scale * (d + weight * k + chance_weight * c) / 100))


@pytest.mark.parametrize("centre_deviation", [np.inf, 0.4])
@pytest.mark.parametrize("numbers", [(1.0, 0.0, 0.0), (41.2, 0.0, 0.0), (41.2, 3.1, 0.0), (0.5, 200.0, 0.0),
                                     (9.0, 0.0, 40.0), (9.0, 30.0, 40.0)])  # fmt: skip
def test_the_formula(picture, pristine, numbers, centre_deviation):
    score = LowLevelScore(*numbers, REGRESSION, centre_deviation)
    branch = LowLevelBranch(FourNumbers(), pristine, Settings(), score=score, content=ThreeNumbers())
    picture = resize(picture, 240, 340)
    expected = by_numpy(picture, pristine, *numbers, centre_deviation)
    assert score_picture(ANY, picture, branch).q_low == pytest.approx(expected, rel=1e-5)


def test_the_papers_score_is_the_distance_to_the_last_bit(picture, pristine):
    branch = LowLevelBranch(FourNumbers(), pristine, Settings())
    assert branch.score == PAPER == LowLevelScore(1.0, 0.0, 0.0, (), float("inf"), "")
    assert low_level_distance(picture, branch) == distance_and_mean(picture, branch)[0]
    assert PAPER.total(0.1 + 0.2, torch.full((128,), -7.0)) == 0.1 + 0.2


def test_a_negative_sum_counts_as_no_distance():
    for score in (LowLevelScore(2.0, 3.0), LowLevelScore(2.0, 0.0, 3.0, (1.0, 0.0))):
        numbers = torch.tensor([-5.0, 8.0])
        assert score.total(1.0, numbers, numbers) == 0
        assert score.total(16.0, numbers, numbers) == 2


def test_visible_distortion_is_of_structure_and_half_the_levels():
    """Not of feature 1, and of no free feature."""
    mean = torch.zeros(128)
    mean[[0, 1, 2, 9, 17, 18]] = torch.tensor([0.3, 50.0, 0.2, 0.5, 0.4, 1000.0])
    assert visible_distortion(mean) == pytest.approx(0.3 + (0.2 + 0.5 + 0.4) / 2)


def test_the_chance_of_distortion_is_of_the_first_features():
    content = torch.tensor([0.25, 0.5, 1000.0])
    assert chance_of_distortion(content, (2.0, 3.0, -0.5)) == 1.5


def test_a_small_picture_is_enlarged_and_a_large_one_is_itself(picture):
    enlarged, note = with_two_patches(picture[:, :60, :100], Settings())
    assert (tuple(enlarged.shape), note) == ((3, 144, 240), ", enlarged to 240x144")
    assert len(extract_patches(enlarged, 96, 48)) >= 2
    same, note = with_two_patches(picture, Settings())
    assert same is picture and note == ""


def test_the_score_that_metadata_asks_for():
    assert score_of_weights({}, FILE) == PAPER
    assert score_of_weights({"steps": "3", "version": "0.1.0"}, FILE) == PAPER
    assert score_of_weights({"distance_scale": "41.2"}, FILE) == LowLevelScore(41.2, 0.0)
    assert score_of_weights({"distortion_weight": "0", "chance_weight": "0"}, FILE) == PAPER
    # As weights from before the chance of distortion was weighed ask.
    former = {"distance_scale": "41.2", "distortion_weight": "3.1"}
    assert score_of_weights(former, FILE) == LowLevelScore(41.2, 3.1)
    asked = LowLevelScore(41.2, 3.1, 0.7, tuple(range(113)), 0.4, "abc")
    assert asked.metadata() == {
        "distance_scale": "41.2",
        "distortion_weight": "3.1",
        "chance_weight": "0.7",
        "chance_regression": str(list(range(113))),
        "centre_deviation": "0.4",
        "content_sha256": "abc",
    }
    for score in (asked, LowLevelScore(2.0), LowLevelScore(2.0, 3.0)):
        assert score_of_weights(score.metadata(), FILE) == score
    steps = {"steps": "3"}
    assert (
        without_score({**steps, **asked.metadata(), "number_weight": "1", "number_regression": ""}) == steps
    )


def test_a_score_that_is_no_longer_computed_is_refused():
    assert score_of_weights({"number_weight": "0.0", "number_regression": "[]"}, FILE) == PAPER
    with pytest.raises(
        UserError, match=r"^w\.safetensors: asks for a score with 'number_weight', which is no"
    ):
        score_of_weights({"number_weight": "1.16"}, FILE)


def test_a_score_belongs_to_content_weights():
    device = torch.device("cpu")
    assert content_of_score(LowLevelScore(2.0, 3.0), FILE, device) is None
    content = load_semantic()
    asking = LowLevelScore(2.0, 3.0, 1.0, tuple(range(113)), 0.4, content.sha256)
    assert content_of_score(asking, FILE, device).sha256 == content.sha256
    with pytest.raises(
        UserError, match=r"^w\.safetensors: its score was made for content weights sha256 0000"
    ):
        content_of_score(replace(asking, content_sha256="0" * 64), FILE, device)


@pytest.mark.parametrize("regression", [
    "", "[]", "[1, 2]", "113", "{}", f"{[0] * 112}", f"{[0] * 112 + ['a']}", f"{[0] * 112 + [10**400]}",
    f"[{'0, ' * 112}Infinity]",
])  # fmt: skip
def test_metadata_whose_regression_is_none(regression):
    expected = r"^w\.safetensors: 'chance_regression' is .* list of 113 finite"
    for weight in ("3",) if regression == "[]" else ("3", "0"):
        with pytest.raises(UserError, match=expected):
            score_of_weights({"chance_weight": weight, "chance_regression": regression}, FILE)


@pytest.mark.parametrize("key, value, expected", [
    ("distance_scale", "large", "above 0"), ("distance_scale", "nan", "above 0"),
    ("distance_scale", "inf", "above 0"), ("distance_scale", "0", "above 0"),
    ("distance_scale", "-1", "above 0"), ("distance_scale", "", "above 0"),
    ("distortion_weight", "none", "of 0 or more"), ("distortion_weight", "nan", "of 0 or more"),
    ("distortion_weight", "inf", "of 0 or more"), ("chance_weight", "-0.1", "of 0 or more"),
    ("chance_weight", "none", "of 0 or more"),
])  # fmt: skip
def test_metadata_that_asks_for_no_score(key, value, expected):
    with pytest.raises(UserError) as caught:
        score_of_weights({key: value}, FILE)
    assert str(caught.value) == f"w.safetensors: '{key}' is '{value}', expected a finite number {expected}."


@pytest.mark.parametrize("deviation", ["none", "nan", "0", "0.09", "-1", "-inf"])
def test_metadata_that_asks_for_no_weights_of_patches(deviation):
    with pytest.raises(UserError, match=r"^w\.safetensors: 'centre_deviation' is .* 0.1 or more, or inf"):
        score_of_weights({"centre_deviation": deviation}, FILE)
    assert score_of_weights({"centre_deviation": "0.1"}, FILE) == LowLevelScore(centre_deviation=0.1)
    assert (
        centre_weights(2, 3, score_of_weights({"centre_deviation": "1e200"}, FILE).centre_deviation).min()
        == 1
    )


def test_the_formula_in_words():
    assert PAPER.formula() == ""
    assert LowLevelScore(41.2).formula() == "41.2 x distance"
    assert LowLevelScore(1.0, 3.1).formula() == "1 x (distance + 3.1 x distortion)"
    words = "1 x (distance + 3.1 x distortion + 0.5 x chance of distortion)"
    assert LowLevelScore(1.0, 3.1, 0.5, REGRESSION).formula() == words
    centred = f"{words}, patches weighted by a Gaussian of 0.4 half sides"
    assert LowLevelScore(1.0, 3.1, 0.5, REGRESSION, 0.4).formula() == centred
