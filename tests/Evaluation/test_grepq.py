"""The model: scores against the authors' (distance 1e-4 relative, quality 1e-5), any image, any company."""

import dataclasses
import importlib
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import Settings
from datasets.decoder import read_image
from datasets.rated.sets import RatedImage
from Evaluation import GRepQ, measuring
from Evaluation.extended.score import PARTS, ExtendedScore
from Evaluation.image_sizes import resize
from Evaluation.zeroshot import Scores
from models.engine import paused
from models.semantic import SEMANTIC_FEATURES
from models.weights.files import save_tensors
from models.weights.high_level import load_high_level
from models.weights.semantic import load_semantic
from utils.errors import UserError
from utils.files import file_sha256

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture(scope="module")
def both(make_model, clip_file):
    return make_model(branch="both", clip=str(clip_file))


@pytest.fixture
def folder(tmp_path):
    for k in range(3):
        Image.fromarray(inputs.image_under_test(k)).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def test_both_branches_equal_the_authors_and_either_alone(parity, model, both, make_model, clip_file):
    clip = parity("clip")
    high = make_model(branch="high", clip=str(clip_file))
    for k in range(3):
        image = tensor(inputs.image_under_test(k))
        scores = both.score(image)
        assert scores.q_low == pytest.approx(clip["qlow"][k], abs=1e-5)
        assert scores.q_high == pytest.approx(clip["qhigh"][k], abs=1e-5)
        assert scores.q == pytest.approx(clip["combined"][k], abs=2e-5)
        assert model.score(image) == Scores(scores.q_low)
        assert high.score(image) == Scores(q_high=scores.q_high)
    assert (both.score_name, model.score_name, high.score_name) == ("Q", "Q_low", "Q_high")


@pytest.mark.parametrize("shares", ["s0.75_c0.80", "s0.30_c0.30"])
def test_scores(parity, make_model, shares):
    low = parity("low")
    model = make_model(torch.from_numpy(low[f"qlow_{shares}_pristine_feats"]))
    for k in range(3):
        array = inputs.image_under_test(k)
        assert inputs.crc(array) == low["test_crc32"][k]
        measured = model.measure(tensor(array))
        assert model.distance(measured).item() == pytest.approx(low[f"qlow_{shares}_dist_f64"][k], rel=1e-4)
        assert model.score(measured).q_low == pytest.approx(low[f"qlow_{shares}"][k], abs=1e-5)


def test_one_row_of_patches_and_grey(parity, model):
    """120 rows, on which the authors' single-image function fails, and a grey image in three channels."""
    misc = parity("misc")
    strip = model.score(tensor(inputs.to_uint8(inputs.structured(1, 120, 300))))
    assert strip.q_low == pytest.approx(float(misc["edge_short120x300_qlow_dataset_path"][0]), abs=1e-5)
    assert strip.notes == ()
    grey = inputs.to_uint8(inputs.structured(1, 200, 220))[..., 0]
    assert model.score(grey).q_low == pytest.approx(
        float(misc["edge_gray200x220_qlow_dataset_path"][0]), abs=1e-5
    )


def test_any_form_of_an_image_has_the_same_scores(model, folder):
    path = folder / "0.png"
    array = np.array(Image.open(path))
    expected = model.score(path)
    for form in (str(path), Image.open(path), array, torch.from_numpy(array).permute(2, 0, 1)):
        assert model.score(form) == expected
    # Division by 255 may round otherwise in torch.
    for form in (array / np.float32(255), array / 255, tensor(array)):
        assert model.score(form).q_low == pytest.approx(expected.q_low, abs=1e-6)
    many = model.score(tensor(array)[None].repeat(2, 1, 1, 1))
    assert many[0] == many[1] == model.score(tensor(array))
    assert model.score(array / 255 + 1e-5) == model.score((array / 255 + 1e-5).clip(0, 1))  # rounding
    with pytest.raises(UserError, match=r"to 1\.5: scale"):
        model.score(array * 1.5 / array.max())


def test_features_are_those_of_the_whole_image_high_then_low(model, both, low_level_weights, folder):
    image = read_image(folder / "1.png")
    found = both.features(folder / "1.png")
    assert found.shape == (1152,) and found.dtype == np.float32
    with torch.inference_mode():
        np.testing.assert_allclose(
            found[1024:], low_level_weights.model(image[None])[0], rtol=1e-4, atol=1e-5
        )
    np.testing.assert_array_equal(model.features(image), found[1024:])


