"""Blocks of features: equal to what the scores see, of the encoders that are there, none read for nothing."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from configs import FEATURE_BLOCKS, Settings
from Evaluation.extended.centre import centre_weights, weighted_statistics
from Evaluation.few_labels.blocks import choose_blocks, make_blocks, provenance
from Evaluation.grepq import GRepQ
from Evaluation.image_sizes import resize
from Evaluation.patches import extract_patches
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


def test_patch_blocks_are_the_centred_statistics_of_the_zero_shot_patches(model, image):
    found = features(model, "low_patches", image)
    with torch.inference_mode():
        of_patches = model.encoders.low.model(extract_patches(image, 96, 48)).double()
    expected = weighted_statistics(of_patches, centre_weights(4, 5, 0.4))
    np.testing.assert_allclose(found[:128], expected.mean, atol=1e-5)
    np.testing.assert_allclose(found[128:], expected.covariance.diagonal().sqrt(), atol=1e-5)


def test_inner_blocks_are_of_what_the_stages_of_the_network_see(model, image):
    found = features(model, "low_inner", image)
    net, seen = model.encoders.low.model.resnet, []
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    hooks = [stage.register_forward_hook(lambda *call: seen.append(call[2].mean((2, 3)))) for stage in stages]
    with torch.inference_mode():
        net(extract_patches(image, 96, 48))
    for hook in hooks:
        hook.remove()
    expected = weighted_statistics(torch.cat(seen, 1).double(), centre_weights(4, 5, 0.4))
    np.testing.assert_allclose(found[:960], expected.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[960:], expected.covariance.diagonal().sqrt(), rtol=1e-4, atol=1e-5)


def test_semantic_is_the_centred_mean_of_what_larger_patches_show(model, image):
    large = resize(image, 336, 448)
    found = features(model, "semantic", large)
    with torch.inference_mode():
        of_patches = model.encoders.semantic.encoder(extract_patches(large, 224, 112)).double()[:, 112:]
    expected = weighted_statistics(of_patches, centre_weights(2, 3, 0.4)).mean
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_provenance_is_what_a_block_depends_on(model):
    blocks = {block.name: block for block in make_blocks(model, FEATURE_BLOCKS)}
    assert list(blocks) == ["low", "low_patches", "low_inner", "semantic"]
    assert blocks["low_patches"].provenance["centre_deviation"] == 0.4
    assert "centre_deviation" not in blocks["low"].provenance
    known = provenance(blocks.values())
    assert known["semantic_patch_size"] == 224 and known["columns"][0] == ["low", 128]
    # The code that computes a block is part of the key of what is kept, not of what a regressor asks for.
    assert len({block.source for block in blocks.values()}) == 3
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
    assert said[-1].endswith("Better without CLIP: --features low_patches semantic --standardise.")
