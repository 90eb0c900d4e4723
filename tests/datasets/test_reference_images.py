"""Which images the high-level branch trains on, and what it sees of them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import center_crop, normalize

from datasets.reference_images import ReferenceImages, centre_crop, find_references
from datasets.version_pairs import ImageOrder
from models.high_level import CLIP_MEAN, CLIP_STD, HighLevelEncoder
from models.weights.high_level import load_clip
from utils.errors import UserError


def pixels_of(height, width, dtype=np.uint8):
    white = np.iinfo(dtype).max
    return np.random.default_rng(height * width).integers(0, white, (height, width, 3), dtype, endpoint=True)


def save(path, height=40, width=50):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_of(height, width)).save(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("side", [32, 33])
def test_the_crop_is_torchvisions_for_every_parity_larger_and_smaller(side, dtype):
    fill = (0.25, 0.5, 0.75)
    lengths = range(side - 4, side + 6)
    for height in lengths:
        for width in lengths:
            pixels = pixels_of(height, width, dtype)
            image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / np.iinfo(dtype).max
            shift = torch.tensor(fill).view(3, 1, 1)  # so that torchvision's zeros are the fill
            expected = center_crop(image - shift, side) + shift
            crop = centre_crop(pixels, side, fill)
            assert crop.shape == (3, side, side)
            assert torch.allclose(crop, expected, rtol=0, atol=1e-6), (height, width)


def test_padding_reaches_the_network_as_zeros(tiny_clip_file, tmp_path):
    file = save(tmp_path / "small.png", 41, 90)
    crop, name = ReferenceImages([file], 64, CLIP_MEAN)[0, 0]
    assert name == str(file)
    seen = []
    encoder = HighLevelEncoder(load_clip(tiny_clip_file).visual, "none")
    encoder.visual.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(crop[None])
    image = torch.from_numpy(pixels_of(41, 90)).permute(2, 0, 1) / 255
    expected = center_crop(normalize(image, CLIP_MEAN, CLIP_STD), 64)
    assert torch.allclose(seen[0][0], expected, atol=1e-6)
    assert seen[0][0, :, :11].abs().max() == 0  # 23 rows are missing, the smaller half of them above
    assert seen[0][0, :, 52:].abs().max() == 0
    assert seen[0][0, :, 11:52].abs().min(0).values.min() > 0


def test_references_are_the_last_marked_file_of_each_folder(tmp_path):
    root = tmp_path / "REF_set"  # the marker in a folder's name marks nothing
    for name in ("b/1.png", "b/2_REF.png", "b/3_REF.png", "b/4.png", "a/REF.png", ".half/REF.png"):
        save(root / name)
    assert find_references(root, "REF") == [root / "a/REF.png", root / "b/3_REF.png"]
    save(root / "c/orig.png")
    with pytest.raises(UserError, match=r"REF_set/c: no image has 'REF'.*reference=TEXT"):
        find_references(root, "REF")
    for name in "ab":
        save(root / name / "orig.png")
    assert [file.name for file in find_references(root, "orig")] == ["orig.png"] * 3
    (root / "d").mkdir()
    with pytest.raises(UserError, match="d: holds no image"):
        find_references(root, "orig")


def test_a_folder_with_pictures_is_a_plain_one(tmp_path):
    files = [save(tmp_path / "plain" / name) for name in ("a.png", "b.jpg")]
    save(tmp_path / "plain" / "more" / "c_REF.png")
    (tmp_path / "plain" / "notes.txt").write_text("no image")
    assert find_references(tmp_path / "plain", "REF") == files
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds neither"):
        find_references(tmp_path / "empty", "REF")
    with pytest.raises(UserError, match="none: there is no such set"):
        find_references(tmp_path / "none", "REF")


def test_a_damaged_photograph_is_named_when_it_is_drawn(tmp_path):
    file = save(tmp_path / "cut.png", 200, 200)
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"cut\.png: is damaged"):
        ReferenceImages([file], 64, CLIP_MEAN)[0, 0]


def test_the_last_short_batch_is_dropped_and_a_later_start_gives_the_same_rest():
    order = list(ImageOrder(11, 4, 3, 0, drop_last=True))
    assert [len(batch) for batch in order] == [4] * 6
    assert [batch[0][0] for batch in order] == [0, 0, 1, 1, 2, 2]
    assert list(ImageOrder(11, 4, 3, 0, 3, drop_last=True)) == order[3:]
    assert len(ImageOrder(11, 4, 3, 0, drop_last=True)) == 6
    assert [len(batch) for batch in ImageOrder(11, 4, 1, 0)] == [4, 4, 3]