def test_small_images_are_enlarged_for_each_branch_by_itself(model, both):
    image = tensor(inputs.to_uint8(inputs.structured(1, 40, 60)))
    scores = both.score(image)
    assert scores.notes == ("enlarged to 216x144",)
    assert scores.q_low == model.score(resize(image, 144, 216)).q_low
    tiny = both.score(image[:, :10, :20])
    assert tiny.notes == ("enlarged to 288x144", "whole image enlarged to 64x32")
    assert 0 < tiny.q_high < 1


def test_paths_and_tensors_are_seen_at_the_same_view(make_model, tmp_path):
    """The paper's patches are of all pixels, what the extended score looks at is of a view."""
    model = make_model(score="own")
    array = inputs.to_uint8(inputs.structured(1, 800, 2000))
    Image.fromarray(array).save(tmp_path / "0.png")
    measured = model.measure(tensor(array), ("patches", "tiles", "semantic"))
    assert (measured.height, measured.width) == (800, 2000)
    assert measured.notes == ("viewed at 1580x632",)
    assert measured.patches.shape[:2] == (15, 40) and measured.tiles.shape[:2] == (5, 5)
    ((_, streamed),) = model.measure_images([tmp_path / "0.png"], ("tiles", "semantic"))
    assert (streamed.height, streamed.width, streamed.notes) == (800, 2000, measured.notes)
    # The file is made smaller by Pillow in whole numbers, the tensor by torch.
    for name in ("tiles", "semantic"):
        ours, theirs = (one.part(name) for one in (streamed, measured))
        assert (ours - theirs).norm() < 0.03 * theirs.norm()
    # Whatever else is measured of it.
    ((_, both),) = model.measure_images([tmp_path / "0.png"], ("patches", "tiles"))
    assert both.patches.shape[:2] == (15, 40) and torch.equal(both.tiles, streamed.tiles)
    full = make_model(score="own", view="full").measure(tensor(array), ("tiles",))
    assert full.notes == () and full.tiles.shape[:2] == (5, 5)
    small = model.measure(tensor(array[:80, :100]), ("patches", "tiles"))
    assert small.notes == ("enlarged to 120x96", "enlarged to 180x144")


def test_a_score_from_a_file_is_that_of_its_row(tmp_path):
    Image.fromarray(inputs.to_uint8(inputs.structured(2, 1500, 1200))).save(tmp_path / "0.jpg", quality=95)
    model = GRepQ.from_pretrained(branch="low", device="cpu")
    (row,) = model.score_images([tmp_path / "0.jpg"])
    alone = model.score(tmp_path / "0.jpg")
    assert (row.q_low, row.status.notes) == (alone.q_low, alone.notes)
    assert alone.notes == ("viewed at 894x1118",)
    assert model.score(read_image(tmp_path / "0.jpg")).q_low == pytest.approx(alone.q_low, abs=0.01)


def test_resize_of_the_data_set(model, tmp_path):
    array = inputs.to_uint8(inputs.structured(3, 160, 240))
    Image.fromarray(array).save(tmp_path / "x.png")
    images = [RatedImage("x", tmp_path / "x.png", 50.0, size) for size in ((150, 170), (160, 240))]
    resized, same = model.score_images(images)
    assert (resized.width, resized.height, resized.mos) == (240, 160, 50.0)
    assert str(resized.status) == "ok, resized to 170x150" and str(same.status) == "ok"
    assert resized.q_low == model.score(resize(tensor(array), 150, 170)).q_low


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (96, 96), (200, 300)])
def test_a_flat_image_has_a_finite_score(model, value, size):
    assert 0 < model.score(torch.full((3, *size), value)).q_low <= 0.5


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 250), st.integers(20, 250))
def test_whatever_comes_has_a_score(model, seed, height, width):
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    assert 0 < model.score(noise).q_low <= 0.5


def test_score_does_not_depend_on_the_chunk_and_bfloat16_is_close(model, make_model):
    image = tensor(inputs.to_uint8(inputs.structured(5, 250, 300)))
    distances = [make_model(chunk=chunk).distance(model.measure(image)).item() for chunk in (1, 7, 256)]
    assert max(distances) - min(distances) < 1e-5 * max(distances)
    reference, ours = model.score(image).q_low, make_model(precision="bfloat16").score(image).q_low
    assert ours != reference
    assert ours == pytest.approx(reference, abs=0.03)


