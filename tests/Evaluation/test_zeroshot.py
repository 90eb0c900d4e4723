"""Zero-shot scores against the authors': distance 1e-4 relative, quality 1e-5."""

from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import synthetic_weights
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import Settings
from datasets.decoder import read_image
from datasets.rated.sets import RatedImage
from Evaluation.distance import statistics
from Evaluation.features import enlarged_size, resize
from Evaluation.reports.text import collect, table_text, write_table
from Evaluation.zeroshot import (
    HighLevelBranch,
    LowLevelBranch,
    high_level_quality,
    low_level_distance,
    score_images,
    score_picture,
)
from models.low_level import LowLevelEncoder
from models.weights.high_level import load_high_level
from models.weights.low_level import from_authors
from utils.errors import UserError

ANY = RatedImage("any", Path("any"))


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def encoder():
    model = LowLevelEncoder()
    model.load_state_dict(from_authors(synthetic_weights.low_level_state_dict(0), "synthetic"))
    return model.eval()


@pytest.fixture(scope="module")
def branch(parity, encoder):
    features = parity("low")["qlow_s0.75_c0.80_pristine_feats"]
    return LowLevelBranch(encoder, statistics(torch.from_numpy(features)), Settings())


@pytest.fixture(scope="module")
def high(clip_file):
    weights = load_high_level(clip_file, None, Settings().prompts, "none")
    return HighLevelBranch(weights.encoder, weights.text)


def test_both_branches_equal_the_authors_and_either_alone(parity, branch, high):
    clip = parity("clip")
    for k in range(3):
        picture = tensor(inputs.image_under_test(k))
        row = score_picture(ANY, picture, branch, high)
        assert row.q_low == pytest.approx(clip["qlow"][k], abs=1e-5)
        assert row.q_high == pytest.approx(clip["qhigh"][k], abs=1e-5)
        assert row.q == pytest.approx(clip["combined"][k], abs=2e-5)
        assert (row.score, row.status) == (row.q, "ok")
        assert score_picture(ANY, picture, branch).q_low == row.q_low
        alone = score_picture(ANY, picture, high=high)
        assert (alone.q_high, alone.q_low, alone.q, alone.score) == (row.q_high, None, None, row.q_high)


def test_a_picture_is_decoded_once_for_both_branches(branch, high, folder, monkeypatch):
    read = []
    monkeypatch.setattr("datasets.read_ahead.read_image", lambda path: read.append(path) or read_image(path))
    (row,) = score_images([RatedImage("0.png", folder / "0.png")], branch, high)
    assert row.q == row.q_low + row.q_high
    assert len(read) == 1


def test_clip_sees_small_pictures_as_they_are_down_to_32(branch, high):
    picture = tensor(inputs.to_uint8(inputs.structured(1, 40, 60)))
    row = score_picture(ANY, picture, branch, high)
    assert row.status == "ok, enlarged to 216x144"
    assert row.q_high == high_level_quality(picture, high)
    tiny = score_picture(ANY, picture[:, :10, :20], high=high)
    assert tiny.status == "ok, whole picture enlarged to 64x32"
    assert 0 < tiny.q_high < 1


@pytest.mark.parametrize("shares", ["s0.75_c0.80", "s0.30_c0.30"])
def test_scores(parity, encoder, shares):
    low = parity("low")
    pristine = statistics(torch.from_numpy(low[f"qlow_{shares}_pristine_feats"]))
    branch = LowLevelBranch(encoder, pristine, Settings())
    for k in range(3):
        array = inputs.image_under_test(k)
        assert inputs.crc(array) == low["test_crc32"][k]
        row = score_picture(ANY, tensor(array), branch)
        assert low_level_distance(tensor(array), branch) == pytest.approx(
            low[f"qlow_{shares}_dist_f64"][k], rel=1e-4
        )
        assert row.q_low == pytest.approx(low[f"qlow_{shares}"][k], abs=1e-5)
        assert (row.height, row.width) == array.shape[:2]
        assert (row.status, row.q, row.q_high, row.score) == ("ok", None, None, row.q_low)


