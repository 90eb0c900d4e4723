"""The numbers of a score from measurements, and the measurements."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS, ZeroShot
from datasets.delivery import deliver
from datasets.distortions import apply
from datasets.synthesis import versions
from Evaluation.calibration import (
    KINDS,
    LEVELS,
    CalibrationError,
    calibrate,
    centre,
    evenly_spaced,
    fit_number_of_distortions,
    measure,
    trained_on_targets,
)
from Evaluation.distance import distance_of_quality, low_level_quality, statistics
from Evaluation.low_level_score import LowLevelScore
from Evaluation.ridge import fit_ridge
from Evaluation.zeroshot import LowLevelBranch, distance_and_mean
from models.low_level import LowLevelEncoder

DISTANCES = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 9.0])
# Structure, total and two levels of each version; two features are not used.
MEANS = np.array([
    [0.1, 7.0, 0.0, 0.2], [0.2, 3.0, 0.4, 0.0], [0.2, 9.0, 0.1, 0.3],
    [0.4, 1.0, 0.6, 0.2], [0.3, 2.0, 0.3, 0.3], [0.9, 0.0, 0.8, 0.8],
])  # fmt: skip
REGRESSION = (0.0, 0.0, 1.0, 0.5)
SAMPLE_LEVELS = np.array([0.1, 0.1, 0.5, 0.9, 0.9, 0.9])


def test_distortion_has_the_spread_of_the_distance_and_its_number_an_eighth():
    score = calibrate(DISTANCES, MEANS, SAMPLE_LEVELS, REGRESSION)
    k, n = MEANS[:, 0] + MEANS[:, 2:].sum(1) / 2, MEANS[:, 2] + 0.5
    w, v = DISTANCES.std() / k.std(), DISTANCES.std() / n.std() / 8
    assert (score.distortion_weight, score.number_weight) == (float(f"{w:.3g}"), float(f"{v:.3g}"))
    assert (score.number_regression, score.centre_deviation) == (REGRESSION, 0.4)
    # At level .9 the median version is the fourth one.
    median = 5.0 + score.distortion_weight * 0.8 + score.number_weight * 1.1
    assert score.scale == float(f"{100 * np.log(19) / median:.3g}")
    assert low_level_quality(score.total(5.0, torch.from_numpy(MEANS[3]))) == pytest.approx(0.05, abs=5e-4)


def test_other_weights_have_no_distortion_to_weigh():
    score = calibrate(DISTANCES, MEANS, SAMPLE_LEVELS, ())
    assert (score.distortion_weight, score.number_weight, score.number_regression) == (0, 0, ())
    assert score.centre_deviation == 0.4
    assert score.scale == float(f"{100 * np.log(19) / 5:.3g}")
    assert low_level_quality(score.total(5.0, torch.ones(4))) == pytest.approx(0.05, abs=5e-4)


@pytest.mark.parametrize("distances, means, regression, reason", [
    (DISTANCES, np.ones((6, 4)), REGRESSION, "first features are the same"),
    (DISTANCES, MEANS * [1, 1, 0, 1], REGRESSION, "first features are the same"),
    (np.zeros(6), MEANS, (), "do not tell distorted photographs"),
    (DISTANCES, MEANS, (0.0, 0.0, 1.0, -1000.0), "do not tell distorted photographs"),
])  # fmt: skip
def test_measurements_that_make_no_score(distances, means, regression, reason):
    with pytest.raises(CalibrationError, match=reason):
        calibrate(distances, means, SAMPLE_LEVELS, regression)


@pytest.mark.parametrize("quality", [1e-6, 0.05, 0.3, 0.5])
def test_the_distance_of_a_quality(quality):
    assert low_level_quality(distance_of_quality(quality)) == pytest.approx(quality, rel=1e-12)


def test_what_the_configuration_says_of_targets():
    assert trained_on_targets({"configuration": '{"objective": "targets"}'})
    assert not trained_on_targets({"configuration": '{"objective": "contrastive"}'})
    assert not trained_on_targets({"configuration": "{}"})
    assert not trained_on_targets({"steps": "3"})
    for damaged in ("{", '["targets"]'):
        with pytest.raises(CalibrationError, match="'configuration' in the weights' metadata"):
            trained_on_targets({"configuration": damaged})


def test_photographs_are_evenly_spaced():
    paths = [Path(f"{n}.png") for n in range(9)]
    assert evenly_spaced(paths, 9) == evenly_spaced(paths, 40) == paths
    assert evenly_spaced(paths, 3) == [Path("0.png"), Path("4.png"), Path("8.png")]


def test_the_centre_of_a_picture():
    picture = torch.arange(3 * 4 * 7).reshape(3, 4, 7)
    assert torch.equal(centre(picture, 5), picture[:, :, 1:6])
    assert torch.equal(centre(picture, 2), picture[:, 1:3, 2:4])


@pytest.fixture(scope="module")
def branch():
    torch.manual_seed(0)
    features = torch.randn(300, 128, generator=torch.Generator().manual_seed(1))
    return LowLevelBranch(LowLevelEncoder().eval(), statistics(features), ZeroShot())


def test_each_version_is_measured_as_its_file_would_be(branch, tmp_path):
    """The largest photograph has a side above the crop; files of the versions give the same numbers."""
    pixels = inputs.to_uint8(inputs.structured(1, 150, 560))
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    distances, means, levels = measure(paths, branch, most=2)
    centred = replace(branch, score=LowLevelScore(centre_deviation=0.4))
    assert len(distances) == len(means) == 2 * len(KINDS) * len(LEVELS)
    assert levels.tolist() == 2 * len(KINDS) * [*LEVELS]
    expected = []
    for name in ("a.png", "c.png"):
        rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
        generators = iter(rng.spawn(12))
        for kind in ("gaussian_blur", "white_noise", "jpeg", "jpeg2000"):
            for level in (0.1, 0.5, 0.9):
                photograph = pixels[:, 24:536].astype(np.float32) / np.float32(255)
                version = np.rint(apply(kind, photograph, level, next(generators)) * 255).astype(np.uint8)
                tensor = torch.from_numpy(version).permute(2, 0, 1).float() / 255
                expected.append(distance_and_mean(tensor, centred))
    np.testing.assert_allclose(distances, [d for d, _ in expected], rtol=1e-6)
    np.testing.assert_allclose(means, torch.stack([mean for _, mean in expected]), rtol=1e-6)
    # The noise follows from the name: the two photographs are equal but for that.
    assert distances[3] != distances[15] and distances[0] == pytest.approx(distances[12])


def test_a_photograph_of_one_patch_is_enlarged(branch, tmp_path):
    Image.fromarray(inputs.to_uint8(inputs.structured(1, 100, 110))).save(tmp_path / "a.png")
    distances, _, _ = measure([tmp_path / "a.png"], branch)
    assert np.isfinite(distances).all()


def test_distortions_are_counted_as_the_regression_of_their_number_says(branch, tmp_path):
    """The number is in the file names of a set; the delivery of a version is none of its distortions."""
    for k, name in enumerate("abc"):
        Image.fromarray(inputs.to_uint8(inputs.structured(k, 150, 400))).save(tmp_path / f"{name}.png")
    presets = (replace(CAMERA_SYNTHESIS, versions=4), replace(CHAINS_SYNTHESIS, versions=4))
    features, numbers = [], []
    for name in ("a.png", "c.png"):
        seed = hashlib.sha256(name.encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
        rng, middle = np.random.default_rng(list(seed)), read_pixels(tmp_path / name)[:, 8:392]
        made = [pair for preset in presets for pair in versions(middle, preset, rng)]
        for stem, pixels in made:
            tensor = deliver(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, 0.75, generator)
            patches = tensor[0, :, :96].unfold(2, 96, 96).permute(2, 0, 1, 3)  # four that do not overlap
            with torch.inference_mode():
                features.append(branch.encoder(patches).double().mean(0)[:18].numpy())
            numbers.append(0 if "REF" in stem else stem.count("+") + 1)
    assert len(numbers) == 2 * 2 * 5 and max(numbers) > 1
    expected = fit_ridge(np.stack(features), np.array(numbers), (0.1, 1.0, 10.0, 100.0), standardise=True)
    slopes_and_intercept = fit_number_of_distortions(sorted(tmp_path.iterdir()), branch, most=2)
    assert len(slopes_and_intercept) == 19
    np.testing.assert_allclose(slopes_and_intercept, [*expected.weights, expected.intercept], rtol=6e-3)


def read_pixels(path):
    return np.array(Image.open(path))