def test_rows_come_in_order_and_a_broken_file_is_one(parity, model, folder):
    names = ["2.png", "broken.png", "0.png", "gone.png", "1.png", "0.png"]
    rows = list(model.score_images([RatedImage(name, folder / name, 3.0) for name in names]))
    assert [row.image for row in rows] == names
    assert [row.status.ok for row in rows] == [True, False, True, False, True, True]
    expected = parity("low")["qlow_s0.75_c0.80"][[2, 0, 1, 0]]
    np.testing.assert_allclose([row.q_low for row in rows if row.status.ok], expected, atol=1e-5)
    assert str(rows[1].status) == "is not an image in a format that can be read."
    assert str(rows[3].status) == "there is no such file."
    assert (rows[1].width, rows[1].q_low, rows[1].score, rows[1].mos) == (None, None, None, 3.0)
    # What else is scored changes nothing.
    assert rows[2].q_low == rows[5].q_low == model.score(folder / "0.png").q_low
    (alone,) = model.score_images([folder / "0.png"])
    assert (alone.image, alone.q_low, alone.mos) == (str(folder / "0.png"), rows[2].q_low, None)


def test_an_image_is_decoded_once_for_both_branches(both, folder, monkeypatch):
    read = []
    monkeypatch.setattr(
        "Evaluation.measuring.read_image", lambda path, most: read.append(path) or read_image(path, most)
    )
    (row,) = both.score_images([folder / "0.png"])
    assert row.q == row.q_low + row.q_high
    assert len(read) == 1


