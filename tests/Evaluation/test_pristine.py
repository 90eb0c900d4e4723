"""Pristine statistics: the authors' file, the order of places, and that nothing stale is used."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image

from configs import Settings
from Evaluation import pristine as module
from Evaluation.pristine import find_pristine, pristine_of_folder, pristine_patches
from Evaluation.pristine_files import (
    read_patches,
    read_statistics,
    statistics_beside,
    write_statistics,
    writing_patches,
)
from models.low_level import LowLevelEncoder
from models.weights.files import save_tensors
from models.weights.low_level import LowLevelWeights
from utils.errors import UserError

SETTINGS = Settings()
HDF5 = "pristine_patches_096_0.75_0.80.hdf5"
KEPT = "pristine_statistics_*.safetensors"


@pytest.fixture(scope="session")
def weights(low_level_weights):
    return low_level_weights


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for k in range(3):
        Image.fromarray(inputs.pristine_image(k)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def said():
    return []


@pytest.fixture
def encoded(monkeypatch):
    """Numbers of patches that went through the encoder."""
    calls, real = [], module.patch_features
    monkeypatch.setattr(
        module,
        "patch_features",
        lambda run, grids, *a: calls.append(grids[0].shape[1]) or real(run, grids, *a),
    )
    return calls


def other(weights, sha256="f" * 64):
    return LowLevelWeights(lambda: weights.model, weights.path.with_name("other.safetensors"), sha256, {})


def test_statistics_of_photographs(parity, weights, photographs, tmp_path, said):
    features = torch.from_numpy(parity("low")["qlow_s0.75_c0.80_pristine_feats"]).double()
    found = find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    assert found.statistics.count == len(features) == 15
    assert found.images == ("0.png", "1.png", "2.png")
    torch.testing.assert_close(found.statistics.mean, features.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.statistics.covariance, torch.cov(features.T), atol=1e-4, rtol=0)
    assert said == []


def test_authors_file_is_written(parity, weights, photographs, tmp_path, said):
    pristine_of_folder(weights, SETTINGS, photographs, tmp_path / HDF5, said.append)
    with h5py.File(tmp_path / HDF5) as file:
        assert list(file) == ["data"]
        data = file["data"][:]
    assert data.dtype == np.float32
    assert list(data.shape) == parity("low")["select_s0.75_c0.80_shape"].tolist()
    assert (
        inputs.crc(np.round(data * 255).astype(np.uint8))
        == parity("low")["select_s0.75_c0.80_crc32_sorted_uint8"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [HDF5]


def test_names():
    assert SETTINGS.patches_file == HDF5
    assert Settings(64, 0.5, 0.9).patches_file == "pristine_patches_064_0.50_0.90.hdf5"


def test_kept_statistics_are_used_again(weights, photographs, tmp_path, said, encoded):
    first = find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    assert sum(encoded) == 15
    again = find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    assert sum(encoded) == 15
    assert torch.equal(again.statistics.covariance, first.statistics.covariance)
    assert (again.images, again.patches_sha256) == (first.images, first.patches_sha256)


def test_kept_statistics_of_something_else_are_not_used(weights, photographs, tmp_path, said, encoded):
    find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    find_pristine(other(weights), SETTINGS, photographs, tmp_path, said.append)
    assert sum(encoded) == 30
    find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    assert sum(encoded) == 30  # both are kept side by side
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    (fewer / "0.png").write_bytes((photographs / "0.png").read_bytes())
    found = find_pristine(weights, SETTINGS, fewer, tmp_path, said.append)
    assert found.statistics.count == 5
    (fewer / "0.png").write_bytes((photographs / "1.png").read_bytes())
    assert find_pristine(weights, SETTINGS, fewer, tmp_path, said.append).statistics.count == 6
    assert find_pristine(weights, Settings(sharpness=0.3), fewer, tmp_path, said.append).statistics.count > 6


def test_damaged_kept_statistics_are_made_anew(weights, photographs, tmp_path, said):
    find_pristine(weights, SETTINGS, photographs, tmp_path, said.append)
    (kept,) = tmp_path.glob(KEPT)
    kept.write_bytes(b"nonsense")
    assert find_pristine(weights, SETTINGS, photographs, tmp_path, said.append).statistics.count == 15
    assert "not a readable safetensors file" in said[0]
    assert read_statistics(kept).statistics.count == 15


def authors_file(path, patches):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=patches)


def test_authors_file_is_read_without_a_folder(weights, photographs, tmp_path, said, encoded):
    expected = pristine_of_folder(weights, SETTINGS, photographs, tmp_path / HDF5, said.append).statistics
    patches = torch.cat(list(read_patches(tmp_path / HDF5, SETTINGS)))
    assert len(patches) == 15
    (tmp_path / "elsewhere").mkdir()
    authors_file(tmp_path / "elsewhere" / HDF5, patches.flip(0).numpy())
    encoded.clear()
    for _ in range(2):
        found = find_pristine(weights, SETTINGS, None, tmp_path / "elsewhere", said.append)
        torch.testing.assert_close(found.statistics.mean, expected.mean, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.statistics.covariance, expected.covariance, atol=1e-5, rtol=0)
        assert encoded == [15]
    assert HDF5 in said[0]
    authors_file(tmp_path / "elsewhere" / HDF5, patches[:7].numpy())
    assert find_pristine(weights, SETTINGS, None, tmp_path / "elsewhere", said.append).statistics.count == 7


def test_a_named_folder_goes_before_somebody_elses_file(weights, photographs, tmp_path, said):
    authors_file(tmp_path / HDF5, np.random.default_rng(0).random((3, 3, 96, 96), np.float32))
    before = (tmp_path / HDF5).read_bytes()
    assert find_pristine(weights, SETTINGS, photographs, tmp_path, said.append).statistics.count == 15
    assert (tmp_path / HDF5).read_bytes() == before
    assert said == []


def test_patches_are_read_a_chunk_at_a_time(tmp_path):
    patches = np.random.default_rng(0).random((7, 3, 96, 96), np.float32)
    authors_file(tmp_path / HDF5, patches)
    chunks = list(read_patches(tmp_path / HDF5, Settings(chunk=3)))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert np.array_equal(torch.cat(chunks), patches)


@pytest.mark.parametrize("data, reason", [
    (np.zeros((4, 3, 64, 64), np.float32), r"shape \(4, 3, 64, 64\), expected \(2 or more, 3, 96, 96\)"),
    (np.zeros((1, 3, 96, 96), np.float32), r"shape \(1, 3, 96, 96\)"),
    (np.full((2, 3, 96, 96), 255, np.uint8), "no floating-point dataset 'data'"),
    (np.full((2, 3, 96, 96), 255, np.float32), r"outside \[0, 1\]"),
    (np.full((2, 3, 96, 96), np.nan, np.float32), r"outside \[0, 1\]"),
    (None, "no floating-point dataset 'data'"),
])  # fmt: skip
def test_wrong_authors_file_is_named(weights, tmp_path, said, data, reason):
    with h5py.File(tmp_path / HDF5, "w") as file:
        if data is not None:
            file.create_dataset("data", data=data)
    with pytest.raises(UserError, match=reason):
        find_pristine(weights, SETTINGS, None, tmp_path, said.append)


def test_truncated_authors_file_is_named(weights, tmp_path, said):
    authors_file(tmp_path / HDF5, np.zeros((2, 3, 96, 96), np.float32))
    (tmp_path / HDF5).write_bytes((tmp_path / HDF5).read_bytes()[:1000])
    with pytest.raises(UserError, match="is not a readable HDF5 file"):
        find_pristine(weights, SETTINGS, None, tmp_path, said.append)


def test_a_failure_leaves_no_file_of_patches(tmp_path):
    with pytest.raises(RuntimeError), writing_patches(tmp_path / HDF5, 96) as write:
        write(torch.zeros(2, 3, 96, 96))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_photographs_without_a_patch_are_counted(weights, photographs, tmp_path, said):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.png").write_bytes((photographs / "0.png").read_bytes())
    Image.new("RGB", (300, 300), (90, 90, 90)).save(folder / "grey.png")
    Image.new("RGB", (300, 50), (90, 200, 10)).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    found = pristine_of_folder(weights, SETTINGS, folder, None, said.append)
    assert found.images == ("a.png",)
    assert any("broken.jpg" in sentence for sentence in said)
    assert any("2 of 4 pristine images give no patch" in s and "grey.png, small.png" in s for s in said)


def test_patches_of_several_scales_are_those_of_each(weights, photographs, said):
    """Own size, once although it is named twice, and another."""
    one, half, both = (
        pristine_of_folder(weights, SETTINGS, photographs, None, said.append, sides).statistics
        for sides in ((0,), (128,), (0, 5000, 128))
    )
    assert both.count == one.count + half.count and min(one.count, half.count) > 0
    mean = (one.count * one.mean + half.count * half.mean) / both.count
    torch.testing.assert_close(both.mean, mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [-5, 95])
def test_a_size_without_room_for_a_patch_is_refused(weights, photographs, said, side):
    with pytest.raises(UserError, match=f"0 or 96 pixels and more, not {side}"):
        pristine_of_folder(weights, SETTINGS, photographs, None, said.append, (0, side))


def test_only_such_photographs_are_an_error(weights, tmp_path, said):
    Image.new("RGB", (300, 300), (90, 90, 90)).save(tmp_path / "grey.png")
    with pytest.raises(UserError, match="no image gives a pristine patch"):
        find_pristine(weights, SETTINGS, tmp_path, tmp_path, said.append)
    assert [path.name for path in tmp_path.iterdir()] == ["grey.png"]


def test_a_single_patch_is_an_error(weights, tmp_path, said):
    Image.fromarray(inputs.pristine_image(0)[:100, :100]).save(tmp_path / "one.png")
    with pytest.raises(UserError, match="2 or more are needed"):
        pristine_of_folder(weights, SETTINGS, tmp_path, None, said.append)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_missing_or_empty_folder(weights, tmp_path, said, make):
    make(tmp_path / "photographs")
    with pytest.raises(UserError, match="photographs"):
        find_pristine(weights, SETTINGS, tmp_path / "photographs", tmp_path, said.append)


def test_statistics_file_round_trip(weights, photographs, tmp_path, said):
    made = pristine_of_folder(weights, SETTINGS, photographs, None, said.append)
    write_statistics(tmp_path / "s.safetensors", made)
    read = read_statistics(tmp_path / "s.safetensors")
    assert torch.equal(read.statistics.mean, made.statistics.mean)
    assert torch.equal(read.statistics.covariance, made.statistics.covariance)
    assert (read.weights_sha256, read.images, read.source) == (
        weights.sha256,
        made.images,
        made.source,
    )
    assert read.belongs_to(weights, SETTINGS)
    assert not read.belongs_to(weights, Settings(colorfulness=0.5))


def test_statistics_beside_the_weights_are_of_these_weights_only(
    weights, photographs, tmp_path, said, monkeypatch
):
    shipped = tmp_path / "low_level.safetensors"
    monkeypatch.setattr(module, "DEFAULT_LOW_LEVEL", shipped)
    with pytest.raises(UserError, match=r"no pristine statistics made by the weights .*--pristine_img_dir"):
        find_pristine(weights, SETTINGS, None, tmp_path, said.append)
    made = pristine_of_folder(weights, SETTINGS, photographs, None, said.append)
    write_statistics(statistics_beside(shipped), made)
    assert statistics_beside(shipped).name == "low_level_pristine.safetensors"
    found = find_pristine(weights, SETTINGS, None, tmp_path, said.append)
    assert found.statistics.count == 15
    assert found.source == "low_level_pristine.safetensors (3 images)"
    with pytest.raises(UserError, match="no pristine statistics made by the weights"):
        find_pristine(other(weights), SETTINGS, None, tmp_path, said.append)
    with pytest.raises(UserError, match=r"are for patch size 96, sharpness 0\.75"):
        find_pristine(weights, Settings(patch_size=64), None, tmp_path, said.append)


def test_statistics_that_cannot_be_kept_are_used_all_the_same(
    weights, photographs, tmp_path, said, monkeypatch
):
    def full(path, pristine):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_statistics", full)
    assert find_pristine(weights, SETTINGS, photographs, tmp_path, said.append).statistics.count == 15
    assert said[-1].endswith("cannot be kept for the next time (No space left on device).")


def test_statistics_file_of_another_kind(tmp_path):
    save_tensors(LowLevelEncoder(), tmp_path / "s.safetensors", {})
    with pytest.raises(UserError, match="is not a file of format"):
        read_statistics(tmp_path / "s.safetensors")


def test_damaged_metadata_is_a_sentence(weights, photographs, tmp_path, said):
    """Numbers that are none were a bare ValueError."""
    made = pristine_of_folder(weights, SETTINGS, photographs, None, said.append)
    for field, value in (("patch_size", "wide"), ("sharpness", "much")):
        write_statistics(tmp_path / "s.safetensors", replace(made, **{field: value}))
        with pytest.raises(UserError, match=r"s\.safetensors: is damaged"):
            read_statistics(tmp_path / "s.safetensors")


def test_small_photograph_has_no_patch():
    assert pristine_patches(torch.rand(3, 95, 500), SETTINGS).shape == (0, 3, 96, 96)
