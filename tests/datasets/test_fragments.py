"""Fragments against the authors' get_spatial_fragments, then their rule on sizes it was not run on."""

import zlib

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.fragments import cut_fragments, draw_offsets, enlarge_to, two_views


def position_stack(height, width, versions=2):
    """Channel 0 holds the row, channel 1 the column, channel 2 the version."""
    stack = torch.empty(versions, 3, height, width)
    stack[:, 0] = torch.arange(height)[:, None].float()
    stack[:, 1] = torch.arange(width).float()
    stack[:, 2] = torch.arange(versions)[:, None, None].float()
    return stack


def generator_of(seed):
    return torch.Generator().manual_seed(int(seed))


def test_offsets_and_corners_equal_the_authors(parity):
    numbers = parity("fragments")
    checked = 0
    for k, (height, width, grid, versions, seed) in enumerate(numbers["frag_case"].tolist()):
        if min(height, width) < 32 * grid:
            continue  # their fall-back, from which we depart
        rows, columns = draw_offsets(height, width, grid, 32, generator_of(seed))
        np.testing.assert_array_equal(rows, numbers[f"frag{k}_rnd_h"])
        np.testing.assert_array_equal(columns, numbers[f"frag{k}_rnd_w"])
        cut = cut_fragments(position_stack(height, width, versions), rows, columns, 32)
        tiles = cut.unflatten(-1, (grid, 32)).unflatten(-3, (grid, 32))  # (D, 3, g, p, g, p)
        corner = tiles[:, :, :, 0, :, 0].transpose(0, 1)
        corner_end = tiles[:, :, :, -1, :, -1].transpose(0, 1)
        np.testing.assert_array_equal(corner, numbers[f"frag{k}_corner"])
        np.testing.assert_array_equal(corner_end, numbers[f"frag{k}_corner_end"])
        checked += 1
    assert checked >= 10


def test_both_views_of_a_loader_sample_equal_the_authors(parity):
    numbers = parity("fragments")
    versions = torch.from_numpy(inputs.nine_versions(1010, 260, 300)).permute(0, 3, 1, 2)
    images, augmentations = two_views(versions, 7, 32, generator_of(78))
    for view, name in ((images, "images"), (augmentations, "augmentations")):
        pixels = (view * 255).round().byte().numpy()
        np.testing.assert_array_equal(pixels[0], numbers[f"sample_large_{name}_v0_uint8"])
        assert zlib.crc32(np.ascontiguousarray(pixels).tobytes()) == numbers[f"sample_large_{name}_crc32"]
        mean = view.double().mean((-2, -1)).numpy()
        np.testing.assert_allclose(mean, numbers[f"sample_large_{name}_mean"], atol=1e-6)


def test_flips_follow_the_authors_random_numbers(parity):
    numbers = parity("fragments")
    # 64 x 64 of one piece of 64: no offset is drawn, so the flips are the generator's first numbers.
    stack = position_stack(64, 64) / 64
    for seed, (left_right, top_down) in zip(numbers["flip_seeds"], numbers["flip_h_v"], strict=True):
        _, second = two_views(stack, 1, 64, generator_of(seed))
        assert (second[0, 1, 0, 0] > second[0, 1, 0, -1]).item() == bool(left_right)
        assert (second[0, 0, 0, 0] > second[0, 0, -1, 0]).item() == bool(top_down)


def test_small_pictures_are_read_to_their_end():
    enlarged = enlarge_to(position_stack(100, 150), 224)
    assert enlarged.shape == (2, 3, 224, 336)
    rows, columns = (torch.zeros(7, 7, dtype=torch.int64),) * 2
    cut = cut_fragments(enlarged, rows, columns, 32)
    assert cut[0, 0].max() > 98  # the release would stop at row 45


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 300), st.integers(20, 300), st.sampled_from([(7, 32), (3, 32), (1, 96), (2, 8)]),
    st.integers(0, 2**31),
)  # fmt: skip
def test_every_piece_is_a_contiguous_part_of_its_own_cell(height, width, form, seed):
    grid, piece = form
    stack = enlarge_to(position_stack(height, width), grid * piece)
    height, width = stack.shape[-2:]
    stack = position_stack(height, width)
    rows, columns = draw_offsets(height, width, grid, piece, generator_of(seed))
    tiles = (
        cut_fragments(stack, rows, columns, piece).unflatten(-1, (grid, piece)).unflatten(-3, (grid, piece))
    )
    along = tiles[0, 0].diff(dim=1), tiles[0, 1].diff(dim=3)
    assert (along[0] == 1).all()
    assert (along[1] == 1).all()
    assert (tiles[0, 2] == 0).all()
    assert (tiles[1, 2] == 1).all()
    for i in range(grid):
        cell = tiles[0, 0, i]
        assert cell.min() >= height // grid * i
        assert cell.max() < height // grid * (i + 1)


@pytest.mark.parametrize("form", [(7, 32), (3, 32), (1, 96)])
def test_bytes_and_fractions_give_the_same_views(form):
    pixels = torch.randint(256, (3, 3, 250, 240), dtype=torch.uint8)
    of_bytes = two_views(pixels, *form, generator_of(5))
    of_fractions = two_views(pixels.float() / 255, *form, generator_of(5))
    for left, right in zip(of_bytes, of_fractions, strict=True):
        assert left.shape[-1] == form[0] * form[1]
        assert torch.equal(left, right)
