"""At which size an image is looked at."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from hypothesis import given
from hypothesis import strategies as st

from configs import Settings
from Evaluation.image_sizes import at_least_smallest, enlarged_size, resize, with_two_patches
from Evaluation.patches import extract_patches
from utils.errors import UserError


def test_antialiased_resize(parity):
    array = inputs.to_uint8(inputs.structured(1150, 640, 960))
    image = torch.from_numpy(array).permute(2, 0, 1).float() / 255
    ours = resize(image, 500, 500)[:, ::20, ::20]
    np.testing.assert_allclose(ours, parity("misc")["resize_antialias_True_sub20"], atol=1e-5)


@pytest.mark.parametrize("height, width, expected", [
    (96, 143, (144, 214)), (143, 143, (144, 144)), (95, 300, (144, 455)), (300, 95, (455, 144)),
    (1, 1, (144, 144)), (96, 144, (96, 144)), (144, 96, (144, 96)), (500, 500, (500, 500)),
])  # fmt: skip
def test_enlarged_size(height, width, expected):
    assert enlarged_size(height, width, Settings()) == expected


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 131))
def test_every_image_gets_two_patches(height, width, size):
    rows, columns = enlarged_size(height, width, Settings(patch_size=size))
    assert min(rows, columns) >= size
    assert ((rows - size) // (size // 2) + 1) * ((columns - size) // (size // 2) + 1) >= 2
    assert rows >= height and columns >= width


def test_a_sliver_is_refused_not_grown():
    with pytest.raises(UserError, match="60000x1 is too narrow"):
        enlarged_size(1, 60_000, Settings())


def test_a_small_image_is_enlarged_and_a_large_one_is_itself():
    image = torch.rand(3, 240, 320)
    enlarged, note = with_two_patches(image[:, :60, :100], Settings())
    assert (tuple(enlarged.shape), note) == ((3, 144, 240), "enlarged to 240x144")
    assert len(extract_patches(enlarged, 96, 48)) >= 2
    same, note = with_two_patches(image, Settings())
    assert same is image and note == ""
    tiny, note = at_least_smallest(image[:, :10, :20])
    assert (tuple(tiny.shape), note) == ((3, 32, 64), "whole image enlarged to 64x32")
    assert at_least_smallest(image[:, :32, :40])[1] == ""
