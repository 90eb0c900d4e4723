"""The low-level encoder against the authors' features: 1e-4 absolute (parity's section 6)."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import synthetic_weights
import torch

from models.low_level import LowLevelEncoder, start_from_cosines
from models.weights.low_level import from_authors


def encoder():
    model = LowLevelEncoder()
    model.load_state_dict(from_authors(synthetic_weights.low_level_state_dict(0), "synthetic"))
    return model.eval()


def tensor(array):
    return torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255


@torch.inference_mode()
def test_features(parity):
    low, model = parity("low"), encoder()
    arrays = [inputs.to_uint8(inputs.structured(600 + k, 96, 96)) for k in range(8)]
    assert [inputs.crc(array) for array in arrays] == low["low_input8_crc32"].tolist()
    patches = torch.cat([tensor(array) for array in arrays])
    np.testing.assert_allclose(model.resnet(patches), low["low_encoder_8x96"], atol=1e-4)
    np.testing.assert_allclose(model(patches), low["low_feat_8x96"], atol=1e-4)
    np.testing.assert_allclose(model.double()(patches.double()), low["low_feat_8x96_f64"], atol=1e-5)


@torch.inference_mode()
def test_features_of_other_sizes(parity):
    low, model = parity("low"), encoder()
    whole = tensor(inputs.to_uint8(inputs.structured(610, 128, 160)))
    np.testing.assert_allclose(model(whole), low["low_feat_128x160"], atol=1e-4)
    random = torch.from_numpy(np.random.default_rng(620).random((2, 3, 128, 160)).astype(np.float32))
    np.testing.assert_allclose(model(random), low["low_feat_random_2x128x160"], atol=1e-4)


def test_the_start_from_cosines_is_a_block_transform_and_identities():
    torch.manual_seed(0)
    model = LowLevelEncoder()
    start_from_cosines(model)
    filters = model.resnet.conv1.weight.flatten(1)
    torch.testing.assert_close(filters @ filters.T, torch.eye(64), atol=1e-6, rtol=0)
    # On grey input the luminance filters keep all of a 7 x 7 block (Parseval), the others see nothing.
    grey = torch.rand(7, 7)
    answers = filters @ grey.expand(3, 7, 7).flatten()
    assert answers.square().sum().item() == pytest.approx(3 * grey.square().sum().item(), rel=1e-5)
    assert answers[49:].abs().max() < 1e-5
    maps = torch.rand(2, 64, 6, 6)
    torch.testing.assert_close(model.resnet.layer1[0].eval()(maps), maps)
