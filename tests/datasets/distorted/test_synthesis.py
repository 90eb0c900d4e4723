"""Sets made of images: what is written, that it comes out the same, and that a run can be broken off."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import AUTHORS_SYNTHESIS, SYNTHESIS_PRESETS, Synthesis
from datasets.decoder import decode_pixels
from datasets.distorted import synthesis
from datasets.distorted.distortions import DISTORTIONS, level_before_shrinking, split_kind
from datasets.distorted.synthesis import deal, synthesize
from datasets.distorted.targets import levels_of
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
SMALL = Synthesis(kinds=("gaussian_blur", "white_noise", "jpeg"), versions=3, crop_size=64)


def photograph(path, height=80, width=100, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    Image.fromarray(np.kron(pixels, np.ones((4, 4, 1), np.uint8))).save(path)
    return path


def contents(folder):
    """Path below `folder` -> digest of the file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def folders(output):
    return sorted(path.name for path in output.iterdir() if path.is_dir())


def script(*arguments, **options):
    command = [sys.executable, "-m", "tools.synthesize_distortions", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


def test_a_folder_holds_the_reference_first_and_versions_that_differ(tmp_path):
    source = photograph(tmp_path / "photos" / "house.png")
    summary = synthesize([source.parent], tmp_path / "out", SMALL, 1)
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folder.name == "house_s80_c0"
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "00_REF.bmp" and sum("REF" in name for name in names) == 1
    assert {kind for name in names[1:] for kind in levels_of(Path(name).stem)} == set(SMALL.kinds)
    images = [decode_pixels(folder / name) for name in names]
    assert {image.shape for image in images} == {(64, 64, 3)}
    assert all((image != images[0]).any() for image in images[1:])
    # The reference is a piece of the image, bit for bit.
    whole = decode_pixels(source)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (64, 64, 3))[:, :, 0]
    assert (windows == images[0]).all(axis=(2, 3, 4)).any()
    assert (summary.folders, summary.versions, summary.present, summary.failures) == (1, 4, 0, [])
    assert summary.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_bytes_do_not_depend_on_workers_order_or_company(tmp_path):
    for number in range(4):
        photograph(tmp_path / "photos" / f"{number}.png", seed=number)
    config = dataclasses.replace(SMALL, kinds=(*SMALL.kinds, "motion_blur+jpeg"), versions=4, crops=2)
    synthesize([tmp_path / "photos"], tmp_path / "one", config, 1)
    synthesize([tmp_path / "photos"], tmp_path / "two", config, 2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(folders(tmp_path / "one")) == 8
    (tmp_path / "fewer").mkdir()
    for name in ("3.png", "1.png"):
        shutil.move(tmp_path / "photos" / name, tmp_path / "fewer" / name)
    synthesize([tmp_path / "photos", tmp_path / "fewer"], tmp_path / "moved", config, 1)
    assert contents(tmp_path / "moved") == contents(tmp_path / "one")


def test_seed_crop_and_photograph_change_the_draw(tmp_path):
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "photos" / name)
    synthesize([tmp_path / "photos"], tmp_path / "0", dataclasses.replace(SMALL, crops=2), 1)
    synthesize([tmp_path / "photos"], tmp_path / "1", dataclasses.replace(SMALL, crops=2, seed=1), 1)
    names = [
        tuple(sorted(path.name for path in (tmp_path / seed / folder).iterdir()))
        for seed in "01"
        for folder in folders(tmp_path / seed)
    ]
    assert len(set(names)) == len(names) == 8


def test_known_draw():
    """Pinned: a set made by an earlier version must go on with the same draw."""
    rng = np.random.default_rng(list(hashlib.sha256(b"0\na.png\n80\n0").digest()))
    assert [(kind, round(level, 4)) for kind, level in deal(SMALL, rng)] == [
        ("gaussian_blur", 0.3972),
        ("white_noise", 0.9221),
        ("jpeg", 0.1319),
    ]


@settings(max_examples=40, deadline=None)
@given(versions=st.integers(1, 40), kinds=st.integers(1, 16), seed=st.integers(0, 1000))
def test_kinds_are_dealt_evenly_and_levels_stratified(versions, kinds, seed):
    config = dataclasses.replace(Synthesis(), kinds=Synthesis().kinds[:kinds], versions=versions)
    dealt = deal(config, np.random.default_rng(seed))
    counts = [sum(kind == one for kind, _ in dealt) for one in config.kinds]
    assert len(dealt) == versions and max(counts) - min(counts) <= 1
    assert sorted(int(level * versions) for _, level in dealt) == list(range(versions))