def test_one_row_of_patches_and_grey(parity, branch):
    """120 rows, on which the authors' single-image function fails, and a grey picture in three channels."""
    misc = parity("misc")
    strip = score_picture(ANY, tensor(inputs.to_uint8(inputs.structured(1, 120, 300))), branch)
    assert strip.q_low == pytest.approx(float(misc["edge_short120x300_qlow_dataset_path"][0]), abs=1e-5)
    assert strip.status == "ok"
    grey = inputs.to_uint8(inputs.structured(1, 200, 220))[..., :1].repeat(3, axis=2)
    row = score_picture(ANY, tensor(grey), branch)
    assert row.q_low == pytest.approx(float(misc["edge_gray200x220_qlow_dataset_path"][0]), abs=1e-5)


def test_antialiased_resize(parity):
    picture = tensor(inputs.to_uint8(inputs.structured(1150, 640, 960)))
    ours = resize(picture, 500, 500)[:, ::20, ::20]
    np.testing.assert_allclose(ours, parity("misc")["resize_antialias_True_sub20"], atol=1e-5)


def test_resize_of_the_data_set(branch):
    picture = tensor(inputs.to_uint8(inputs.structured(3, 160, 240)))
    row = score_picture(RatedImage("x", Path("x"), 50.0, (150, 170)), picture, branch)
    assert (row.width, row.height, row.mos, row.status) == (240, 160, 50.0, "ok, resized to 170x150")
    assert row.q_low == score_picture(ANY, resize(picture, 150, 170), branch).q_low
    assert score_picture(RatedImage("x", Path("x"), 5.0, (160, 240)), picture, branch).status == "ok"


@pytest.mark.parametrize("height, width, expected", [
    (96, 143, (144, 214)), (143, 143, (144, 144)), (95, 300, (144, 455)), (300, 95, (455, 144)),
    (1, 1, (144, 144)), (96, 144, (96, 144)), (144, 96, (144, 96)), (120, 300, (120, 300)),
    (500, 500, (500, 500)),
])  # fmt: skip
def test_enlarged_size(height, width, expected):
    assert enlarged_size(height, width, Settings()) == expected


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 131))
def test_every_picture_gets_two_patches(height, width, size):
    rows, columns = enlarged_size(height, width, Settings(patch_size=size))
    assert min(rows, columns) >= size
    assert ((rows - size) // (size // 2) + 1) * ((columns - size) // (size // 2) + 1) >= 2
    assert rows >= height and columns >= width


def test_a_sliver_is_refused_not_grown():
    with pytest.raises(UserError, match="60000x1 is too narrow"):
        enlarged_size(1, 60_000, Settings())


def test_small_picture_is_enlarged_and_flagged(branch):
    picture = tensor(inputs.to_uint8(inputs.structured(1, 60, 100)))
    row = score_picture(ANY, picture, branch)
    assert (row.height, row.width) == (60, 100)
    assert row.status == "ok, enlarged to 240x144"
    assert row.q_low == score_picture(ANY, resize(picture, 144, 240), branch).q_low


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (96, 96), (200, 300)])
def test_flat_picture_has_a_finite_score(branch, value, size):
    row = score_picture(ANY, torch.full((3, *size), value), branch)
    assert 0 < row.q_low <= 0.5
    assert row.scored


def test_score_does_not_depend_on_the_chunk(branch):
    picture = tensor(inputs.to_uint8(inputs.structured(5, 250, 300)))
    scores = [
        low_level_distance(picture, LowLevelBranch(branch.encoder, branch.pristine, Settings(chunk=chunk)))
        for chunk in (1, 7, 256)
    ]
    assert max(scores) - min(scores) < 1e-5 * max(scores)


def test_bfloat16_is_close(branch):
    picture = tensor(inputs.image_under_test(0))
    half = LowLevelBranch(branch.encoder, branch.pristine, branch.settings, torch.bfloat16)
    ours = score_picture(ANY, picture, half).q_low
    reference = score_picture(ANY, picture, branch).q_low
    assert ours != reference
    assert ours == pytest.approx(reference, abs=0.03)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 250), st.integers(20, 250))
def test_whatever_comes_has_a_score(branch, seed, height, width):
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    assert 0 < score_picture(ANY, noise, branch).q_low <= 0.5


