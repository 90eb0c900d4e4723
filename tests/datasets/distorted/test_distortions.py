"""What every distortion promises, and what makes each the one its name says."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from configs import SYNTHESIS_PRESETS, Synthesis
from datasets.distorted.distortions import DISTORTIONS, apply, level_before_shrinking, split_kind
from utils.errors import UserError

KINDS = list(dict.fromkeys((*DISTORTIONS, *SYNTHESIS_PRESETS["default"].kinds)))


def scene(height=128, width=160, dtype=np.float32):
    """Edges and textures over a gradient, from black to white, in colour."""
    rng = np.random.default_rng(0)
    coarse = ndimage.zoom(rng.random((height // 16, width // 16, 3)), (16, 16, 1), order=0)
    fine = ndimage.gaussian_filter(rng.standard_normal((height, width, 3)), (0.8, 0.8, 0))
    ramp = np.linspace(-0.2, 0.2, width)[:, None]
    return np.clip(0.1 + 0.8 * coarse + 0.15 * fine + ramp, 0, 1).astype(dtype)


def error(kind, level, image, seed=0):
    return np.mean((apply(kind, image, level, np.random.default_rng(seed)) - image) ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_levels_are_farther_from_the_picture(kind):
    image = scene()
    for seed in (0, 1):
        errors = [error(kind, level, image, seed) for level in np.linspace(0, 1, 6)]
        assert errors[0] > 0
        assert (np.diff(errors) > 0).all(), errors


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_a_continuum(kind):
    """No two levels fall on one strength, and near levels give near errors."""
    image = scene()
    near = [error(kind, level, image) for level in (0.5, 0.52)]
    assert near[0] != near[1]
    # The error of smearing grows as the fourth power of its strength.
    assert near[1] / near[0] == pytest.approx(1, abs=0.25 if kind == "denoise" else 0.15)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(
    height=st.integers(64, 90),
    width=st.integers(64, 90),
    level=st.floats(0, 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    flat=st.sampled_from([None, 0.0, 1.0]),
)
def test_shape_type_and_range_are_kept(kind, height, width, level, dtype, flat):
    image = np.random.default_rng(1).random((height, width, 3)).astype(dtype)
    if flat is not None:
        image[:] = flat
    before = image.copy()
    distorted = apply(kind, image, level, np.random.default_rng(2))
    assert distorted.shape == image.shape and distorted.dtype == dtype
    assert distorted.min() >= 0 and distorted.max() <= 1  # false for NaN
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS)
def test_same_random_state_same_picture(kind):
    first, second = (apply(kind, scene(), 0.6, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["gaussian_blur", "motion_blur", "lens_blur", "resample"])
def test_blurs_keep_an_even_picture_and_reflect_at_the_border(kind):
    even = np.full((80, 70, 3), 0.4, np.float64)
    np.testing.assert_allclose(apply(kind, even, 1.0, np.random.default_rng(0)), even, atol=2e-3)


def light_of(displayed):
    """The sRGB curve undone: motion and lens blur are linear there."""
    return np.where(displayed < 0.04045, displayed / 12.92, ((displayed + 0.055) / 1.055) ** 2.4)


# A uniform disc of radius r has the deviation r / 2 along each axis.
@pytest.mark.parametrize(("kind", "deviation"), [("gaussian_blur", 5.0), ("lens_blur", 8 / 2)])
def test_width_of_the_strongest_blur(kind, deviation):
    point = np.zeros((101, 101, 3), np.float64)
    point[50, 50] = 0.5
    blurred = apply(kind, point, 1.0, np.random.default_rng(0))[..., 0]
    light = blurred if kind == "gaussian_blur" else light_of(blurred)
    measured = np.sqrt((light.sum(axis=1) * (np.arange(101) - 50) ** 2).sum() / light.sum())
    assert measured == pytest.approx(deviation, rel=0.04)


def test_motion_blur_is_a_line_of_the_documented_length_in_any_direction():
    point = np.zeros((81, 81, 3), np.float64)
    point[40, 40] = 1
    angles = []
    for seed in range(6):
        light = light_of(apply("motion_blur", point, 1.0, np.random.default_rng(seed))[..., 0])
        y, x = np.indices(light.shape) - 40
        spread = np.cov(np.stack([y.ravel(), x.ravel()]), aweights=light.ravel())
        along, across = np.linalg.eigvalsh(spread)[::-1]
        assert np.sqrt(along * 12) == pytest.approx(30, rel=0.03) and across < 0.5
        angles.append(np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1]))
    assert np.ptp(angles) > 1


def test_noise_has_the_documented_deviation_and_independent_colours():
    grey = np.full((200, 200, 3), 0.5, np.float32)
    for level, sigma in ((0.0, 0.01), (0.5, np.sqrt(0.01 * 0.2))):
        noise = apply("white_noise", grey, level, np.random.default_rng(0)) - grey
        assert noise.std() == pytest.approx(sigma, rel=0.02)
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_dark_noise_is_stronger_in_the_dark_and_darkens():
    halves = np.full((100, 200, 3), 0.75, np.float32)
    halves[:, :100] = 0.2
    noisy = apply("dark_noise", halves, 0.6, np.random.default_rng(0))
    dark, bright = noisy[:, 5:95], noisy[:, 105:195]
    assert dark.std() > 1.3 * bright.std()
    assert bright.mean() < 0.75 - 0.1


def test_dark_noise_counts_the_documented_electrons():
    grey = np.full((200, 200, 3), 0.5, np.float64)  # light 0.2140
    light = light_of(apply("dark_noise", grey, 0.0, np.random.default_rng(0)))
    assert light.mean() == pytest.approx(0.2140 * 2**-0.2, rel=0.002)
    # Interpolating colours, weights (.107, .787, .107) each way, leaves .642 of the deviation.
    assert light.std() == pytest.approx(0.642 * np.sqrt(0.2140 * 4000 + 3**2) / 4000 * 2**-0.2, rel=0.02)


def test_resample_draws_its_filters():
    results = [apply("resample", scene(), 0.7, np.random.default_rng(seed)) for seed in range(12)]
    assert len({result.tobytes() for result in results}) > 4


def test_jpeg_shows_its_blocks_and_jpeg2000_does_not():
    image = ndimage.gaussian_filter(scene(256, 256), (3, 3, 0))

    def blockiness(kind):
        steps = np.abs(np.diff(apply(kind, image, 1.0, np.random.default_rng(0)).mean(axis=2), axis=1)).mean(
            axis=0
        )
        return steps[7::8].mean() / np.delete(steps, np.s_[7::8]).mean()

    assert blockiness("jpeg") > 5
    assert blockiness("jpeg2000") < 2


def test_jpeg_at_level_0_is_quality_85():
    """The documented end, against Pillow's own quality: same tables, so the same image."""
    image = scene()
    file = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file, "JPEG", quality=85, subsampling="4:2:0")
    wanted = np.asarray(Image.open(file)) / np.float32(255)
    difference = np.abs(apply("jpeg", image, 0.0, np.random.default_rng(0)) - wanted)
    assert difference.mean() < 1 / 255


