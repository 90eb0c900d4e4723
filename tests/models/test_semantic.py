"""The semantic encoder against the published network, and how its file is made of the published one."""

import pytest
import synthetic_inputs as inputs
import torch
from torch import nn
from torch.nn import functional as F

from models import semantic
from models.engine import run_by_torch
from models.semantic import SEMANTIC_FEATURES, SemanticEncoder
from models.weights.semantic import from_published, load_semantic
from utils.errors import UserError
from utils.files import file_sha256


@torch.inference_mode()
def test_features_are_those_of_the_published_network(parity):
    """Within what float16 rounds away, 0.4 % of a feature's length; one layer padded alike costs 13 %."""
    arrays = [inputs.to_uint8(inputs.structured(1300 + k, 224, 224)) for k in range(4)]
    assert [inputs.crc(array) for array in arrays] == parity("content")["content_crc32"].tolist()
    images = torch.stack([torch.from_numpy(array).permute(2, 0, 1) for array in arrays]).float() / 255
    stages = load_semantic().encoder(images)
    assert sum(maps.shape[1] for maps in stages) == SEMANTIC_FEATURES
    assert [maps.shape[2] for maps in stages] == [112, 56, 28, 14, 14, 7, 7]
    # Of the fifth stage and the sixth there are numbers.
    found = torch.cat([maps.mean((2, 3)) for maps in stages[4:6]], 1).double()
    expected = torch.from_numpy(parity("content")["content_features"])
    for ours, theirs in zip(found.split((112, 192), 1), expected.split((112, 192), 1), strict=True):
        assert ((ours - theirs).norm(dim=1) < 0.005 * theirs.norm(dim=1)).all()


def published():
    """Random tensors by the names of the published file, and a last layer that is left out."""
    random = torch.Generator().manual_seed(0)
    tensors = {"_fc.weight": torch.zeros(1000, 1280)}
    for name, layer in SemanticEncoder().named_modules():
        if isinstance(layer, nn.Conv2d):
            conv, norm = published_names(name)
            tensors[f"{conv}.weight"] = torch.randn(layer.weight.shape, generator=random)
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{norm}.{leaf}"] = torch.rand(len(layer.weight), generator=random) + 0.5
    return tensors


def published_names(name):
    if name == "stem":
        return "_conv_stem", "_bn0"
    _, block, kind = name.split(".")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[kind]
    return f"_blocks.{block}._{kind}_conv", f"_blocks.{block}.{norm}"


@torch.inference_mode()
def test_normalisations_are_folded():
    tensors = published()
    encoder = from_published(tensors, "published.pth").double()
    for name, layer in encoder.named_modules():
        if isinstance(layer, nn.Conv2d):
            conv, norm = published_names(name)
            maps = torch.rand(1, layer.weight.shape[1] * layer.groups, 9, 9, dtype=torch.float64)
            weight = tensors[f"{conv}.weight"].double()
            padded = maps if layer.border is None else F.pad(maps, layer.border)
            seen = F.conv2d(padded, weight, None, layer.stride, layer.padding, 1, layer.groups)
            leaves = ("running_mean", "running_var", "weight", "bias")
            theirs = (tensors[f"{norm}.{leaf}"].double() for leaf in leaves)
            # The published configuration's epsilon.
            expected = F.batch_norm(seen, *theirs, eps=0.001)
            torch.testing.assert_close(layer(maps), expected, rtol=1e-5, atol=1e-4)


def test_the_file_is_made_by_one_command(run_script, tmp_path):
    torch.save(published(), tmp_path / "net.pth")
    output = tmp_path / "semantic.safetensors"
    command = ("tools.semantic_weights", tmp_path / "net.pth", "--output", output)
    status, out, _ = run_script(*command)
    loaded = load_semantic(output)
    assert status == 0 and loaded.sha256 == file_sha256(output) and loaded.sha256 in out
    made = from_published(published(), "net.pth").state_dict()
    for key, value in loaded.encoder.state_dict().items():
        assert torch.equal(value, made[key].half().float()), key
    lacking = {key: value for key, value in published().items() if key != "_blocks.3._bn1.bias"}
    for content, reason in (
        (lacking, "net.pth: tensor '_blocks.3._bn1.bias' of EfficientNet-Lite0 is missing"),
        ([1], "net.pth: holds more than tensors by name"),
    ):
        torch.save(content, tmp_path / "net.pth")
        status, _, err = run_script(*command)
        assert status == 2 and reason in err


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"semantic\.safetensors: the semantic weights are missing; restore"):
        load_semantic(tmp_path / "semantic.safetensors")


@pytest.mark.parametrize("size", [(333, 457), (800, 401), (97, 3000), (1025, 513), (2000, 600)])
def test_bands_are_the_maps_of_one_piece(size, monkeypatch):
    monkeypatch.setattr(semantic, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(semantic, "BAND_PIXELS", 1 << 15)
    encoder = load_semantic().encoder
    images = torch.rand(1, 3, *size)
    shallow, deep = (run_by_torch(kind(encoder)) for kind in (semantic.ShallowStages, semantic.DeepStages))
    found = semantic.run_in_bands(shallow, deep, images)
    for one, whole in zip(found, run_by_torch(encoder)(images), strict=True):
        assert one.shape == whole.shape
        torch.testing.assert_close(one, whole, rtol=1e-5, atol=1e-4)
