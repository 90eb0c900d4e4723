"""Blocks of features: equal to what the scores see, kept one by one, found again."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from Evaluation.few_labels.protocol.blocks import BLOCKS, halved, load_blocks, make_blocks
from Evaluation.few_labels.protocol.feature_table import Store, table_of_features
from PIL import Image

from configs import Settings
from datasets.decoder import read_image
from datasets.rated.sets import unrated_folder
from Evaluation.distance import statistics
from Evaluation.features import resize
from Evaluation.few_labels import blocks as feature_blocks
from Evaluation.few_labels import feature_table
from Evaluation.grepq import Encoders, add_encoder_arguments
from Evaluation.patches import centre_weights, extract_patches
from models.weights.low_level import find_low_level, load_low_level
from models.weights.semantic import load_semantic
from utils.errors import UserError


@pytest.fixture(scope="module")
def encoders():
    return Encoders(
        load_low_level(find_low_level()), None, torch.device("cpu"), torch.float32, load_semantic()
    )


@pytest.fixture(scope="module")
def picture():
    pixels = torch.from_numpy(inputs.image_under_test(0).copy()).permute(2, 0, 1)
    return pixels.float() / 255  # (3, 240, 320)


def blocks_by_name(encoders):
    return {block.name: block for block in make_blocks(encoders, BLOCKS, Settings())}


def test_patch_blocks_are_the_centred_statistics_of_the_zero_shot_patches(encoders, picture):
    features, note = blocks_by_name(encoders)["low_patches"].compute(picture)
    with torch.inference_mode():
        of_patches = encoders.low.model(extract_patches(picture, 96, 48)).double()
    expected = statistics(of_patches, centre_weights(4, 5, 0.4))
    np.testing.assert_allclose(features[:128], expected.mean, atol=1e-5)
    np.testing.assert_allclose(features[128:], expected.covariance.diagonal().sqrt(), atol=1e-5)
    assert note == ""


def test_kept_patch_blocks_are_of_one_weighting_of_the_patches(encoders):
    """What was kept under another weighting is computed anew; whole pictures know no weighting."""
    provenances = {name: block.provenance for name, block in blocks_by_name(encoders).items()}
    assert provenances["low_patches"]["centre_deviation"] == "0.4"
    assert provenances["low_inner_half"] == provenances["low_patches"]
    assert "centre_deviation" not in provenances["low"]


def test_inner_blocks_are_of_what_the_stages_of_the_network_see(encoders, picture):
    features, note = blocks_by_name(encoders)["low_inner"].compute(picture)
    net, seen = encoders.low.model.resnet, []
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    hooks = [stage.register_forward_hook(lambda *call: seen.append(call[2].mean((2, 3)))) for stage in stages]
    with torch.inference_mode():
        net(extract_patches(picture, 96, 48))
    for hook in hooks:
        hook.remove()
    expected = statistics(torch.cat(seen, 1).double(), centre_weights(4, 5, 0.4))
    np.testing.assert_allclose(features[:960], expected.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(features[960:], expected.covariance.diagonal().sqrt(), rtol=1e-4, atol=1e-5)
    assert note == ""


def test_content_is_the_centred_mean_of_what_larger_patches_show(encoders, picture):
    large = resize(picture, 336, 448)
    features, note = blocks_by_name(encoders)["content"].compute(large)
    with torch.inference_mode():
        of_patches = encoders.content.encoder(extract_patches(large, 224, 112)).double()[:, 112:]
    expected = statistics(of_patches, centre_weights(2, 3, 0.4)).mean
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert note == ""
    assert blocks_by_name(encoders)["content"].compute(picture)[1] == ", enlarged to 448x336"


def test_half_blocks_look_at_the_halved_picture(encoders, picture):
    blocks, large = blocks_by_name(encoders), resize(picture, 300, 400)
    for name in ("low", "low_patches", "low_inner"):
        expected, _ = blocks[name].compute(resize(large, 150, 200))
        found, note = blocks[f"{name}_half"].compute(large)
        torch.testing.assert_close(found, expected)
        assert note == ""


def test_a_half_is_never_smaller_than_what_is_needed():
    assert halved(torch.zeros(3, 301, 400), 144)[0].shape == (3, 150, 200)
    held, note = halved(torch.zeros(3, 240, 320), 144)
    assert (held.shape, note) == ((3, 144, 192), ", half scale held at 192x144")
    small = torch.rand(3, 100, 300)
    assert halved(small, 144)[0] is small


@pytest.mark.parametrize("size", [(40, 40), (97, 100), (20, 300)])
def test_small_pictures_have_all_blocks(encoders, size):
    for block in make_blocks(encoders, BLOCKS, Settings()):
        features, _ = block.compute(torch.rand(3, *size))
        assert features.shape == (block.length,) and features.dtype == torch.float32
        assert torch.isfinite(features).all()


def asked(*features, **changes):
    parser = argparse.ArgumentParser()
    feature_blocks.add_feature_arguments(parser)
    add_encoder_arguments(parser)
    args = parser.parse_args(["--features", *features] if features else [])
    for name, value in changes.items():
        setattr(args, name, value)
    return [block.name for block in load_blocks(args, lambda _: None)[1]]


def test_which_blocks_are_meant(tiny_clip_file):
    low = [name for name in BLOCKS if not name.startswith("high")]
    assert asked() == ["low"]
    assert asked("all") == low
    assert asked("low_half", "low") == ["low", "low_half"]
    clip = {"clip_weights": str(tiny_clip_file)}
    assert asked(**clip) == ["high", "low"]
    assert asked("all", **clip) == list(BLOCKS)
    assert asked("all", branch="low", **clip) == low
    assert asked("high", **clip) == ["high"]
    assert asked("content", "low_patches") == ["low_patches", "content"]
    assert asked("high", "content", **clip) == ["high", "content"]
    with pytest.raises(UserError, match="--features medium: there are both, all, high, low,"):
        asked("medium")
    with pytest.raises(UserError, match="high cannot be had with --branch low; there are low,"):
        asked("both", branch="low")
    with pytest.raises(UserError, match="content cannot be had with --branch high; there are high, high_h"):
        asked("content", branch="high", **clip)
    with pytest.raises(ValueError, match="There are no CLIP weights"):
        asked("both")


def test_only_encoders_in_use_are_named(tiny_clip_file):
    parser = argparse.ArgumentParser()
    feature_blocks.add_feature_arguments(parser)
    add_encoder_arguments(parser)
    said = []
    encoders, _ = load_blocks(parser.parse_args(["--features", "content"]), said.append)
    assert encoders.line() == f"content weights semantic.safetensors (sha256 {encoders.content.sha256[:12]})"
    encoders, _ = load_blocks(parser.parse_args(["--features", "low"]), said.append)
    assert encoders.checksums()["content_sha256"] is None
    assert not any("--features" in sentence for sentence in said)
    load_blocks(parser.parse_args([]), said.append)
    assert said[-1].endswith("Better without CLIP: --features low_patches content --standardise.")
    said.clear()
    load_blocks(parser.parse_args(["--clip_weights", str(tiny_clip_file)]), said.append)
    assert not any("--features" in sentence for sentence in said)


def test_stores_are_filled_one_by_one_and_read_again(encoders, tmp_path, monkeypatch):
    for k in range(2):
        Image.fromarray(inputs.image_under_test(k)).save(tmp_path / f"{k}.png")
    images = unrated_folder(tmp_path).images
    low, patches = make_blocks(encoders, ("low", "low_patches"), Settings())
    stores = [Store((low,), tmp_path / "low.h5"), Store((patches,), tmp_path / "patches.h5")]
    alone, complete = table_of_features(images, stores[:1])
    assert complete
    # The kept block is read, the other computed: a picture that is decoded again shows in the count.
    decoded = []
    monkeypatch.setattr(
        feature_table, "read_ahead", lambda paths: decoded.append(len(paths)) or map(read_image, paths)
    )
    refused = replace(low, compute=lambda _: pytest.fail("low was computed again"))
    both, _ = table_of_features(images, [Store((refused,), stores[0].path), stores[1]])
    assert decoded == [2]
    for one, two in zip(alone, both, strict=True):
        np.testing.assert_array_equal(one.features, two.features[:128])
        assert two.features.shape == (384,) and two.status == "ok"
    again, _ = table_of_features(images, stores)
    assert decoded == [2, 0]
    np.testing.assert_array_equal(again[1].features, both[1].features)
    # Other weights: computed anew.
    other = replace(low, provenance={**low.provenance, "low_level_sha256": "0" * 64})
    table_of_features(images, [Store((other,), stores[0].path)])
    assert decoded == [2, 0, 2]


def test_without_a_path_nothing_is_written(encoders, tmp_path):
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "0.png")
    low, patches = make_blocks(encoders, ("low", "low_patches"), Settings())
    rows, _ = table_of_features(
        unrated_folder(tmp_path).images, [Store((low,), None), Store((patches,), None)]
    )
    assert rows[0].status == "ok, whole picture enlarged to 32x32, enlarged to 144x144"
    assert [path.name for path in Path(tmp_path).iterdir()] == ["0.png"]