def test_given_levels_make_every_kind_at_every_level():
    dealt = deal(AUTHORS_SYNTHESIS, np.random.default_rng(0))
    assert len(dealt) == 8 and set(dealt) == {(k, lv) for k in AUTHORS_SYNTHESIS.kinds for lv in (0.4, 0.8)}


def test_chains_are_drawn_with_the_shares_asked_for_and_in_the_order_of_kinds():
    kinds = ("haze|low_contrast", "lens_blur", "white_noise|dark_noise|white_noise", "jpeg")
    config = Synthesis(kinds=kinds, chain_lengths=(3.0, 0.0, 1.0), versions=2000)
    dealt = deal(config, np.random.default_rng(0))
    chains = [kind.split("+") for kind, _ in dealt]
    assert {len(chain) for chain in chains} == {1, 3}
    assert np.mean([len(chain) == 3 for chain in chains]) == pytest.approx(0.25, abs=0.03)
    stage = {part: place for place, kind in enumerate(kinds) for part in kind.split("|")}
    places = [[stage[part] for part in chain] for chain in chains]
    assert all(own == sorted(set(own)) for own in places)
    counts = {part: sum(part in chain for chain in chains) for part in stage}
    assert counts["haze"] / counts["low_contrast"] == pytest.approx(1, abs=0.2)
    assert counts["white_noise"] / counts["dark_noise"] == pytest.approx(2, rel=0.25)
    assert sorted(int(level * 2000) for _, level in dealt) == list(range(2000))


def test_parts_of_a_chain_take_the_share_of_the_level_that_is_set(tmp_path):
    photograph(tmp_path / "photos" / "a.png")
    config = dataclasses.replace(SMALL, kinds=("lens_blur+jpeg",), levels=(0.8,), chain_share=(0.25, 0.25))
    synthesize([tmp_path / "photos"], tmp_path / "out", config, 1)
    (version,) = (tmp_path / "out" / "a_s80_c0").glob("01_*")
    assert version.name == "01_lens_blur_0.20+jpeg_0.20.bmp"


def test_each_part_of_a_chain_meets_the_picture_at_its_own_size(tmp_path, monkeypatch):
    """What the file does meets the shrunk image; all before meets the large one, at another level."""
    photograph(tmp_path / "photos" / "a.png", 200, 200)
    met = []

    def watched(name, distortion):
        return lambda image, level, rng: (
            met.append((name, image.shape[0], level)) or distortion(image, level, rng)
        )

    for name in ("white_noise", "jpeg"):
        monkeypatch.setitem(DISTORTIONS, name, watched(name, DISTORTIONS[name]))
    kinds = ("jpeg", "white_noise+jpeg")
    config = Synthesis(
        kinds, levels=(0.6,), chain_share=(0.5, 0.5), crops=2, crop_size=100, shrink=(1.0, 0.5)
    )
    synthesize([tmp_path / "photos"], tmp_path / "out", config, 1)
    before = level_before_shrinking("white_noise", 0.3, 0.5)
    assert met == [
        ("jpeg", 100, 0.6), ("white_noise", 100, 0.3), ("jpeg", 100, 0.3),
        ("jpeg", 100, 0.6), ("white_noise", 200, before), ("jpeg", 100, 0.3),
    ]  # fmt: skip


def test_a_set_of_before_a_field_was_there_goes_on(tmp_path):
    photograph(tmp_path / "photos" / "a.png")
    synthesize([tmp_path / "photos"], tmp_path / "out", SMALL, 1)
    record = tmp_path / "out" / "synthesis.json"
    old = json.loads(record.read_text())
    for field in ("chain_lengths", "chain_share", "shrink"):
        del old[field]
    record.write_text(json.dumps(old))
    assert synthesize([tmp_path / "photos"], tmp_path / "out", SMALL, 1).present == 1
    with pytest.raises(UserError, match=r"was made with shrink=\[1\.0\], not \[0\.9\]"):
        synthesize([tmp_path / "photos"], tmp_path / "out", dataclasses.replace(SMALL, shrink=(0.9,)), 1)


