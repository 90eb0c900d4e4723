"""The numbers of an extended score from what is measured of distorted versions, and the versions."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image

from datasets.distorted.jpeg_augmentation import through_jpeg
from datasets.distorted.synthesis import versions
from datasets.distorted.targets import TARGETS, levels_of
from Evaluation.distance import distance_of_quality, low_level_quality
from Evaluation.extended import calibration
from Evaluation.extended.calibration import (
    PRESETS,
    Versions,
    calibrate,
    evenly_spaced,
    fit_semantic_regression,
    measure_versions,
    trained_on_targets,
)
from Evaluation.extended.score import PARTS, low_level_terms, semantic_regression
from models.semantic import SEMANTIC_FEATURES
from utils.errors import UserError


def made_versions(seed=0, images=20):
    """References and three versions of each image; what one sees of them grows with the level."""
    rng = np.random.default_rng(seed)
    levels = np.tile([0.0, 0.3, 0.6, 0.9], images)
    semantic = rng.normal(size=(len(levels), 6)) + np.outer(levels, [2, 1, 0, 0, 0, 0])
    low_level = 1 + rng.random((len(levels), 2)) + np.outer(levels, [3, 1])
    detail = rng.uniform(0.01, 0.1, len(levels))
    return Versions(low_level, semantic, detail, levels, np.repeat(np.arange(images), 4))


def test_the_numbers_of_a_score():
    """A quarter of the spread each for distance and distortion regression, and the two ends of Q_low."""
    measured = made_versions()
    score = calibrate(measured, "abc", ("structure", "total"))
    d, k = measured.low_level.T
    c = semantic_regression(torch.from_numpy(measured.semantic), score.regression)
    assert score.distance_weight * d.std() == pytest.approx(c.std(correction=0).item() / 4, rel=1e-3)
    assert score.distortion_weight * k.std() == pytest.approx(c.std(correction=0).item() / 4, rel=1e-3)
    assert score.detail_weight == pytest.approx(6 * c.std(correction=0).item(), rel=1e-3)
    assert score.least_detail == pytest.approx(0.75 * np.percentile(measured.detail[::4], 1), rel=1e-3)
    total = score.total(torch.from_numpy(d), torch.from_numpy(k), c, torch.zeros_like(c))
    assert low_level_quality(total[::4].quantile(0.5)).item() == pytest.approx(0.35, abs=2e-3)
    assert low_level_quality(total[3::4].quantile(0.5)).item() == pytest.approx(0.05, abs=2e-3)
    assert (score.semantic_sha256, score.targets) == ("abc", ("structure", "total"))


def test_weights_without_targets_have_no_levels_to_weigh():
    score = calibrate(made_versions(), "abc", ())
    assert score.distortion_weight == 0 and score.distance_weight > 0
    assert score.targets == TARGETS


@pytest.mark.parametrize("name, value, reason", [
    ("low_level", 1.0, "features are the same"), ("semantic", 1.0, "features are the same"),
    ("levels", (0.9, 0.3, 0.6, 0.0), "do not tell distorted"),
])  # fmt: skip
def test_measurements_that_make_no_score(name, value, reason):
    measured = made_versions()
    changed = np.resize(value, getattr(measured, name).shape)
    if name == "levels":  # what is distorted less is further away
        measured = replace(measured, semantic=np.zeros_like(measured.semantic) + measured.semantic[:, 2:3])
    with pytest.raises(UserError, match=reason):
        calibrate(replace(measured, **{name: changed}), "abc", ("structure", "total"))


def test_the_semantic_regression_is_ridge_regression():
    """`(X^T X + penalty N) s = X^T (y - mean(y))`, X standardised, by the strongest that serves."""
    measured = made_versions()
    x = (measured.semantic - measured.semantic.mean(0)) / measured.semantic.std(0)
    y = (measured.levels > 0).astype(float)
    solved = np.linalg.solve(x.T @ x + 50 * len(x) * np.eye(6), x.T @ (y - y.mean()))
    *slopes, intercept = fit_semantic_regression(measured)
    np.testing.assert_allclose(measured.semantic @ slopes + intercept, x @ solved + y.mean(), rtol=1e-9)


def test_a_penalty_that_costs_too_much_is_not_taken():
    """Distorted is what two features differ by that otherwise agree; between images they vary a lot."""
    measured = made_versions()
    distorted, shown = measured.levels > 0, np.random.default_rng(1).normal(size=(80, 1))
    pair = shown + np.outer(distorted, [0.1, -0.1])
    *slopes, intercept = fit_semantic_regression(replace(measured, semantic=pair), (1e-6, 100.0))
    np.testing.assert_allclose(pair @ slopes + intercept, distorted, atol=0.05)


@pytest.mark.parametrize("quality", [1e-6, 0.05, 0.3, 0.5])
def test_the_distance_of_a_quality(quality):
    distance = torch.tensor(distance_of_quality(quality), dtype=torch.float64)
    assert low_level_quality(distance).item() == pytest.approx(quality, rel=1e-12)


def test_what_the_configuration_says_of_targets():
    assert trained_on_targets({"configuration": '{"objective": "targets"}'})
    for other in ({"configuration": '{"objective": "contrast"}'}, {"configuration": "{}"}, {"steps": "3"}):
        assert not trained_on_targets(other)
    for damaged in ("{", '["targets"]'):
        with pytest.raises(UserError, match="'configuration' in the weights' metadata"):
            trained_on_targets({"configuration": damaged})


def test_images_are_evenly_spaced():
    paths = [Path(f"{n}.png") for n in range(9)]
    assert evenly_spaced(paths, 9) == evenly_spaced(paths, 40) == paths
    assert evenly_spaced(paths, 3) == [Path("0.png"), Path("4.png"), Path("8.png")]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(score="own")


def test_each_version_is_measured_as_its_file_would_be(model, tmp_path):
    """As a whole and as a crop; a large image as a crop of half its size too."""
    pixels = inputs.to_uint8(inputs.structured(1, 130, 560))
    for name in ("a.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    pristine = model.pristine.statistics
    measured = measure_versions([tmp_path / "a.png", tmp_path / "c.png"], model, pristine, TARGETS)
    own, count = measured.images == 1, len(measured.levels) // 2
    assert own.sum() == count and (measured.levels[own] == 0).sum() == 2  # a whole and a crop
    assert measured.semantic.shape == (2 * count, SEMANTIC_FEATURES)
    assert ((measured.levels > 1).sum(), measured.levels.max() <= 1.4) == (2 * 2 * 2, True)

    seed = hashlib.sha256(b"c.png").digest()
    rng, generator = np.random.default_rng(list(seed)), torch.Generator()
    generator.manual_seed(int.from_bytes(seed[:7], "big"))
    for place, (stem, version) in enumerate(versions(pixels, PRESETS[0], rng)):
        tensor = torch.from_numpy(version).permute(2, 0, 1).float() / 255
        if place:  # the reference comes once for all presets, first
            seen = model.measure(through_jpeg(tensor[None], 0.75, generator)[0], PARTS)
            expected = low_level_terms(seen, pristine, 0.001, TARGETS)
            np.testing.assert_allclose(measured.low_level[count + place], expected, rtol=1e-6)
            level = max(levels_of(stem).values())
            assert measured.levels[count + place] == level
        else:
            through_jpeg(tensor[None], 0.75, generator)
    # Noise follows from the name: the images are equal but for that.
    assert not np.array_equal(measured.low_level[:count], measured.low_level[count:])


def test_a_large_image_is_seen_at_its_own_and_at_half_its_scale():
    pixels = inputs.to_uint8(inputs.structured(1, 800, 900))
    whole, crop, half = calibration._references(pixels, np.random.default_rng(0))
    assert (whole.shape, crop.shape, half.shape) == ((512, 576, 3), (384, 384, 3), (384, 384, 3))
    matches = [
        np.array_equal(pixels[top : top + 384, left : left + 384], crop)
        for top in range(417) for left in range(517) if (pixels[top, left] == crop[0, 0]).all()
    ]  # fmt: skip
    assert sum(matches) == 1
