"""The two numbers of a score from measurements, and the measurements."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image

from configs import ZeroShot
from datasets.distortions import apply
from Evaluation.calibration import (
    KINDS,
    LEVELS,
    CalibrationError,
    calibrate,
    centre,
    evenly_spaced,
    measure,
    trained_on_targets,
)
from Evaluation.distance import distance_of_quality, low_level_quality, statistics
from Evaluation.zeroshot import LowLevelBranch, distance_and_distortion
from models.low_level import LowLevelEncoder

DISTANCES = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 9.0])
DISTORTIONS = np.array([0.1, 0.2, 0.2, 0.4, 0.3, 0.9])
SAMPLE_LEVELS = np.array([0.1, 0.1, 0.5, 0.9, 0.9, 0.9])


def test_taught_weights_give_distortion_the_spread_of_distance():
    score = calibrate(DISTANCES, DISTORTIONS, SAMPLE_LEVELS, taught=True)
    weight = np.sqrt(np.mean((DISTANCES - 4) ** 2) / np.mean((DISTORTIONS - 0.35) ** 2))
    assert score.distortion_weight == float(f"{weight:.3g}")
    # At level .9 the median version is the one of d 5 and k .4.
    median = 5.0 + score.distortion_weight * 0.4
    assert score.scale == float(f"{100 * np.log(19) / median:.3g}")
    assert low_level_quality(score.total(5.0, 0.4)) == pytest.approx(0.05, abs=5e-4)


def test_other_weights_have_no_distortion_to_add():
    score = calibrate(DISTANCES, np.zeros(6), SAMPLE_LEVELS, taught=False)
    assert score.distortion_weight == 0
    assert score.scale == float(f"{100 * np.log(19) / 5:.3g}")
    assert low_level_quality(score.total(5.0, 123.0)) == pytest.approx(0.05, abs=5e-4)


@pytest.mark.parametrize("distances, distortions, reason", [
    (DISTANCES, np.ones(6), "first features are the same"),
    (np.zeros(6), np.zeros(6), "do not tell distorted photographs"),
    (DISTANCES, -1000 + DISTORTIONS, "do not tell distorted photographs"),
])  # fmt: skip
def test_measurements_that_make_no_score(distances, distortions, reason):
    with pytest.raises(CalibrationError, match=reason):
        calibrate(distances, distortions, SAMPLE_LEVELS, taught=distortions.any())


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
    distances, distortions, levels = measure(paths, branch, most=2)
    assert len(distances) == len(distortions) == 2 * len(KINDS) * len(LEVELS)
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
                expected.append(distance_and_distortion(tensor, branch))
    np.testing.assert_allclose(np.column_stack([distances, distortions]), expected, rtol=1e-6)
    # The noise follows from the name: the two photographs are equal but for that.
    assert distances[3] != distances[15] and distances[0] == pytest.approx(distances[12])


def test_a_photograph_of_one_patch_is_enlarged(branch, tmp_path):
    Image.fromarray(inputs.to_uint8(inputs.structured(1, 100, 110))).save(tmp_path / "a.png")
    distances, _, _ = measure([tmp_path / "a.png"], branch)
    assert np.isfinite(distances).all()