def test_versions_shrink_after_what_the_camera_and_before_what_the_file_does(tmp_path):
    """Crop c takes factor c, each a crop so much larger; a whole image comes once with each factor."""
    photos = tmp_path / "photos"
    photograph(photos / "big.png", 256, 300)
    photograph(photos / "small.png", 128, 144)
    kinds = ("white_noise", "jpeg", "white_noise+jpeg")
    config = Synthesis(
        kinds, levels=(0.6,), chain_share=(1.0, 1.0), crops=4, crop_size=100, shrink=(1.0, 0.5)
    )
    synthesize([photos], tmp_path / "out", config, 1)
    assert folders(tmp_path / "out") == [
        *(f"big_s256_c{crop}" for crop in range(4)), *(f"small_s128_c{crop}" for crop in range(3)),
    ]  # fmt: skip
    noise = {}
    for name in ("big_s256_c0", "big_s256_c1"):
        reference, noisy, coded, both = (
            decode_pixels(path) / 255 for path in sorted((tmp_path / "out" / name).iterdir())
        )
        assert reference.shape == (100, 100, 3)
        inner = (reference > 0.2) & (reference < 0.8)
        noise[name] = (noisy - reference)[inner].std()
        # The file is made of the finished image.
        np.testing.assert_allclose(coded, DISTORTIONS["jpeg"](reference, 0.6, np.random.default_rng(0)))
        assert (both != noisy).any()
    assert noise["big_s256_c1"] == pytest.approx(noise["big_s256_c0"], rel=0.2)
    small = decode_pixels(tmp_path / "out" / "small_s128_c1" / "00_REF.bmp")
    whole = Image.open(photos / "small.png").resize((72, 64), Image.Resampling.LANCZOS)
    assert (small == np.asarray(whole)).all()


def test_a_photograph_must_be_large_enough_once_it_is_shrunk(tmp_path):
    photograph(tmp_path / "photos" / "a.png", 80, 200)
    config = dataclasses.replace(SMALL, shrink=(1.0, 0.5), crops=2)
    summary = synthesize([tmp_path / "photos"], tmp_path / "out", config, 1)
    assert "a.png: is 200 x 80 pixels; an image needs 128 on both sides (64, or" in summary.failures[0]
    with pytest.raises(UserError, match="'short_sides' takes 0 or 128 and more, not 100"):
        dataclasses.replace(config, short_sides=(100,))


def test_chains_exclude_fixed_levels_and_the_same_distortion_twice():
    kinds = ("lens_blur", "jpeg|jpeg|jpeg2000")
    assert Synthesis(kinds, chain_lengths=(1.0, 1.0)).kinds == kinds
    with pytest.raises(UserError, match="'levels' and 'chain_lengths' exclude each other"):
        Synthesis(kinds, levels=(0.5,), chain_lengths=(1.0, 1.0))
    for twice in (("jpeg", "lens_blur|jpeg"), ("lens_blur+jpeg", "haze")):
        with pytest.raises(UserError, match="each distortion stands in one entry of 'kinds', without"):
            Synthesis(twice, chain_lengths=(1.0, 1.0))


def test_sizes_and_crops(tmp_path):
    """Sizes above an image's own count once, as its own; where nothing is cut off there is one crop."""
    photograph(tmp_path / "photos" / "big.png", 160, 240)
    photograph(tmp_path / "photos" / "small.png", 72, 80)
    config = dataclasses.replace(SMALL, versions=1, short_sides=(0, 500, 80), crops=2, crop_size=96)
    synthesize([tmp_path / "photos"], tmp_path / "out", config, 1)
    assert folders(tmp_path / "out") == [
        "big_s160_c0", "big_s160_c1", "big_s80_c0", "big_s80_c1", "small_s72_c0",
    ]  # fmt: skip
    shapes = {
        name: decode_pixels(tmp_path / "out" / name / "00_REF.bmp").shape[:2]
        for name in folders(tmp_path / "out")
    }
    assert shapes["big_s160_c0"] == (96, 96)
    assert shapes["big_s80_c1"] == (80, 96)  # 160 x 240 at half its size is 80 x 120
    np.testing.assert_array_equal(
        decode_pixels(tmp_path / "out" / "small_s72_c0" / "00_REF.bmp"),
        decode_pixels(tmp_path / "photos" / "small.png"),
    )


