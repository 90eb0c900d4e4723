"""The extended score: its formula by numpy, and what weights' metadata may ask for."""

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from datasets.distorted.targets import TARGETS
from Evaluation.distance import low_level_quality, statistics
from Evaluation.extended.detail import detail
from Evaluation.extended.score import (
    PARTS,
    ExtendedScore,
    distortion_regression,
    inverse_softplus,
    read_extended,
    semantic_regression,
    softplus,
    targets_of,
    without_score,
)
from Evaluation.image_sizes import resize
from models.semantic import SEMANTIC_FEATURES
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level
from models.weights.semantic import SemanticWeights
from utils.errors import UserError

FILE = Path("w.safetensors")
# Slopes of three semantic features, and the intercept.
REGRESSION = (0.5, -0.2, 0.3, 0.1)


class FourNumbers(torch.nn.Module):
    """Four features of a patch that plain numpy can make too."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, patches):
        red = patches[:, 0].flatten(1)
        return torch.stack([red.std(1), red.mean(1), patches[:, 1, 0, 0], patches[:, 2, 5, 7]], 1)


class TwoStages(FourNumbers):
    """Maps of two channels and of one at half the size."""

    def forward(self, images):
        return [images[:, :2], images[:, 2:, ::2, ::2]]


def by_numpy(image, pristine, numbers):
    """240 x 340 pixels hold two rows of three tiles; every formula written out."""
    scale, w, v, u, least = numbers
    pixels = image.numpy().astype(np.float64)
    rows, weights = [], []
    for row, top in enumerate((12, 132)):
        for column, left in enumerate((9, 122, 235)):
            patch = pixels[:, top : top + 96, left : left + 96]
            rows.append([patch[0].std(ddof=1), patch[0].mean(), patch[1, 0, 0], patch[2, 5, 7]])
            y, x = (2 * row + 1) / 2 - 1, (2 * column + 1) / 3 - 1
            weights.append(np.exp(-(x * x + y * y) / (2 * 0.4**2)))
    features, weights = np.array(rows), np.array(weights) / np.sum(weights)
    mean, n = weights @ features, 1 / np.sum(weights**2)
    covariance = ((n - 1) * np.cov(features.T, aweights=weights) + 20 * pristine.covariance.numpy()) / (
        n + 19
    )
    between = (pristine.covariance.numpy() + covariance) / 2 + 0.001 * np.eye(4)
    difference = pristine.mean.numpy() - mean
    d = np.sqrt(difference @ np.linalg.inv(between) @ difference)
    k = mean[0] + (mean[2] + mean[3]) / 2
    middle = [np.exp(-(((2 * np.arange(n) + 1 - n) / n) ** 2) / (2 * 0.4**2)) for n in (240, 340, 120, 170)]
    middle = [line / line.sum() for line in middle]
    seen = [*(middle[0] @ pixels[i] @ middle[1] for i in (0, 1)), middle[2] @ pixels[2, ::2, ::2] @ middle[3]]
    c = np.dot(seen, REGRESSION[:3]) + REGRESSION[3]
    f = max(0.0, np.log(least / detail(image).item())) if least else 0.0
    number = 50 * np.log(1 + np.exp(scale * (w * d + v * k + c + u * f) / 50))
    return 1 - 1 / (1 + np.exp(-number / 100))


@pytest.mark.parametrize("numbers", [
    (41.2, 1.0, 0.0, 0.0, 0.0), (41.2, 1.0, 3.1, 0.0, 0.0), (9.0, 0.2, 0.5, 0.0, 0.0),
    (9.0, 0.2, 0.5, 0.7, 5.0),
])  # fmt: skip
def test_the_formula(numbers, make_model):
    array = inputs.image_under_test(0)
    image = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).float() / 255
    image = resize(image, 240, 340)
    pristine = statistics(torch.rand(30, 4, generator=torch.Generator().manual_seed(1)))
    score = ExtendedScore(*numbers, REGRESSION, "abc", targets=("structure", "total", "a", "b"))
    model = make_model(encoder=FourNumbers(), engine="torch")
    vars(model.encoders)["semantic"] = SemanticWeights(TwoStages(), FILE, "abc")
    measured = model.measure(image, PARTS)
    found = low_level_quality(score.distance(measured, pristine, 0.001)).item()
    assert found == pytest.approx(by_numpy(image, pristine, numbers), rel=1e-5)
    terms = score.terms(measured, pristine, 0.001)
    assert (terms[3] > 0) == (score.least_detail > 0)


def test_a_negative_sum_is_a_small_distance_and_not_the_same_for_all():
    score = ExtendedScore(2.0, 1.0, 3.0, 4.0, 0.01, REGRESSION, "abc")
    terms = torch.tensor([[0, 0, -500, 0], [0, 0, -499, 0], [1600, -5, 0.5, 1]], dtype=torch.float64)
    less, more, large = score.total(*terms.T).tolist()
    assert 0 < less < more < 1e-6
    assert large == pytest.approx(2 * (1600 - 15 + 0.5 + 4), rel=1e-12)
    for value in (-300.0, -1.0, 0.0, 20.0, 1000.0):
        positive = softplus(torch.tensor(value, dtype=torch.float64)).item()
        assert inverse_softplus(positive) == pytest.approx(value, abs=1e-9)


def test_distortion_regression_is_of_structure_and_half_the_levels():
    """Not of feature 1, and of no free feature; how many levels there are the names tell."""
    mean = torch.zeros(128)
    mean[[0, 1, 2, 9, 17, 18]] = torch.tensor([0.3, 50.0, 0.2, 0.5, 0.4, 1000.0])
    assert distortion_regression(mean, TARGETS).item() == pytest.approx(0.3 + (0.2 + 0.5 + 0.4) / 2)
    assert distortion_regression(mean, TARGETS[:4]).item() == pytest.approx(0.3 + 0.2 / 2)


def test_semantic_regression_is_linear():
    assert semantic_regression(torch.tensor([0.25, 0.5], dtype=torch.float64), (2.0, 3.0, -0.5)) == 1.5


ASKED = ExtendedScore(
    41.2, 0.3, 0.7, 2.0, 0.007, tuple(range(SEMANTIC_FEATURES + 1)), "abc", ("structure", "total", "jpeg")
)


def test_the_score_that_metadata_asks_for():
    assert read_extended({}, FILE) is None
    assert read_extended({"steps": "3", "version": "0.1.0"}, FILE) is None
    assert ASKED.metadata()["distortion_targets"] == '["structure", "total", "jpeg"]'
    assert read_extended(ASKED.metadata(), FILE) == ASKED
    former = {"steps": "3", "distance_scale": "41.2", "chance_weight": "3"}
    left = without_score({**former, **ASKED.metadata()})
    assert left == {"steps": "3", "distortion_targets": '["structure", "total", "jpeg"]'}
    with pytest.raises(
        UserError, match=r"^w\.safetensors: its extended score is of an older version; make one"
    ):
        read_extended(former, FILE)


def test_what_the_shipped_weights_were_taught():
    """What they do not name are the kinds of then: another in DISTORTIONS would not change their score."""
    score = read_extended(load_low_level(DEFAULT_LOW_LEVEL).metadata, DEFAULT_LOW_LEVEL)
    assert score.targets == (
        "structure", "total", "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise",
        "jpeg", "jpeg2000", "resample", "low_contrast", "high_contrast", "over_exposure", "under_exposure",
        "haze", "colour_cast", "denoise", "sharpen",
    )  # fmt: skip


@pytest.mark.parametrize("targets", ["", "[]", '["total", "structure"]', '["structure", "total", 3]', "{}"])
def test_targets_that_are_none(targets):
    with pytest.raises(UserError, match=r"^w\.safetensors: 'distortion_targets' "):
        targets_of({"distortion_targets": targets}, FILE)


@pytest.mark.parametrize("value", ["", "[]", "3", "{}", '{"scale": 1}'])
def test_metadata_that_is_no_score(value):
    with pytest.raises(UserError, match=r"^w\.safetensors: 'extended_score' is not a JSON object of scale, "):
        read_extended({"extended_score": value}, FILE)


@pytest.mark.parametrize("name, value", [
    *(("scale", value) for value in ("large", float("nan"), float("inf"), 10**400, 0, -1, None, True)),
    *((f"{name}_weight", -0.1) for name in ("distance", "distortion", "detail")), ("least_detail", -0.1),
    *(("regression", value) for value in (3, [], [0] * SEMANTIC_FEATURES, [*[0] * SEMANTIC_FEATURES, "a"])),
    ("regression", [*[0] * SEMANTIC_FEATURES, float("inf")]), ("semantic_sha256", 3),
])  # fmt: skip
def test_metadata_that_asks_for_no_score(name, value):
    asked = json.loads(ASKED.metadata()["extended_score"]) | {name: value}
    with pytest.raises(UserError, match=rf"^w\.safetensors: '{name}' in its 'extended_score' is not "):
        read_extended({"extended_score": json.dumps(asked)}, FILE)


def test_the_formula_in_words():
    words = "softplus of 41.2 x (0.3 x distance + 0.7 x distortion regression + semantic regression + 2 x "
    assert ASKED.formula().startswith(f"{words}lack of detail)")