@pytest.mark.parametrize("error, where", [
    (MemoryError(), "Evaluation.measuring.with_two_patches"),
    (MemoryError(), "Evaluation.measuring.read_image"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Evaluation.measuring.with_two_patches"),
    (RuntimeError("Failed to allocate 9 bytes of memory"), "Evaluation.measuring.with_two_patches"),
])  # fmt: skip
def test_an_image_that_does_not_fit_in_memory_costs_its_own_row(model, folder, monkeypatch, error, where):
    package, name = where.rsplit(".", 1)
    real = getattr(importlib.import_module(package), name)

    def short(first, *more):
        if getattr(first, "name", "") == "0.png" or getattr(first, "shape", (0,))[-1] == 320:
            raise error
        return real(first, *more)

    monkeypatch.setattr(where, short)
    first, second = model.score_images([folder / "0.png", folder / "1.png"])
    assert str(first.status) == "does not fit in memory"
    assert second.status.ok


def test_another_error_of_torch_is_not_taken_for_a_lack_of_memory(model, folder, monkeypatch):
    def broken(*_):
        raise RuntimeError("expected a float")

    monkeypatch.setattr("Evaluation.measuring.with_two_patches", broken)
    with pytest.raises(RuntimeError, match="expected a float"):
        list(model.score_images([folder / "0.png"]))


def test_from_pretrained_is_the_shipped_model():
    model = GRepQ.from_pretrained(branch="low", device="cpu")
    assert model.name == "GRepQ extended"
    assert round(model.score(Path("samples") / "coffee.jpg").q_low, 4) == 0.4547
    assert model.features("samples/coffee.jpg").shape == (128,)
    paper = GRepQ.from_pretrained(branch="low", device="cpu", score="paper")
    assert paper.name == "GRepQ (paper)"
    assert paper.score("samples/coffee.jpg").q_low > 0.45
    with pytest.raises(UserError, match=r"no setting 'weights'; there are .*low"):
        GRepQ.from_pretrained(weights="x")


def told(**fields):
    """The encoders of a model and all that is said."""
    said = []
    return GRepQ.from_pretrained(said.append, device="cpu", **fields).encoders, said


def test_the_branches_are_said_with_their_reason(tiny_clip_file, monkeypatch):
    encoders, said = told()
    assert encoders.has_low and not encoders.has_high
    assert said[0].startswith("Branch: low-level alone. There are no CLIP weights")
    encoders, said = told(branch="low", clip=str(tiny_clip_file))
    assert not encoders.has_high
    assert said == ["Branch: low-level (as asked).", "Not used with branch=low: clip."]
    monkeypatch.setenv("GREPQ_CLIP_WEIGHTS", str(tiny_clip_file))
    encoders, said = told()
    assert encoders.has_low and encoders.has_high and "are at hand" in said[0]


def test_high_level_weights_without_clip_are_refused_with_two_remedies():
    for asked in ({"high": "x.pth"}, {"branch": "both"}, {"branch": "high"}):
        with pytest.raises(UserError, match=r"tools\.download_weights clip.*or use --branch low\."):
            told(**asked)


def test_an_encoder_of_another_clip_is_said(tiny_clip_file, tmp_path):
    visual = load_high_level(tiny_clip_file, None, ("A good photo.", "A bad photo."), "none").encoder.visual
    for name, sha256 in (("own", file_sha256(tiny_clip_file)), ("other", "0" * 64)):
        path = tmp_path / f"{name}.safetensors"
        save_tensors(visual, path, {"clip_sha256": sha256})
        encoders, said = told(branch="high", clip=str(tiny_clip_file), high=str(path))
        assert name in encoders.high.path.name
        assert "low-level" not in encoders.line() and encoders.checksums()["low_level_sha256"] is None
        assert any("was fine-tuned from other CLIP" in sentence for sentence in said) == (name == "other")


def test_the_score_of_other_semantic_weights_is_refused(low_level_weights, make_model):
    score = ExtendedScore(2.0, 1.0, 0.0, 0.0, 0.0, (0.0,) * (SEMANTIC_FEATURES + 1), "")
    for sha256 in ("0" * 64, load_semantic().sha256):
        model = make_model(score="own")
        named = dataclasses.replace(
            low_level_weights, metadata=dataclasses.replace(score, semantic_sha256=sha256).metadata()
        )
        vars(model.encoders)["low"] = named
        if sha256.startswith("0000"):
            with pytest.raises(UserError, match="its score was made for semantic weights sha256 0000"):
                model.load()
        else:
            assert model.load().parts == PARTS


@pytest.mark.parametrize("score", ["own", "paper"])
def test_the_gradient_of_the_loss_is_that_of_finite_differences(score):
    model = GRepQ.from_pretrained(branch="low", device="cpu", score=score)
    image = read_image(SAMPLES / "coffee.jpg")[:, 100:260, 100:330]
    assert model.loss(image).item() == pytest.approx(-model.score(image).q_low, abs=1e-6)
    asking = image.clone().requires_grad_()
    model.loss(asking[None].expand(2, -1, -1, -1)).mean().backward()
    length = asking.grad.norm()
    step = 0.004 * asking.grad / length
    found = (model.loss(image + step) - model.loss(image - step)) / 0.008
    assert found.item() == pytest.approx(length.item(), rel=0.05)


def test_ascent_raises_the_score_of_a_blurred_image():
    model = GRepQ.from_pretrained(branch="low", device="cpu")
    image = read_image(SAMPLES / "chelsea_gaussian_blur_0.40.jpg")[:, 60:220, 100:300].contiguous()
    found = []
    for _ in range(11):
        image.requires_grad_()
        loss = model.loss(image)
        loss.backward()
        found.append(-loss.item())
        image = (image.detach() - 0.3 * image.grad / image.grad.norm()).clamp(0, 1)
    assert min(b - a for a, b in pairwise(found)) > 0
    assert model.score(image).q_low > found[0] + 0.1


def test_a_loss_of_no_image():
    with pytest.raises(UserError, match=r"shape \(2, 9\) is no image of floats"):
        GRepQ.from_pretrained(branch="low", device="cpu").loss(torch.zeros(2, 9))


def test_a_large_small_file_is_decoded_while_nothing_is_measured(tmp_path, monkeypatch):
    model, events = GRepQ(Settings(branch="low", device="cpu")), []
    for name in "abc":
        Image.new("RGB", (4000, 2600), (ord(name), 0, 0)).save(tmp_path / f"{name}.png")
    measured = model._measure

    def measure(images, parts):
        events.append("measure")
        time.sleep(0.2)
        found = measured(images, parts)
        events.append("measured")
        return found

    @contextmanager
    def room():
        with paused():
            events.append("room")
            yield
            events.append("left")

    monkeypatch.setattr(model, "_measure", measure)
    monkeypatch.setattr(measuring, "paused", room)
    rows = list(model.score_images(sorted(tmp_path.iterdir())))
    assert all(row.status.ok for row in rows)
    pairs = list(zip(events[::2], events[1::2], strict=True))
    assert pairs.count(("room", "left")) == 3 and set(pairs) == {("room", "left"), ("measure", "measured")}


def test_what_is_too_narrow_is_not_decoded(tmp_path):
    Image.new("L", (5000, 1)).save(tmp_path / "line.png")
    pixels = measuring.read_pixels(RatedImage("line.png", tmp_path / "line.png"), PARTS, Settings())
    assert pixels.size == (1, 5000) and pixels.view.numel() == pixels.whole.numel() == 0