def test_whole_pictures_png_and_16_bits(tmp_path):
    (tmp_path / "photos").mkdir()
    grey = (np.random.default_rng(0).integers(0, 256, (70, 90)) * 257).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "photos" / "deep.png")
    synthesize(
        [tmp_path / "photos"], tmp_path / "out", dataclasses.replace(SMALL, crop_size=0, file_format="png"), 1
    )
    reference = decode_pixels(tmp_path / "out" / "deep_s70_c0" / "00_REF.png")
    np.testing.assert_array_equal(reference, (grey // 257).astype(np.uint8)[..., None].repeat(3, axis=2))


def test_equal_stems_do_not_collide(tmp_path):
    for name in (
        "1/a.png",
        "1/a.bmp",
        "1/b.png",
        "2/b.png",
        "2/c.png",
        "3/x/c.png",
        "4/x/c.png",
        "1/A_s.png",
        "2/a_S.bmp",
    ):
        photograph(tmp_path / name)
    sources = [tmp_path / name for name in ("1", "2", "3/x", "4/x", "1")]  # one twice: its images count once
    summary = synthesize(sources, tmp_path / "out", dataclasses.replace(SMALL, versions=1), 1)
    made = folders(tmp_path / "out")
    assert summary.folders == len(made) == len({name.casefold() for name in made}) == 9
    assert {"a_png_s80_c0", "a_bmp_s80_c0", "1_b_png_s80_c0", "2_b_png_s80_c0", "2_c_png_s80_c0"} <= set(made)


def test_finished_folders_are_kept_and_leftovers_removed(tmp_path):
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "photos" / name)
    output = tmp_path / "out"
    synthesize([tmp_path / "photos"], output, SMALL, 1)
    whole = contents(output)
    shutil.rmtree(output / "b_s80_c0")
    (output / ".b_s80_c0.part").mkdir()
    (output / ".b_s80_c0.part" / "00_REF.bmp").write_text("half")
    before = (output / "a_s80_c0" / "00_REF.bmp").stat().st_mtime_ns
    summary = synthesize([tmp_path / "photos"], output, SMALL, 1)
    assert (summary.folders, summary.present) == (1, 1)
    assert contents(output) == whole and folders(output) == ["a_s80_c0", "b_s80_c0"]
    assert (output / "a_s80_c0" / "00_REF.bmp").stat().st_mtime_ns == before


def test_a_failure_while_writing_leaves_no_folder(tmp_path, monkeypatch):
    photograph(tmp_path / "photos" / "a.png")
    monkeypatch.setattr(
        synthesis, "part_levels", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space left"):
        synthesize([tmp_path / "photos"], tmp_path / "out", SMALL, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["synthesis.json"]


def test_other_settings_in_the_same_folder_are_an_error_that_names_the_field(tmp_path):
    photograph(tmp_path / "photos" / "a.png")
    synthesize([tmp_path / "photos"], tmp_path / "out", SMALL, 1)
    record = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    assert record == json.loads(json.dumps(dataclasses.asdict(SMALL)))
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match=r"out was made with seed=0, not 7: choose another --output"):
        synthesize([tmp_path / "photos"], tmp_path / "out", dataclasses.replace(SMALL, seed=7), 1)
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "synthesis.json").write_text('{"seed"')
    with pytest.raises(UserError, match=r"synthesis\.json: is damaged"):
        synthesize([tmp_path / "photos"], tmp_path / "out", SMALL, 1)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("kinds", ("jpg",), "no distortion 'jpg': did you mean 'jpeg'"),
    ("kinds", (), "'kinds', 'short_sides' and 'shrink' need at least one"),
    ("levels", (0.5, 1.5), "'levels' takes numbers in"),
    ("versions", 0, "'versions' must be at least 1, not 0"),
    ("short_sides", (0, 32), "'short_sides' takes 0 or 64"),
    ("short_sides", (), "'short_sides' and 'shrink' need at least one"),
    ("crops", 0, "'crops' must be at least 1"),
    ("crop_size", 63, "'crop_size' takes 0 or 64"),
    ("chain_lengths", (0.5, 0.5, -0.1), "'chain_lengths' takes shares of 0 and more"),
    ("chain_lengths", (0.1,) * 17, "not more of them than 'kinds' has"),
    ("chain_lengths", (0.0, 0.0), "'chain_lengths' needs a share above 0"),
    ("chain_lengths", (0.5, 0.5), "each distortion stands in one entry of 'kinds'"),
    ("chain_share", (0.5, 0.2), "'chain_share' takes two shares"),
    ("chain_share", (0.5,), "'chain_share' takes two shares"),
    ("shrink", (), "'shrink' need at least one"),
    ("shrink", (1.5,), "'shrink' takes factors from 1/64 to 1"),
    ("shrink", (0.0,), "'shrink' takes factors from 1/64 to 1"),
    ("shrink", (1.0, 0.5), "'shrink' has 2 factors, one a crop; field 'crops' is 1"),
    ("seed", -1, "'seed' must be at least 0"),
])  # fmt: skip
def test_configurations_that_make_no_set(tmp_path, field, value, message):
    with pytest.raises(UserError, match=message):
        synthesize([tmp_path], tmp_path / "out", dataclasses.replace(Synthesis(), **{field: value}), 1)
    assert not (tmp_path / "out").exists()


