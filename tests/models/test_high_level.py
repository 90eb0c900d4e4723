"""CLIP's encoder at any size, text features and quality against the authors' numbers (parity part 11)."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch

from models.high_level import CLIP_MEAN, HighLevelEncoder, antonym_quality
from models.weights.clip import import_clip
from models.weights.high_level import load_clip, load_high_level

PROMPTS = ("A good photo.", "A bad photo.")
SIZES = {"224x224": 0, "192x320": 1, "500x375": 2, "64x96": 3}


@pytest.fixture(scope="module")
def weights(clip_file):
    return load_high_level(clip_file, None, PROMPTS, "none")


def image(array):
    return torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", SIZES)
@torch.inference_mode()
def test_features_of_any_size(parity, weights, name):
    clip, k = parity("clip"), SIZES[name]
    array = inputs.to_uint8(inputs.structured(1100 + k, *map(int, name.split("x"))))
    assert inputs.crc(array) == clip[f"clip_input_{name}_crc32"]
    np.testing.assert_allclose(weights.encoder(image(array)), clip[f"clip_nopos_{name}"], atol=2e-4)


@torch.inference_mode()
def test_with_positions_it_is_stock_clip(parity, clip_file):
    model = load_clip(clip_file)
    images = image(inputs.to_uint8(inputs.structured(1100, 224, 224)))
    stock = model.encode_image((images - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / HighLevelEncoder(
        model.visual, "interpolate").std)  # fmt: skip
    np.testing.assert_allclose(stock, parity("clip")["clip_stock_224x224"], atol=2e-4)


@torch.inference_mode()
def test_text_features(parity, weights):
    clip = parity("clip")
    np.testing.assert_array_equal(import_clip().tokenize(list(PROMPTS)), clip["clip_tokens"])
    np.testing.assert_allclose(weights.text[0], clip["clip_text_features"], atol=2e-4)


@torch.inference_mode()
def test_quality(parity, weights):
    clip = parity("clip")
    features = torch.cat([weights.encoder(image(inputs.image_under_test(k))) for k in range(3)])
    np.testing.assert_allclose(features, clip["test_clip_features"], atol=2e-4)
    np.testing.assert_allclose(antonym_quality(features, weights.text), clip["qhigh"], atol=1e-5)


@torch.inference_mode()
def test_smallest_pictures_in_portrait_and_landscape(weights):
    for height, width in ((32, 32), (32, 100), (100, 32)):
        features = weights.encoder(torch.rand(2, 3, height, width))
        assert features.shape == (2, 1024) and features.isfinite().all()


@torch.inference_mode()
def test_a_grey_of_clips_mean_colour_enters_as_zeros(weights):
    seen = []
    handle = weights.encoder.visual.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    weights.encoder(torch.tensor(CLIP_MEAN).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    handle.remove()
    assert seen[0].abs().max() == 0


@pytest.mark.parametrize(
    ("height", "width"), [(301, 70), (640, 33), (97, 128), (96, 64), (303, 40), (319, 40)]
)
@torch.inference_mode()
def test_a_picture_in_bands_is_the_whole_picture(weights, monkeypatch, height, width):
    images = torch.rand(1, 3, height, width)
    whole = weights.encoder(images)
    seen = []
    handle = weights.encoder.visual.conv1.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].shape)
    )
    monkeypatch.setattr("models.high_level.BAND_PIXELS", 32 * width)
    torch.testing.assert_close(weights.encoder(images), whole, rtol=0, atol=1e-5)
    handle.remove()
    assert len(seen) >= 3 and max(shape[2] for shape in seen) <= 32 + 2 * 32
