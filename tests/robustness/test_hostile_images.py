"""Hostile and odd image files, each made in code, scored by the command: the row of each is as foretold.

Of colours, transparency and orientation tests/datasets/test_decoder.py asks the values themselves.
"""

import json
import re

import pytest
from image_cases import CASES

import score_images
from Evaluation.collection.rows import printable


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows that one run of the command gave, by name."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, make, _ in CASES:
        (folder / name).write_bytes(make())
    output = tmp_path_factory.mktemp("table") / "scores.jsonl"
    paths = [str(folder / name) for name, *_ in CASES]
    assert score_images.main([*paths, "--output", str(output), "--branch", "low", "--device", "cpu"]) == 1
    lines = [json.loads(line) for line in output.read_text().splitlines()[1:]]
    assert [line["image"] for line in lines] == list(map(printable, paths))
    return dict(zip((name for name, *_ in CASES), lines, strict=True))


def test_there_are_enough():
    assert len({name for name, *_ in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(("name", "expected"), [pytest.param(n, e, id=ascii(n)[:40]) for n, _, e in CASES])
def test_row(rows, name, expected):
    row = rows[name]
    if row["status"] == "ok":
        assert 0 < row["q_low"] <= 0.5
        told = f"{row['width']}x{row['height']} {row['reason']}"
    else:
        assert row["q_low"] is row["q_high"] is row["q"] is None
        told = row["reason"]
        assert told and "\n" not in told and "Traceback" not in told and name not in told
    assert re.search(expected, told), told


def test_the_first_of_several_is_scored(rows):
    """And orientation changes the image, not its file: all lossless kinds of one image score alike."""
    whole = rows["mode_RGB.png"]["q_low"]
    for name in ("mode_RGB.bmp", "mode_RGB.tif", "mode_RGB.ppm", "is_a_png.jpg", "turned_1.png", "-rf.png"):
        assert rows[name]["q_low"] == pytest.approx(whole, rel=1e-5), name
