"""The numbers of an extended score from what is measured of distorted versions, and the versions."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image
from sklearn.linear_model import RidgeCV

from configs import CAMERA_SYNTHESIS, CHAINS_SYNTHESIS
from datasets.distorted.distortions import apply
from datasets.distorted.jpeg_augmentation import through_jpeg
from datasets.distorted.synthesis import versions
from Evaluation.distance import distance_of_quality, low_level_quality
from Evaluation.extended.calibration import (
    KINDS,
    LEVELS,
    Versions,
    calibrate,
    centre,
    evenly_spaced,
    fit_semantic_regression,
    measure_versions,
    trained_on_targets,
)
from Evaluation.extended.score import ExtendedScore
from utils.errors import UserError

# Distance, distortion regression and semantic regression of six versions.
TERMS = np.array([
    [1.0, 0.2, 0.22], [2.0, 0.4, 0.22], [3.0, 0.4, 0.4], [5.0, 0.8, 0.54], [4.0, 0.6, 0.5], [9.0, 1.7, 0.68],
])  # fmt: skip
MEASURED = Versions(TERMS, np.array([0.1, 0.1, 0.5, 0.9, 0.9, 0.9]))
SCORE = ExtendedScore(1.0, 1.0, 1.0, (0.0,) * 113, 0.4, "abc")


def test_both_regressions_have_the_spread_of_the_distance():
    score = calibrate(SCORE, MEASURED)
    d, k, c = TERMS.T
    w, v = d.std() / k.std(), d.std() / c.std()
    assert (score.distortion_weight, score.semantic_weight) == (float(f"{w:.3g}"), float(f"{v:.3g}"))
    assert replace(score, scale=1, distortion_weight=1, semantic_weight=1) == SCORE
    # At level .9 the median version is the fourth one.
    median = 5.0 + score.distortion_weight * 0.8 + score.semantic_weight * 0.54
    assert score.scale == float(f"{100 * np.log(19) / median:.3g}")
    assert low_level_quality(score.total(*TERMS[3])) == pytest.approx(0.05, abs=5e-4)


def test_weights_without_targets_have_no_levels_to_weigh():
    score = calibrate(replace(SCORE, distortion_weight=0.0), MEASURED)
    assert score.distortion_weight == 0
    assert score.scale == float(f"{100 * np.log(19) / (5 + score.semantic_weight * 0.54):.3g}")


@pytest.mark.parametrize("column, value, reason", [
    (1, 1.0, "features are the same"), (2, 1.0, "features are the same"), (0, 0.0, "do not tell distorted"),
])  # fmt: skip
def test_measurements_that_make_no_score(column, value, reason):
    terms = TERMS.copy()
    terms[:, column] = value
    with pytest.raises(UserError, match=reason):
        calibrate(SCORE, replace(MEASURED, terms=terms))


@pytest.mark.parametrize("quality", [1e-6, 0.05, 0.3, 0.5])
def test_the_distance_of_a_quality(quality):
    assert low_level_quality(distance_of_quality(quality)) == pytest.approx(quality, rel=1e-12)


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


def test_the_centre_of_an_image():
    image = torch.arange(3 * 4 * 7).reshape(3, 4, 7)
    assert torch.equal(centre(image, 5), image[:, :, 1:6])
    assert torch.equal(centre(image, 2), image[:, 1:3, 2:4])


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(score="own")


def test_each_version_is_measured_as_its_file_would_be(model, tmp_path):
    """The largest image has a side above the crop; files of the versions give the same numbers."""
    pixels = inputs.to_uint8(inputs.structured(1, 130, 560))
    for name in ("a.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    pristine, score = model.pristine.statistics, replace(SCORE, regression=(0.01,) * 113)
    measured = measure_versions([tmp_path / "a.png", tmp_path / "c.png"], model, pristine, score)
    assert measured.terms.shape == (2 * len(KINDS) * len(LEVELS), 3)
    assert measured.levels.tolist() == 2 * len(KINDS) * [*LEVELS]
    generators = np.random.default_rng(list(hashlib.sha256(b"c.png").digest())).spawn(12)
    for place, kind, level in ((0, "gaussian_blur", 0.1), (5, "white_noise", 0.9), (7, "jpeg", 0.5)):
        image = pixels[:, 24:536].astype(np.float32) / np.float32(255)
        version = np.rint(apply(kind, image, level, generators[place]) * 255).astype(np.uint8)
        seen = model.measure(torch.from_numpy(version).permute(2, 0, 1).float() / 255, score.parts)
        np.testing.assert_allclose(measured.terms[12 + place], score.terms(seen, pristine, 0.001), rtol=1e-6)
    # The noise follows from the name: the two images are equal but for that.
    assert measured.terms[3, 0] != measured.terms[15, 0]
    assert measured.terms[0, 0] == pytest.approx(measured.terms[12, 0])


def test_the_semantic_regression_tells_versions_from_references(model, tmp_path):
    """Which is which is in the file names of a set; a JPEG file of good quality is no distortion."""
    for k, name in enumerate("ac"):
        Image.fromarray(inputs.to_uint8(inputs.structured(k, 240, 400))).save(tmp_path / f"{name}.png")
    presets = (replace(CAMERA_SYNTHESIS, versions=4), replace(CHAINS_SYNTHESIS, versions=4))
    features, distorted = [], []
    for name in ("a.png", "c.png"):
        seed = hashlib.sha256(name.encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
        rng, middle = np.random.default_rng(list(seed)), np.array(Image.open(tmp_path / name))[:, 8:392]
        for stem, pixels in (pair for preset in presets for pair in versions(middle, preset, rng)):
            tensor = through_jpeg(
                torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, 0.75, generator
            )
            # Two patches of 224 that overlap by half, as far from the middle as each other.
            patches = torch.stack([tensor[0, :, :224, left : left + 224] for left in (0, 112)])
            with torch.inference_mode():
                seen = model.encoders.semantic.encoder(patches)
            features.append(seen.double().mean(0)[:112].numpy())
            distorted.append(0.0 if "REF" in stem else 1.0)
    assert len(distorted) == 2 * 2 * 5 and sum(distorted) == 2 * 2 * 4
    x = np.stack(features)
    standardised = (x - x.mean(0)) / x.std(0)
    ridge = RidgeCV((0.1, 1.0, 10.0, 100.0)).fit(standardised, distorted)
    found = fit_semantic_regression([tmp_path / "a.png", tmp_path / "c.png"], model)
    assert len(found) == 113
    np.testing.assert_allclose(x @ found[:-1] + found[-1], ridge.predict(standardised), atol=2e-2)
