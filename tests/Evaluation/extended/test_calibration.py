"""The numbers of a score from measurements, and the measurements."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS, Settings
from datasets.distorted.distortions import apply
from datasets.distorted.jpeg_augmentation import deliver
from datasets.distorted.synthesis import versions
from Evaluation.distance import distance_of_quality, low_level_quality, statistics
from Evaluation.extended.calibration import (
    KINDS,
    LEVELS,
    Measurements,
    calibrate,
    centre,
    evenly_spaced,
    fit_chance_of_distortion,
    measure,
    trained_on_targets,
)
from Evaluation.extended.score import LowLevelScore
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.zeroshot import LowLevelBranch, distance_and_mean
from models.low_level import LowLevelEncoder
from models.weights.semantic import load_semantic
from utils.errors import UserError

# Structure, total and two levels of each version; then two content features, and as many more as there are.
MEASURED = Measurements(
    np.array([1.0, 2.0, 3.0, 5.0, 4.0, 9.0]),
    np.array([
        [0.1, 7.0, 0.0, 0.2], [0.2, 3.0, 0.4, 0.0], [0.2, 9.0, 0.1, 0.3],
        [0.4, 1.0, 0.6, 0.2], [0.3, 2.0, 0.3, 0.3], [0.9, 0.0, 0.8, 0.8],
    ]),
    np.array([[0.1, 8.0], [0.0, 3.0], [0.4, 5.0], [0.6, 1.0], [0.5, 0.0], [0.9, 2.0]]),
    np.array([0.1, 0.1, 0.5, 0.9, 0.9, 0.9]),
)  # fmt: skip
REGRESSION = (0.5, -0.01, 0.25)


def test_signs_of_distortion_have_the_spread_of_the_distance():
    score = calibrate(MEASURED, REGRESSION, "abc", taught=True)
    d, k = MEASURED.distances, MEASURED.means[:, 0] + MEASURED.means[:, 2:].sum(1) / 2
    c = MEASURED.contents @ REGRESSION[:2] + 0.25
    w, v = d.std() / k.std(), d.std() / c.std()
    assert (score.distortion_weight, score.chance_weight) == (float(f"{w:.3g}"), float(f"{v:.3g}"))
    assert (score.chance_regression, score.content_sha256) == (REGRESSION, "abc")
    assert score.centre_deviation == 0.4
    # At level .9 the median version is the fourth one.
    median = 5.0 + score.distortion_weight * 0.8 + score.chance_weight * (0.3 - 0.01 + 0.25)
    assert score.scale == float(f"{100 * np.log(19) / median:.3g}")
    fourth = torch.from_numpy(MEASURED.means[3]), torch.from_numpy(MEASURED.contents[3])
    assert low_level_quality(score.total(5.0, *fourth)) == pytest.approx(0.05, abs=5e-4)


def test_other_weights_have_no_levels_to_weigh():
    score = calibrate(MEASURED, REGRESSION, "abc", taught=False)
    assert score.distortion_weight == 0
    assert score.chance_weight == calibrate(MEASURED, REGRESSION, "abc", taught=True).chance_weight
    assert score.scale == float(f"{100 * np.log(19) / (5 + score.chance_weight * 0.54):.3g}")


@pytest.mark.parametrize("changes, regression, reason", [
    ({"means": np.ones((6, 4))}, REGRESSION, "features are the same"),
    ({"contents": np.ones((6, 2))}, REGRESSION, "features are the same"),
    ({"distances": np.zeros(6)}, REGRESSION, "do not tell distorted photographs"),
    ({}, (0.5, -0.01, -1000.0), "do not tell distorted photographs"),
])  # fmt: skip
def test_measurements_that_make_no_score(changes, regression, reason):
    with pytest.raises(UserError, match=reason):
        calibrate(replace(MEASURED, **changes), regression, "abc", taught=True)


@pytest.mark.parametrize("quality", [1e-6, 0.05, 0.3, 0.5])
def test_the_distance_of_a_quality(quality):
    assert low_level_quality(distance_of_quality(quality)) == pytest.approx(quality, rel=1e-12)


def test_what_the_configuration_says_of_targets():
    assert trained_on_targets({"configuration": '{"objective": "targets"}'})
    assert not trained_on_targets({"configuration": '{"objective": "contrastive"}'})
    assert not trained_on_targets({"configuration": "{}"})
    assert not trained_on_targets({"steps": "3"})
    for damaged in ("{", '["targets"]'):
        with pytest.raises(UserError, match="'configuration' in the weights' metadata"):
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
    content = load_semantic().encoder
    return LowLevelBranch(LowLevelEncoder().eval(), statistics(features), Settings(), content=content)


def test_each_version_is_measured_as_its_file_would_be(branch, tmp_path):
    """The largest photograph has a side above the crop; files of the versions give the same numbers."""
    pixels = inputs.to_uint8(inputs.structured(1, 230, 560))
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    measured = measure(paths, branch, most=2)
    distances, means = measured.distances, measured.means
    centred = replace(branch, score=LowLevelScore(centre_deviation=0.4))
    assert len(distances) == len(means) == 2 * len(KINDS) * len(LEVELS)
    assert measured.levels.tolist() == 2 * len(KINDS) * [*LEVELS]
    expected, seen = [], []
    for name in ("a.png", "c.png"):
        rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
        generators = iter(rng.spawn(12))
        for kind in ("gaussian_blur", "white_noise", "jpeg", "jpeg2000"):
            for level in (0.1, 0.5, 0.9):
                photograph = pixels[:, 24:536].astype(np.float32) / np.float32(255)
                version = np.rint(apply(kind, photograph, level, next(generators)) * 255).astype(np.uint8)
                tensor = torch.from_numpy(version).permute(2, 0, 1).float() / 255
                expected.append(distance_and_mean(tensor, centred))
                seen.append(semantic_features(tensor, branch.content, Settings())[0])
    np.testing.assert_allclose(distances, [d for d, _ in expected], rtol=1e-6)
    np.testing.assert_allclose(means, torch.stack([mean for _, mean in expected]), rtol=1e-6)
    np.testing.assert_allclose(measured.contents, torch.stack(seen), rtol=1e-6)
    # The noise follows from the name: the two photographs are equal but for that.
    assert distances[3] != distances[15] and distances[0] == pytest.approx(distances[12])


def test_a_photograph_of_one_patch_is_enlarged(branch, tmp_path):
    Image.fromarray(inputs.to_uint8(inputs.structured(1, 100, 110))).save(tmp_path / "a.png")
    measured = measure([tmp_path / "a.png"], branch)
    assert np.isfinite(measured.distances).all() and np.isfinite(measured.contents).all()


def test_the_chance_of_distortion_is_what_tells_versions_from_references(branch, tmp_path):
    """Which is which is in the file names of a set; the delivery of a version is no distortion."""
    for k, name in enumerate("abc"):
        Image.fromarray(inputs.to_uint8(inputs.structured(k, 240, 400))).save(tmp_path / f"{name}.png")
    presets = (replace(CAMERA_SYNTHESIS, versions=4), replace(CHAINS_SYNTHESIS, versions=4))
    features, distorted = [], []
    for name in ("a.png", "c.png"):
        seed = hashlib.sha256(name.encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
        rng, middle = np.random.default_rng(list(seed)), read_pixels(tmp_path / name)[:, 8:392]
        made = [pair for preset in presets for pair in versions(middle, preset, rng)]
        for stem, pixels in made:
            tensor = deliver(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, 0.75, generator)
            # Two patches of 224 that overlap by half, as far from the middle as each other.
            patches = torch.stack([tensor[0, :, :224, left : left + 224] for left in (0, 112)])
            with torch.inference_mode():
                features.append(branch.content(patches).double().mean(0)[:112].numpy())
            distorted.append(0.0 if "REF" in stem else 1.0)
    assert len(distorted) == 2 * 2 * 5 and sum(distorted) == 2 * 2 * 4
    expected = fit_ridge(np.stack(features), np.array(distorted), (0.1, 1.0, 10.0, 100.0), standardise=True)
    found = fit_chance_of_distortion(sorted(tmp_path.iterdir()), branch.content, Settings(), most=2)
    assert len(found) == 113
    np.testing.assert_allclose(found, [*expected.weights, expected.intercept], rtol=6e-3)


def read_pixels(path):
    return np.array(Image.open(path))
