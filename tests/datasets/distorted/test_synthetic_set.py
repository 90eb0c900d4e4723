"""Images labelled with FSIMc: right labels, repeatable bytes, kept versions, clear errors."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.decoder import read_image
from datasets.distorted.synthetic_set import (
    KINDS,
    LEVELS,
    load_synthetic_set,
    make_synthetic_set,
    of_each_photograph,
)
from datasets.fsim import fsim_matrix
from datasets.rated.sets import load_scores_table
from utils.errors import UserError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, (height, width) in {"a": (80, 96), "b": (96, 72), "c": (70, 70)}.items():
        coarse = generator.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("set") / "synthetic"
    return output, make_synthetic_set(photos, output, limit=2)


def test_labels_are_fsimc_to_the_photograph(photos, made):
    output, summary = made
    with (output / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = [(f"{p}.png", k, f"{x}") for p in "ab" for k in KINDS for x in LEVELS]
    assert [(row["reference"], row["kind"], row["level"]) for row in rows] == expected
    assert len({row["image"] for row in rows}) == len(rows) == len(summary.versions) == 40
    for name in ("a.png", "b.png"):
        own = [row for row in rows if row["reference"] == name]
        pictures = [read_image(output / "images" / row["image"]) for row in own]
        matrix = fsim_matrix(torch.stack([read_image(photos / name), *pictures]).double())
        labels = torch.tensor([float(row["mos"]) for row in own], dtype=torch.float64)
        assert torch.allclose(matrix[0, 1:], labels, rtol=0, atol=1e-6)
        for kind in KINDS:  # stronger is worse
            of_kind = [float(row["mos"]) for row in own if row["kind"] == kind]
            assert of_kind == sorted(of_kind, reverse=True), kind


def test_it_loads_as_a_rated_set_with_contents_and_kinds(made):
    output, summary = made
    rated, kinds = load_synthetic_set(output)
    assert rated.images == load_scores_table(output / "scores.csv", output / "images").images
    assert [image.mos for image in rated.images] == [version.mos for version in summary.versions]
    assert not rated.missing
    assert kinds == tuple(version.kind for version in summary.versions)
    assert of_each_photograph(rated.images).tolist() == [0] * 20 + [1] * 20


def test_a_second_run_keeps_what_is_whole_and_makes_the_rest_the_same(photos, made, tmp_path):
    first, _ = made
    output = tmp_path / "set"
    make_synthetic_set(photos, output, limit=1)
    files = sorted((output / "images").iterdir())
    cut, kept = files[0], files[1]
    cut.write_bytes(cut.read_bytes()[:200])
    foreign = output / "images" / "b_jpeg_0.1.png"
    foreign.write_bytes(kept.read_bytes())  # whole, but of another image
    before = kept.stat().st_mtime_ns
    summary = make_synthetic_set(photos, output, limit=2)
    assert summary.kept == 19
    assert kept.stat().st_mtime_ns == before
    names = ["scores.csv", *(f"images/{file.name}" for file in (first / "images").iterdir())]
    for name in names:
        assert (output / name).read_bytes() == (first / name).read_bytes(), name
    assert len(list((output / "images").iterdir())) == 40


def test_the_command_says_what_is_next(photos, tmp_path, run_script):
    output = tmp_path / "set"
    status, printed, _ = run_script(
        "tools.make_synthetic_set", "--photos", photos, "--output", output, "--limit", 1
    )
    assert status == 0
    assert "20 images of 1 references" in printed
    assert f"python test_zeroshot.py --scores {output}/scores.csv --img_dir {output}/images" in printed


def test_bad_input_is_one_sentence(photos, tmp_path, run_script):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    Image.new("RGB", (40, 90)).save(bad / "small.png")
    (tmp_path / "file").write_text("no folder")
    cases = [
        (tmp_path / "none", tmp_path / "out", [], 2, "there is no such folder"),
        (photos, tmp_path / "out", ["--limit", 0], 2, "--limit"),
        (photos, tmp_path / "file", [], 2, "file"),
        (bad, tmp_path / "out", [], 1, "needs 64 on both sides"),
    ]
    for folder, output, more, expected, words in cases:
        status, printed, said = run_script(
            "tools.make_synthetic_set", "--photos", folder, "--output", output, *more
        )
        assert (status, printed) == (expected, ""), words
        assert words in said
        assert "Traceback" not in said
    assert not (tmp_path / "out" / "scores.csv").exists()
    with pytest.raises(UserError, match="make_synthetic_set"):
        load_synthetic_set(tmp_path)
