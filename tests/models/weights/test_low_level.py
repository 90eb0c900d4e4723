"""Weights files: round trips, and each way in which a file can be wrong is named."""

import pickle

import pytest
import synthetic_weights
import torch

from models.low_level import LowLevelEncoder
from models.weights.files import save_tensors
from models.weights.low_level import find_low_level, load_low_level, to_authors
from utils.errors import UserError
from utils.files import file_sha256


@pytest.fixture
def authors():
    return dict(synthetic_weights.low_level_state_dict(0))


def tar(path, tensors):
    torch.save(
        {"model": {"state_dict": tensors}, "current_iteration": 1, "optimizer": {"state_dict": {}}}, path
    )
    return path


def test_authors_file(tmp_path, authors):
    loaded = load_low_level(tar(tmp_path / "low.tar", authors))
    assert not loaded.model.training
    assert loaded.sha256 == file_sha256(tmp_path / "low.tar")
    back = to_authors(loaded.model.state_dict())
    assert set(authors) - set(back) == {"encoder.base_model.fc.weight", "encoder.base_model.fc.bias"}
    for key, value in back.items():
        assert torch.equal(value, authors[key]), key


def test_safetensors_round_trip(tmp_path):
    model = LowLevelEncoder()
    save_tensors(model, tmp_path / "w.safetensors", {"note": "a test"})
    loaded = load_low_level(tmp_path / "w.safetensors")
    assert loaded.metadata["note"] == "a test"
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value), key
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_half_precision_file_is_computed_in_float32(tmp_path):
    model = LowLevelEncoder()
    save_tensors(model, tmp_path / "half.safetensors", {}, torch.float16)
    loaded = load_low_level(tmp_path / "half.safetensors").model.state_dict()
    for key, value in model.state_dict().items():
        assert loaded[key].dtype == value.dtype
        assert torch.equal(loaded[key], value.half().float() if value.is_floating_point() else value), key


def test_missing_tensor_is_named(tmp_path, authors):
    del authors["encoder.resnet18.4.0.conv1.weight"]
    with pytest.raises(
        UserError, match=r"low\.tar: tensor 'encoder\.resnet18\.4\.0\.conv1\.weight' is missing"
    ):
        load_low_level(tar(tmp_path / "low.tar", authors))


def test_unknown_tensor_is_named(tmp_path, authors):
    authors["visual.proj"] = torch.zeros(1)
    with pytest.raises(UserError, match=r"'visual\.proj' does not belong"):
        load_low_level(tar(tmp_path / "low.tar", authors))


def test_wrong_shape_is_named(tmp_path, authors):
    authors["head.2.weight"] = torch.zeros(64, 512)
    with pytest.raises(UserError, match=r"'head\.2\.weight' has shape \(64, 512\), expected \(128, 512\)"):
        load_low_level(tar(tmp_path / "low.tar", authors))


def test_values_that_are_not_finite_are_named(tmp_path, authors):
    authors["head.2.bias"] = authors["head.2.bias"].clone()
    authors["head.2.bias"][3] = float("inf")
    with pytest.raises(UserError, match=r"'head\.2\.bias' holds values that are not finite"):
        load_low_level(tar(tmp_path / "low.tar", authors))


def test_differing_copies_are_named(tmp_path, authors):
    key = "encoder.base_model.conv1.weight"
    authors[key] = authors[key] + 1
    with pytest.raises(UserError, match=r"'encoder\.base_model\.conv1\.weight' must be the same tensor"):
        load_low_level(tar(tmp_path / "low.tar", authors))


@pytest.mark.parametrize("suffix", [".tar", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_truncated_file(tmp_path, suffix, keep):
    path = tmp_path / f"w{suffix}"
    if suffix == ".tar":
        tar(path, to_authors(LowLevelEncoder().state_dict()))
    else:
        save_tensors(LowLevelEncoder(), path, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"w{suffix}: not a readable"):
        load_low_level(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"state_dict": {}},
        {"model": {}},
        {"model": 3},
        {"model": {"state_dict": 3}},
        {"model": {"state_dict": {"head.0.bias": 3}}},
    ],
)
def test_another_layout(tmp_path, content):
    torch.save(content, tmp_path / "w.tar")
    with pytest.raises(UserError, match="expected a state dict, or the authors' layout"):
        load_low_level(tmp_path / "w.tar")


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="there is no such weights file"):
        load_low_level(tmp_path / "w.tar")


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("by_torch", [True, False])
def test_code_in_a_pickle_is_refused(tmp_path, by_torch):
    path, trace = tmp_path / "evil.tar", tmp_path / "trace"
    if by_torch:
        torch.save({"model": {"state_dict": Trap(trace)}}, path)
    else:
        path.write_bytes(pickle.dumps({"model": {"state_dict": Trap(trace)}}, protocol=2))
    with pytest.raises(UserError, match=r"evil\.tar: not a readable torch weights file"):
        load_low_level(path)
    assert not trace.exists()


def test_authors_file_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr("models.weights.low_level.AUTHORS_LOW_LEVEL", tmp_path / "a.tar")
    monkeypatch.setattr("models.weights.low_level.DEFAULT_LOW_LEVEL", tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="default low-level weights are missing"):
        find_low_level()
    (tmp_path / "b.safetensors").touch()
    assert find_low_level().name == "b.safetensors"
    (tmp_path / "a.tar").touch()
    assert find_low_level().name == "a.tar"


def test_state_dicts_of_other_makers_are_taken(tmp_path):
    """Plain, of DataParallel, and with the authors' names without their wrapping."""
    model = LowLevelEncoder()
    own = model.state_dict()
    for name, state in (
        ("plain.pth", own),
        ("parallel.pth", {f"module.{key}": value for key, value in own.items()}),
        ("authors.pth", {f"module.{key}": value for key, value in to_authors(own).items()}),
    ):
        torch.save(state, tmp_path / name)
        loaded = load_low_level(tmp_path / name).model.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in own.items()), name
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="of the low-level encoder is missing"):
        load_low_level(tmp_path / "other.pth")


def test_reading_draws_no_random_numbers():
    before = torch.get_rng_state()
    load_low_level(find_low_level())
    assert torch.equal(torch.get_rng_state(), before)
