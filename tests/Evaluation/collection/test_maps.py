"""Quality maps: what they say of patches, of whole images, and where they say it."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from datasets.decoder import read_image
from datasets.rated.sets import RatedImage
from Evaluation import GRepQ
from Evaluation.collection import draw
from Evaluation.collection.explain import explain, map_name, write_maps
from Evaluation.collection.maps import NAMES, QualityMap, named_distortions, patch_distances, quality_map
from Evaluation.collection.rows import Row
from Evaluation.collection.run import prepare_maps
from Evaluation.distance import statistics
from Evaluation.extended.tiles import map_grid, map_starts
from tests.Evaluation.test_grepq import SAMPLES
from utils.errors import UserError


@pytest.fixture(scope="module")
def model():
    return GRepQ.from_pretrained(branch="low", device="cpu")


def mapped(model, image):
    seen = model.measure(image, ("map",))
    pristine = model.pristine.statistics
    return quality_map(seen.part("map"), image.shape[1:], 96, pristine, 0.001, model.extended.targets)


@pytest.mark.parametrize("length", [96, 97, 143, 144, 145, 500, 816, 5000])
def test_patches_reach_both_borders_and_leave_nothing_out(length):
    found = map_starts(length, 96).tolist()
    assert found[0] == 0 and found[-1] == length - 96 and len(found) <= 16
    steps = np.diff(found)
    assert length > 816 or all(steps <= 48)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_the_grid_is_of_the_patches_at_these_places():
    view = torch.rand(3, 150, 97)
    grid = map_grid(view, 96)
    assert grid.shape == (3, 2, 3, 96, 96)
    for row, y in enumerate((0, 27, 54)):
        for column, x in enumerate((0, 1)):
            assert torch.equal(grid[row, column], view[:, y : y + 96, x : x + 96])


def test_the_distance_of_a_patch():
    features = torch.randn(2, 3, 5, dtype=torch.float64)
    pristine = statistics(torch.randn(40, 5) + 1)
    inverse = np.linalg.inv(pristine.covariance.numpy() + 0.001 * np.eye(5))
    for place in np.ndindex(2, 3):
        difference = features[place].numpy() - pristine.mean.numpy()
        expected = np.sqrt(difference @ inverse @ difference)
        assert patch_distances(features, pristine, 0.001)[place] == pytest.approx(expected, rel=1e-9)


def test_distortions_are_named_by_the_sums_of_what_tells_them():
    told = {
        "structure": 9.0,
        "gaussian_blur": 0.2,
        "lens_blur": 0.15,
        "jpeg": 0.3,
        "haze": 0.16,
        "denoise": 0.14,
    }
    assert named_distortions(told) == (("blur", 0.35), ("JPEG", 0.3), ("haze", 0.16))
    assert named_distortions({"white_noise": 0.8, "dark_noise": 0.5}) == (("noise", 1.0),)
    assert named_distortions({"jpeg": 0.1}) == ()


@pytest.mark.parametrize("name, words", [
    ("chelsea_gaussian_blur_0.40", "blur 0.5"), ("chelsea_white_noise_0.60", "noise 0.7"),
    ("coffee_jpeg_0.80", "JPEG 0.7"), ("rocket_jpeg2000_0.70", "JPEG 2000 0.3, blur 0.2"),
    ("chelsea", ""), ("coffee", ""),
    ("rocket_gaussian_blur+jpeg_0.70", "blur 0.5, JPEG 0.3"), ("chelsea_under_exposure_0.70", "under-exp"),
])  # fmt: skip
def test_the_samples_are_told_for_what_they_are(model, name, words):
    found = mapped(model, read_image(SAMPLES / f"{name}.jpg"))
    assert found.words.startswith(words) and bool(found.words) == bool(words)


def test_the_blurred_half_of_an_image_is_bright_and_the_sharp_one_dark(model):
    image = read_image(SAMPLES / "coffee.jpg")
    blurred = image.clone()
    blurred[:, :, 300:] = torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, 4, 4)))[:, :, 300:]
    sharp, found = mapped(model, image), mapped(model, blurred)
    for one, other in ((sharp.distance, found.distance), (sharp.distortion, found.distortion)):
        np.testing.assert_allclose(other[:, :5], one[:, :5], atol=1e-3)  # patches left of the middle
        assert (other[:, 7:] - one[:, 7:]).min() > 0
    picture = draw.heat(found.distortion, found, draw.MOST_DISTORTION, (20, 30)).convert("RGBA")
    opacity = np.asarray(picture)[..., 3]
    assert opacity[:, 20:].mean() > 2.5 * opacity[:, :10].mean()


def test_a_heat_map_lies_where_its_patches_are():
    values = np.zeros((2, 2))
    values[0, 1] = 10.0
    middles = np.array([0.25, 0.75])
    found = quality_map_of(values, middles)
    opacity = np.asarray(draw.heat(values, found, 10.0, (40, 80)).convert("RGBA"))[..., 3].astype(float)
    full = draw.OPACITY * 255
    assert opacity[:10, 61:] == pytest.approx(full, abs=9) and opacity[31:].max() == 0
    assert opacity[5, 40] == pytest.approx(full / 2, abs=9)
    assert draw.map_size(600, 300) == (draw.MAP_SIDE // 2, draw.MAP_SIDE)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_what_is_worse_is_brighter_over_an_image_of_any_brightness(level):
    copy = draw.dimmed(Image.new("RGB", (90, 60), (level,) * 3)).convert("RGBA")
    values, middles = np.linspace(0, 1, 90)[None].repeat(60, 0), (np.arange(90) + 0.5) / 90
    found = QualityMap(values, None, middles[:60] * 1.5, middles)
    copy.alpha_composite(draw.heat(values, found, 1.0, (60, 90)).convert("RGBA"))
    seen = np.asarray(copy.convert("L"))[30].astype(int)
    assert seen[0] == int(level * draw.DIMMED) and seen[-1] > seen[0] + 80
    assert (np.maximum.accumulate(seen) - seen).max() <= 10  # over white it falls a little at first
    # The scale is what is seen over middling grey.
    scale = draw.scale_colours()[[0, -1]] * 255
    if level == 128:
        assert np.asarray(copy)[30, [0, -1], :3] == pytest.approx(scale, abs=2)


def quality_map_of(values, middles):
    return QualityMap(values, None, middles, middles)


def test_maps_are_drawn_once(model, tmp_path):
    names = ["chelsea.jpg", "coffee_jpeg_0.80.jpg"]
    images = [
        (Row(name, 9, 9, 0.3, None, None, "ok", ""), RatedImage(name, SAMPLES / name)) for name in names
    ]
    write_maps(model, images, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == sorted(map_name(row, model.encoders.line()) for row, _ in images)
    with Image.open(files[0]) as picture:
        assert picture.width == 1200 and picture.height > 250
    before = [file.stat().st_mtime_ns for file in files]
    write_maps(model, images, tmp_path)
    assert [file.stat().st_mtime_ns for file in sorted(tmp_path.iterdir())] == before
    # Not one of another score.
    write_maps(model, [(replace(row, q_low=0.2), image) for row, image in images], tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    row = images[0][0]
    one, other = (map_name(replace(row, image=name), "") for name in ("a/b.jpg", "c/b.jpg"))
    assert one != other and map_name(replace(row, image="a/ü b.jpg"), "").startswith("_b.jpg_")


def test_maps_of_slivers_and_of_any_name(model, tmp_path):
    name = os.fsdecode(b"caf\xe9 $x$.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 40, 3), np.uint8)).save(tmp_path / name)
    row = Row(name, 40, 1200, 0.3, None, None, "ok", "")
    (tmp_path / "maps").mkdir()
    write_maps(model, [(row, RatedImage(name, tmp_path / name))], tmp_path / "maps")
    (file,) = (tmp_path / "maps").iterdir()
    with Image.open(file) as picture:
        assert picture.height < 1500


@pytest.mark.parametrize("size", [(640, 400), (427, 640), (20, 640), (640, 90)])
@pytest.mark.parametrize("letter", ["i", "W"])
def test_all_words_fit_on_a_map(size, letter):
    middles = (np.arange(4) + 0.5) / 4
    named = [(name, 0.55) for name in sorted(NAMES, key=len)[-3:]]
    maps = (np.ones((4, 4)), np.ones((4, 4)), middles, middles)
    copy, title = Image.new("RGB", size), f"{letter * 250}.png   0.250"
    for found in (QualityMap(*maps, tuple(named)), QualityMap(maps[0], None, middles, middles)):
        figure = draw.map_figure(copy, found, title)
        figure.draw_without_rendering()
        texts = [figure._suptitle, *(text for one in figure.axes for text in (one.title, one.xaxis.label))]
        boxes = [text.get_window_extent() for text in texts if text.get_text().strip()]
        assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)
        assert all(box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
        heading = figure.get_suptitle().replace("\n", "")
        assert title in heading and all(name in heading for name, _ in found.named)
        # Nor do they cover the pictures and their titles.
        bottom = figure._suptitle.get_window_extent().y0
        assert all(one.get_tightbbox().y1 <= bottom for one in figure.axes if one.get_visible())


def test_what_cannot_be_read_any_more_is_left_out(model, tmp_path):
    row = Row("gone.png", 9, 9, 0.3, None, None, "ok", "")
    assert list(explain(model, [(row, RatedImage("gone.png", tmp_path / "gone.png"))], 100, "Page")) == []


def test_maps_without_a_low_level_encoder(model, tmp_path, monkeypatch):
    monkeypatch.setattr(model.encoders, "has_low", False)
    with pytest.raises(UserError, match="--branch low"):
        prepare_maps(model, tmp_path)
    row = Row("a", 9, 9, None, 0.3, None, "ok", "")
    (one,) = explain(model, [(row, RatedImage("a", SAMPLES / "coffee.jpg"))], 100, "Page")
    assert one.map is None and one.copy.size == (100, 67)