def test_presets_are_good_and_workers_are_checked(tmp_path):
    for preset in SYNTHESIS_PRESETS.values():
        assert all(split_kind(kind) for kinds in preset.kinds for kind in kinds.split("|"))
    with pytest.raises(UserError, match="workers is 1 or more, not 0"):
        synthesize([tmp_path], tmp_path / "out", Synthesis(), 0)
    with pytest.raises(UserError, match="holds no image"):
        synthesize([tmp_path], tmp_path / "out", Synthesis(), 1)
    assert not (tmp_path / "out").exists()


def test_script_reports_bad_photographs_and_does_the_others(tmp_path):
    photos = tmp_path / "photos"
    photograph(photos / "good.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    photograph(photos / "tiny.png", 40, 200)
    done = script("--photos", photos, "--output", tmp_path / "out", "--preset", "authors", "--workers", 2)
    assert done.returncode == 1
    assert f"{photos / 'broken.jpg'}: is " in done.stderr
    assert f"{photos / 'tiny.png'}: is 200 x 40 pixels; an image needs 64" in done.stderr
    assert done.stdout.splitlines() == [
        f"Folders written: 1, with 9 images (0.2 MB), in {tmp_path / 'out'}.",
        f"Next: python train.py --set data={tmp_path / 'out'}",
    ]
    assert folders(tmp_path / "out") == ["good_s80_c0"]
    # Another process, another day: the same bytes (Python's own hash() would differ).
    (photos / "broken.jpg").unlink()
    synthesize([photos], tmp_path / "again", AUTHORS_SYNTHESIS, 1)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


@pytest.mark.parametrize(("arguments", "message"), [
    (("--set", "version=3"), "There is no field 'version': did you mean 'versions'?"),
    (("--photos", "nowhere"), "nowhere: there is no such folder."),
    (("--set", "kinds=jpeg+jpeg"), "'jpeg+jpeg' has jpeg twice"),
    (("--preset", "author"), "python -m tools.synthesize_distortions: argument --preset: invalid choice"),
])  # fmt: skip
def test_script_answers_bad_arguments_in_one_sentence(tmp_path, run_script, arguments, message):
    photograph(tmp_path / "photos" / "a.png")
    status, out, err = run_script("tools.synthesize_distortions", "--photos", tmp_path / "photos", "--output",
                                  tmp_path / "out", *arguments)  # fmt: skip
    assert status == 2 and out == ""
    assert err.startswith(message) and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def heeding_ctrl_c():
    """A suite that runs in the background may have been told to ignore it, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="sends an interrupt as a POSIX terminal does")
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_script_goes_on_where_it_stopped(tmp_path, workers):
    config = dataclasses.replace(SMALL, versions=2, crop_size=256)
    for number in range(30):
        photograph(tmp_path / "photos" / f"{number:02d}.bmp", 600, 800, seed=number)
    output = tmp_path / "out"
    options = ["--set", "kinds=gaussian_blur,white_noise,jpeg", "versions=2", "crop_size=256"]
    arguments = ["--photos", tmp_path / "photos", "--output", output, "--workers", workers, *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.synthesize_distortions", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=heeding_ctrl_c,
    )  # fmt: skip
    while process.poll() is None and not list(output.glob("*_c0")):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: to every process of the group
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err and err.rstrip().endswith("the same command goes on.") and out == ""
    finished = folders(output)
    assert 0 < len(finished) < 30 and not any(name.endswith(".part") for name in finished)
    summary = synthesize([tmp_path / "photos"], output, config, 1)
    assert (summary.present, summary.folders) == (len(finished), 30 - len(finished))
    assert {len(list((output / name).iterdir())) for name in folders(output)} == {3}