@pytest.fixture
def folder(tmp_path):
    for k in range(3):
        Image.fromarray(inputs.image_under_test(k)).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def test_rows_come_in_order_and_a_broken_file_is_one(parity, branch, folder):
    names = ["2.png", "broken.png", "0.png", "gone.png", "1.png", "0.png"]
    rows = list(score_images([RatedImage(name, folder / name, 3.0) for name in names], branch))
    assert [row.image for row in rows] == names
    assert [row.scored for row in rows] == [True, False, True, False, True, True]
    expected = parity("low")["qlow_s0.75_c0.80"][[2, 0, 1, 0]]
    np.testing.assert_allclose([row.q_low for row in rows if row.scored], expected, atol=1e-5)
    assert rows[1].status == "is not a picture in a format that can be read."
    assert rows[3].status == "there is no such file."
    assert (rows[1].width, rows[1].q_low, rows[1].score, rows[1].mos) == (None, None, None, 3.0)
    # What else is scored changes nothing.
    assert rows[2].q_low == rows[5].q_low
    (alone,) = score_images([RatedImage("0.png", folder / "0.png")], branch)
    assert alone.q_low == rows[2].q_low


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_picture_that_does_not_fit_in_memory_costs_its_own_row_only(branch, folder, monkeypatch, error):
    def distance(picture, branch):
        if picture.shape[-1] == 320:  # 0.png
            raise error
        return low_level_distance(picture, branch)

    monkeypatch.setattr("Evaluation.zeroshot.low_level_distance", distance)
    images = [RatedImage(f"{k}.png", folder / f"{k}.png", 1.0) for k in range(2)]
    rows = list(score_images(images, branch))
    assert rows[0].status == "does not fit in memory"
    assert rows[1].scored


def test_another_error_of_torch_is_not_taken_for_a_lack_of_memory(branch, folder, monkeypatch):
    def broken(picture, branch):
        raise RuntimeError("expected a float")

    monkeypatch.setattr("Evaluation.zeroshot.low_level_distance", broken)
    with pytest.raises(RuntimeError, match="expected a float"):
        list(score_images([RatedImage("0.png", folder / "0.png")], branch))


def test_a_picture_too_large_to_decode_costs_its_own_row_only(branch, folder, monkeypatch):
    def read(path):
        if path.name == "0.png":
            raise MemoryError
        return torch.rand(3, 150, 150)

    monkeypatch.setattr("datasets.read_ahead.read_image", read)
    images = [RatedImage(f"{k}.png", folder / f"{k}.png", 1.0) for k in range(2)]
    rows = list(score_images(images, branch))
    assert rows[0].status == "does not fit in memory"
    assert rows[1].scored


def test_interrupt_keeps_the_rows(branch, folder, monkeypatch):
    images = [RatedImage(name, folder / name) for name in ("0.png", "1.png", "2.png")]

    def interrupted(image, picture, *branches):
        if image.name == "2.png":
            raise KeyboardInterrupt
        return score_picture(image, picture, *branches)

    monkeypatch.setattr("Evaluation.zeroshot.score_picture", interrupted)
    rows, complete = collect(images, branch)
    assert ([row.image for row in rows], complete) == (["0.png", "1.png"], False)


def test_table(branch, folder):
    rows, complete = collect(
        [RatedImage(name, folder / name, 1.5) for name in ("0.png", "broken.png")], branch
    )
    assert complete
    header, first, second = table_text(rows).splitlines()
    assert header == "image,width,height,q_low,q_high,q,mos,status"
    assert first == f"0.png,320,240,{rows[0].q_low!r},,,1.5,ok"
    assert second == "broken.png,,,,,,1.5,is not a picture in a format that can be read."
    for suffix in ("csv", "json"):
        write_table(folder / f"t.{suffix}", rows, {"complete": True})
        assert not list(folder.glob("*.part"))
    assert (folder / "t.csv").read_text() == table_text(rows)


@pytest.mark.parametrize(
    "field", [{"patch_size": 16}, {"sharpness": 1.0}, {"colorfulness": -0.1}, {"prompts": ("Good.",)}]
)
def test_settings_are_checked(field):
    with pytest.raises(UserError, match=next(iter(field))):
        Settings(**field)
