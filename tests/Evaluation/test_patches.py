"""Patches against the authors' values: indices exactly, sharpness and colourfulness to 1e-5 relative."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import synthetic_weights
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from Evaluation.patches import (
    WINDOW,
    _gaussian_window,
    colorfulness,
    extract_patches,
    patch_features,
    patch_grid,
    select_pristine,
    sharpness,
)
from models.engine import run_by_torch

SHARES = [(0.75, 0.80), (0.50, 0.50), (0.30, 0.30), (0.90, 0.90), (0.85, 0.60)]


def image(array):
    """uint8 (H, W, 3) as float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(array).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def images(parity):
    arrays = [inputs.pristine_image(k) for k in range(3)]
    assert [inputs.crc(array) for array in arrays] == parity("low")["pristine_crc32"].tolist()
    return [extract_patches(image(array), 96, 96) for array in arrays]


def test_window(parity):
    window = _gaussian_window(torch.zeros(1))[0, 0]
    np.testing.assert_allclose(window.numpy(), parity("low")["gauss_kernel_7"], rtol=1e-6)
    assert window.shape == (WINDOW, WINDOW)


@pytest.mark.parametrize("k", range(3))
def test_sharpness_and_colorfulness(parity, images, k):
    low = parity("low")
    assert len(images[k]) == low[f"pristine{k}_grid"].prod()
    np.testing.assert_allclose(sharpness(images[k]), low[f"pristine{k}_sharpness_f32"], rtol=1e-5)
    np.testing.assert_allclose(colorfulness(images[k]), low[f"pristine{k}_colorfulness_f32"], rtol=1e-5)


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("k", range(3))
def test_selection(parity, images, k, shares):
    expected = parity("low")[f"select_s{shares[0]:.2f}_c{shares[1]:.2f}_img{k}_both"]
    assert select_pristine(images[k], *shares).tolist() == expected.tolist()


@pytest.mark.parametrize("shares", SHARES)
def test_selected_pixels(parity, images, shares):
    name = f"select_s{shares[0]:.2f}_c{shares[1]:.2f}"
    kept = torch.cat([patches[select_pristine(patches, *shares)] for patches in images])
    assert list(kept.shape) == parity("low")[f"{name}_shape"].tolist()
    assert inputs.crc((kept * 255).round().byte().numpy()) == parity("low")[f"{name}_crc32_sorted_uint8"]


def test_flat_patches(parity):
    low = parity("low")
    flat = torch.from_numpy(low["flat_patch_values"]).float()[:, :, None, None].expand(-1, -1, 96, 96)
    # In a flat patch rounding alone gives the authors' values a percent.
    np.testing.assert_allclose(sharpness(flat), low["flat_patch_sharpness_f32"], rtol=0.03)
    np.testing.assert_allclose(colorfulness(flat), low["flat_patch_colorfulness_f32"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("height, width", [(500, 500), (240, 320), (288, 336), (200, 260), (768, 1024),
                                           (150, 97), (144, 96)])  # fmt: skip
def test_places_of_test_patches(parity, height, width):
    low = parity("low")
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    patches = extract_patches(places, 96, 48)
    assert len(patches) == low[f"patches_{height}x{width}_shape"][0]
    assert patches[:, :, 0, 0].long().tolist() == low[f"patches_{height}x{width}_top_left"].tolist()


@given(st.integers(8, 40), st.integers(8, 40), st.integers(4, 8), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_grid_is_a_view_of_the_picture(height, width, size, stride):
    values = torch.arange(3.0 * height * width).view(3, height, width)
    grid = patch_grid(values, size, stride)
    assert grid.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    assert grid.shape == ((height - size) // stride + 1, (width - size) // stride + 1, 3, size, size)
    for i, j in ((0, 0), (grid.shape[0] - 1, grid.shape[1] - 1)):
        top, left = i * stride, j * stride
        assert torch.equal(grid[i, j], values[:, top : top + size, left : left + size])


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match=r"200x95 pixels holds no patch of 96x96"):
        patch_grid(torch.zeros(3, 95, 200), 96, 48)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_grey_and_black_give_no_pristine_patch(value):
    assert len(select_pristine(torch.full((4, 3, 96, 96), value), 0.75, 0.8)) == 0


def test_no_patch_at_all():
    assert len(select_pristine(torch.empty(0, 3, 96, 96), 0.75, 0.8)) == 0


@given(st.integers(0, 2**31), st.floats(0, 0.95), st.floats(0, 0.95))
@settings(max_examples=25, deadline=None)
def test_selection_is_of_the_set_not_of_its_order(seed, sharp, colour):
    generator = torch.Generator().manual_seed(seed)
    patches = torch.rand(6, 3, 32, 32, generator=generator) * torch.rand(6, 3, 1, 1, generator=generator)
    kept = select_pristine(patches, sharp, colour)
    order = torch.randperm(6, generator=generator)
    # Sums in another order differ in the last digit; a threshold within it is not worth a test.
    values = sharpness(patches)
    if ((values - sharp * values.max()).abs() > 1e-3).all():
        assert sorted(order[select_pristine(patches[order], sharp, colour)].tolist()) == kept.tolist()
    assert len(kept) >= 1


def test_chunks_change_nothing_but_rounding():
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    run = run_by_torch(encoder)
    grid = patch_grid(torch.rand(3, 20, 26), 8, 4)
    (whole,) = patch_features(run, [grid], 1000)
    assert whole.dtype == torch.float64
    for chunk in (1, 3, 7):
        torch.testing.assert_close(patch_features(run, [grid], chunk)[0], whole, rtol=1e-5, atol=1e-6)
    expected = encoder(extract_patches(torch.rand(3, 20, 26), 8, 4))
    assert whole.flatten(0, 1).shape == expected.shape


def test_patches_of_several_images_fill_a_chunk_and_stay_apart():
    grids = [patch_grid(torch.rand(3, 20 + 8 * k, 26), 8, 4) for k in range(3)]
    run = run_by_torch(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5)).eval())
    seen = []
    together = patch_features(lambda batch: seen.append(len(batch)) or run(batch), grids, 32)
    assert seen == [32, 32, 26]  # 20, 30 and 40 patches
    for grid, found in zip(grids, together, strict=True):
        (alone,) = patch_features(run, [grid], 32)
        assert found.shape == (*grid.shape[:2], 5)
        torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-6)


def test_only_a_chunk_goes_through_the_encoder():
    seen = []

    def run(patches):
        seen.append(len(patches))
        return (patches.mean((2, 3)),)

    patch_features(run, [patch_grid(torch.rand(3, 40, 40), 8, 4)], chunk=32)
    assert seen == [32, 32, 17]


def test_weights_are_those_of_the_numbers(parity):
    assert (
        synthetic_weights.checksum(synthetic_weights.low_level_state_dict(0))
        == parity("low")["low_state_crc32"]
    )


def test_features_lie_as_the_patches_do():
    image = torch.rand(3, 200, 260, generator=torch.Generator().manual_seed(0))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 96 * 96, 4))
    (features,) = patch_features(run_by_torch(encoder), [patch_grid(image, 96, 48)], 256)
    assert features.shape == (3, 4, 4)
    with torch.inference_mode():
        expected = encoder(image[None, :, 48:144, 144:240])[0]
    torch.testing.assert_close(features[1, 3], expected.double(), rtol=1e-4, atol=1e-5)