def test_exposure_is_in_stops_of_light():
    grey = np.full((64, 64, 3), 0.5, np.float64)  # light 0.2140
    over, under = (
        apply(kind, grey, 0.0, np.random.default_rng(0))[0, 0, 0]
        for kind in ("over_exposure", "under_exposure")
    )
    assert over == pytest.approx(0.5680, abs=2e-4)  # 0.2140 * 2^0.4 on the sRGB curve
    assert under == pytest.approx(0.4254, abs=2e-4)  # 0.2140 / 2^0.5
    assert apply("over_exposure", grey, 1.0, np.random.default_rng(0)).min() > 1 - 1e-9


def test_contrast_turns_about_the_mean():
    image = 0.3 + 0.2 * scene(dtype=np.float64)
    mean = image.mean()
    low = apply("low_contrast", image, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(low, mean + 0.2 * (image - mean), atol=1e-12)
    high = apply("high_contrast", image, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(high, mean + 1.15 * (image - mean), atol=1e-12)


def test_chain_applies_both_in_order_at_shares_of_the_level():
    image, level = scene(), 0.8
    rng = np.random.default_rng(5)
    shares = np.random.default_rng(5).uniform(*Synthesis.chain_share, size=2)
    chained = apply("low_contrast+over_exposure", image, level, rng)
    first = DISTORTIONS["low_contrast"](image, level * shares[0], rng)
    np.testing.assert_array_equal(chained, DISTORTIONS["over_exposure"](first, level * shares[1], rng))
    assert ((shares >= 0.5) & (shares <= 1)).all()


@pytest.mark.parametrize("kind", ["gaussian_blur", "lens_blur", "motion_blur", "white_noise"])
def test_distorting_harder_before_shrinking_leaves_the_level(kind):
    """Error of a shrunk image that was distorted at twice the size, against distorted at the end size."""
    big = ndimage.gaussian_filter(np.random.default_rng(0).random((192, 192, 3)), (6, 6, 0))
    big = ((big - big.mean()) / big.std() * 0.12 + 0.5).clip(0, 1).astype(np.float32)

    def halved(image):
        return image.reshape(96, 2, 96, 2, 3).mean((1, 3))

    level, rng = 0.5, np.random.default_rng(1)
    small = halved(big)
    wanted = np.abs(DISTORTIONS[kind](small, level, rng) - small)[16:-16, 16:-16].mean()
    rng = np.random.default_rng(1)
    before = level_before_shrinking(kind, level, 0.5)
    got = np.abs(halved(DISTORTIONS[kind](big, before, rng)) - small)[16:-16, 16:-16].mean()
    assert before > level and got == pytest.approx(wanted, rel=0.3)


def test_the_level_before_shrinking():
    assert level_before_shrinking("gaussian_blur", 0.5, 0.1) == pytest.approx(1.5)  # .5 px to 5 px: ten times
    assert level_before_shrinking("dark_noise", 0.5, 0.1) == pytest.approx(1.5)  # 4000 to 40: a hundredth
    assert level_before_shrinking("haze", 0.5, 0.1) == level_before_shrinking("jpeg", 0.5, 0.1) == 0.5
    assert level_before_shrinking("lens_blur", 0.3, 1.0) == 0.3


def test_every_kind_of_the_presets_exists_and_wrong_ones_name_the_nearest():
    for preset in SYNTHESIS_PRESETS.values():
        for kinds in preset.kinds:
            for kind in kinds.split("|"):
                split_kind(kind)
    assert set(DISTORTIONS) == {kind for kind in KINDS if "+" not in kind}
    for kind in ("gausian_blur", "jpeg+gausian_blur"):
        with pytest.raises(UserError, match="'gausian_blur': did you mean 'gaussian_blur'"):
            apply(kind, scene(), 0.5, np.random.default_rng(0))
    with pytest.raises(UserError, match="between 0 and 1"):
        apply("jpeg", scene(), 1.5, np.random.default_rng(0))
