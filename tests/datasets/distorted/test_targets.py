"""Distortion targets from file names and FSIM; their names and order are fixed."""

from pathlib import Path

import numpy as np
import pytest

from configs import SYNTHESIS_PRESETS
from datasets.distorted.distortions import DISTORTIONS, split_kind
from datasets.distorted.synthesis import versions
from datasets.distorted.targets import PHOTOMETRIC, TARGETS, distortion_targets, levels_of, version_levels
from datasets.version_folders import VersionFolder
from utils.errors import UserError

STEMS = ("00_REF", "01_jpeg_0.50", "02_haze_0.25", "03_under_exposure_1.00+dark_noise_0.00")


def folder(stems=STEMS):
    return VersionFolder(Path("set/a"), tuple(Path("set/a") / f"{stem}.bmp" for stem in stems))


def test_targets_of_each_sort_of_version():
    targets = distortion_targets(version_levels(folder()), np.array((1.0, 0.96, 0.91, 0.75)))
    assert targets.shape == (4, 2 + len(DISTORTIONS)) and targets.dtype == np.float32
    # Structure is unknown where light was changed.
    np.testing.assert_allclose(targets[:, 0], (0, 0.4, np.nan, np.nan), atol=1e-6)
    np.testing.assert_allclose(targets[:, 1], (0, 0.4, 0.6, 1), atol=1e-6)
    expected = np.zeros((4, len(DISTORTIONS)))
    for row, kind, value in (
        (1, "jpeg", 0.6),
        (2, "haze", 0.4),
        (3, "under_exposure", 1),
        (3, "dark_noise", 0.2),
    ):
        expected[row, TARGETS.index(kind) - 2] = value
    np.testing.assert_allclose(targets[:, 2:], expected, atol=1e-6)


@pytest.mark.parametrize("stem", ["01_blurred_0.5", "01_jpeg", "01_jpeg_2.00", "house", "01_jpeg_0.5+haze"])
def test_other_names_are_one_sentence(stem):
    with pytest.raises(UserError, match=rf"^set/a/{stem.replace('+', '.')}.bmp: its name does not tell"):
        version_levels(folder(("00_REF", stem)))


def test_names_that_are_written_are_read():
    """Every kind of the camera preset, each part of a chain with its own level."""
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    config = SYNTHESIS_PRESETS["camera"]
    for number, kind in enumerate(dict.fromkeys(config.kinds)):
        one = type(config)(kinds=(kind,), levels=(0.8,))
        names = [name for name, _ in versions(image, one, np.random.default_rng(number))]
        assert levels_of(names[0]) == {}
        levels = levels_of(names[1])
        assert list(levels) == split_kind(kind)
        assert all(0.39 <= level <= 0.81 for level in levels.values())
        assert len(set(levels.values())) == len(levels)
    assert set(DISTORTIONS) > PHOTOMETRIC


def test_the_names_do_not_follow_the_distortions():
    """A 17th distortion would otherwise change what weights are taken to say."""
    assert TARGETS == (
        "structure", "total", "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "dark_noise",
        "jpeg", "jpeg2000", "resample", "low_contrast", "high_contrast", "over_exposure", "under_exposure",
        "haze", "colour_cast", "denoise", "sharpen",
    )  # fmt: skip
    with pytest.raises(ValueError, match="01_fog"):
        levels_of("01_fog_0.50")
