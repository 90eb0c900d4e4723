"""Blocks of features: equal to what the scores see, of the encoders that are there, none read for nothing."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from configs import FEATURE_BLOCKS, Settings
from Evaluation.distance import low_level_quality
from Evaluation.extended.centre import centre_weights
from Evaluation.extended.tiles import tile_grid, tile_statistics
from Evaluation.few_labels.blocks import WITHOUT_CLIP, choose_blocks, features_of, make_blocks, provenance
from Evaluation.grepq import GRepQ
from utils.errors import UserError

CPU = Settings(device="cpu")


@pytest.fixture(scope="module")
def model():
    return GRepQ(replace(CPU, branch="low"))


@pytest.fixture(scope="module")
def image():
    pixels = torch.from_numpy(inputs.image_under_test(0).copy()).permute(2, 0, 1)
    return pixels.float() / 255  # (3, 240, 320)


def features(model, name, image):
    (block,) = make_blocks(model, [name])
    return block.of(model.measure(image, block.parts))


def test_patch_blocks_are_the_centred_statistics_of_the_zero_shot_tiles(model, image):
    found = features(model, "low_patches", image)
    tiles = tile_grid(image, 96)
    with torch.inference_mode():
        of_tiles = model.encoders.low.model(tiles.flatten(0, 1)).double().unflatten(0, tiles.shape[:2])
    check_statistics(found, of_tiles, 1e-5)


def check_statistics(found, of_tiles, tolerance):
    (expected, _), half = tile_statistics(of_tiles), len(found) // 2
    np.testing.assert_allclose(found[:half], expected.mean, rtol=10 * tolerance, atol=tolerance)
    deviation = expected.covariance.diagonal().sqrt()
    np.testing.assert_allclose(found[half:], deviation, rtol=10 * tolerance, atol=tolerance)


def test_inner_blocks_are_of_what_the_stages_of_the_network_see(model, image):
    found = features(model, "low_inner", image)
    net, seen = model.encoders.low.model.resnet, []
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    hooks = [stage.register_forward_hook(lambda *call: seen.append(call[2].mean((2, 3)))) for stage in stages]
    tiles = tile_grid(image, 96)
    with torch.inference_mode():
        net(tiles.flatten(0, 1))
    for hook in hooks:
        hook.remove()
    check_statistics(found, torch.cat(seen, 1).double().unflatten(0, tiles.shape[:2]), 1e-5)


def test_semantic_is_the_centred_mean_of_what_all_stages_see(model, image):
    found = features(model, "semantic", image)
    with torch.inference_mode():
        stages = model.encoders.semantic.encoder(image[None])
    expected = [maps[0].double().flatten(1) @ centre_weights(*maps.shape[2:]) for maps in stages]
    np.testing.assert_allclose(found, torch.cat(expected), atol=1e-4)


@pytest.mark.parametrize("score", ["own", "paper"])
def test_zeroshot_is_the_number_that_the_score_is_taken_of(model, image, score):
    model = GRepQ(replace(model.settings, score=score))
    found = features(model, "zeroshot", image)
    assert found.shape == (100,) and found.unique().numel() == 1
    assert low_level_quality(found[0]).item() == pytest.approx(model.score(image).q_low, rel=1e-6)


def test_an_image_whose_score_cannot_be_computed_has_no_features_and_says_why(model, image):
    (block,) = make_blocks(model, ["zeroshot"])
    measured = model.measure(image, block.parts)
    with pytest.raises(UserError, match="not finite"):
        features_of(replace(measured, tiles=measured.tiles * torch.nan), [block])


def test_provenance_is_what_a_block_depends_on(model):
    blocks = {block.name: block for block in make_blocks(model, FEATURE_BLOCKS)}
    assert list(blocks) == ["low", "low_patches", "low_inner", "semantic", "zeroshot"]
    assert blocks["low_patches"].provenance["centre_deviation"] == 0.4
    assert "centre_deviation" not in blocks["low"].provenance
    known = provenance(blocks.values())
    assert known["view_pixels"] == 1_000_000 and known["columns"][0] == ["low", 128]
    # The code that computes a block is part of the key of what is kept, not of what a regressor asks for.
    assert len({block.source for block in blocks.values()}) == 4
    assert not any("source" in key or "version" in key for key in known)


@pytest.mark.parametrize("size", [(40, 40), (97, 100), (20, 300)])
def test_small_images_have_all_blocks(model, size):
    for block in make_blocks(model, FEATURE_BLOCKS):
        found = block.of(model.measure(torch.rand(3, *size), block.parts))
        assert found.shape == (block.length,) and found.dtype == torch.float32
        assert torch.isfinite(found).all()


def asked(*names, **settings):
    return [block.name for block in choose_blocks(replace(CPU, **settings), names)[1]]


def test_which_blocks_are_meant(tiny_clip_file):
    low = [name for name in FEATURE_BLOCKS if name != "high"]
    assert asked() == ["low"]
    assert asked("all") == low
    assert asked("semantic", "low") == ["low", "semantic"]
    clip = {"clip": str(tiny_clip_file)}
    assert asked(**clip) == ["high", "low"]
    assert asked("all", **clip) == list(FEATURE_BLOCKS)
    assert asked("all", branch="low", **clip) == low
    assert asked("high", "semantic", **clip) == ["high", "semantic"]
    with pytest.raises(UserError, match="high cannot be had with --branch low; there are low,"):
        asked("both", branch="low")
    with pytest.raises(UserError, match="There are no CLIP weights"):
        asked("both")


def test_only_encoders_in_use_are_read_and_named(tiny_clip_file):
    said = []
    model, _ = choose_blocks(CPU, ("semantic",), said.append)
    assert model.encoders.line().startswith("semantic weights semantic.safetensors (sha256 ")
    assert "low-level" not in model.encoders.line() and said == []
    clip = replace(CPU, clip=str(tiny_clip_file), branch="both")
    model, _ = choose_blocks(clip, ("low",), said.append)
    assert "CLIP" not in model.encoders.line()
    assert model.encoders.checksums()["clip_sha256"] is None
    choose_blocks(CPU, (), said.append)
    assert said[-1].endswith(f"Better without CLIP: {WITHOUT_CLIP}.")
