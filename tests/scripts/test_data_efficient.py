"""test_data_efficient.py as a user calls it, on a set of small generated images."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from configs import SMALLEST_SIDE
from Evaluation.grepq import GRepQ


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """30 images of 10 contents, the noisier the worse, and their table."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.default_rng(0)
    lines = ["image,mos,reference"]
    for k in range(30):
        noise = random.normal(size=(SMALLEST_SIDE, SMALLEST_SIDE, 3)) * 4 * k
        Image.fromarray(np.clip(128 + noise, 0, 255).astype(np.uint8)).save(folder / f"{k:02}.png")
        lines.append(f"{k:02}.png,{90 - 2.5 * k},r{k % 10}")
    (folder / "my.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(run_script, place, tmp_path):
    """Run it on the table: (status, stdout, stderr); features are kept for all tests of this file."""

    def call(*arguments, table=place / "my.csv"):
        given = ("--scores", table, "--n_labels", 8, 16, "--splits", 3, "--cache", place / "cache")
        output = () if "--output" in arguments else ("--output", tmp_path / "out")
        return run_script("test_data_efficient", *given, *output, *arguments)

    return call


def result(folder):
    return json.loads((folder / "few_labels.json").read_text())


def test_a_run_leaves_figures_splits_and_plot(run, tmp_path):
    status, out, err = run()
    assert status == 0, err
    assert "Branch: low-level alone. There are no CLIP weights" in err
    content = result(tmp_path / "out")
    assert list(content) == ["kind", "version", "protocol", "settings", "rows", "summary", "predictions"]
    assert content["kind"] == "few_labels"
    assert [(row["n_labels"], row["split"]) for row in content["rows"]] == [
        (count, number) for count in (8, 16) for number in range(3)
    ]
    # Two of ten contents are tested on.
    assert {row["images"] for row in content["rows"]} == {6}
    assert len(content["predictions"]) == 6 * 6
    assert list(content["predictions"][0]) == ["n_labels", "split", "image", "mos", "score"]
    # Noise is easy to see, and MOS are handed on as they are.
    assert content["summary"][1]["srcc"] > 0.8
    assert all(one["mos"] == 90 - 2.5 * int(one["image"][:2]) for one in content["predictions"])
    with (tmp_path / "out/few_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["srcc"]) for row in rows] == [row["srcc"] for row in content["rows"]]
    with Image.open(tmp_path / "out/few_labels.png") as plot:
        assert plot.format == "PNG" and plot.width > 800
    assert content["protocol"] in out
    for words in ("my.csv, 30 of 30 images", "80 % of the contents, none on both sides", "low (128), not ",
                  "3 splits, seed 0", "alpha from 0.1, 1, 10, 100", "PLCC (raw", "(sha256 "):  # fmt: skip
        assert words in content["protocol"]
    assert "alpha of each split, 16 labels: " in out
    assert content["settings"]["low_level_sha256"] and content["settings"]["alphas"] == [0.1, 1, 10, 100]


def test_a_second_run_reads_features_and_gives_the_same(run, tmp_path, monkeypatch):
    assert run()[0] == 0
    before = result(tmp_path / "out")
    monkeypatch.setattr(GRepQ, "measure", lambda *_: pytest.fail("computed again"))
    assert run()[0] == 0
    assert result(tmp_path / "out") == before
    assert run("--output", tmp_path / "third", "--splits", 2)[0] == 0
    assert result(tmp_path / "third")["rows"][:2] == before["rows"][:2]


def test_another_result_is_not_written_over(run, tmp_path):
    assert run()[0] == 0
    before = (tmp_path / "out/few_labels.json").read_bytes()
    status, _, err = run("--seed", 1, "--standardise")
    assert status == 2
    assert "holds the result of other settings (standardise, seed); name another folder with --output" in err
    assert (tmp_path / "out/few_labels.json").read_bytes() == before


def test_splits_are_given_back(run, place, tmp_path):
    assert run("--seed", 5)[0] == 0
    status, out, err = run(
        "--split_file", tmp_path / "out/splits.json", "--splits", 2, "--output", tmp_path / "b"
    )
    assert status == 0, err
    theirs, ours = result(tmp_path / "out"), result(tmp_path / "b")
    assert [row for row in theirs["rows"] if row["split"] < 2] == ours["rows"]
    assert "2 splits from splits.json, seed 5" in out
    # A table that lacks one of the images.
    shorter = place / "shorter.csv"
    shorter.write_text("\n".join(x for x in (place / "my.csv").read_text().split("\n") if "07.png" not in x))
    status, _, err = run(
        "--split_file", tmp_path / "out/splits.json", "--output", tmp_path / "c", table=shorter
    )
    assert status == 2 and "1 of its images are not among those of shorter.csv" in err and "07.png" in err


def test_alpha_protocol_and_blocks_are_as_asked(run, tmp_path):
    status, out, err = run("--alpha", 10, "--protocol", "rest", "--features", "low", "semantic")
    assert status == 0, err
    content = result(tmp_path / "out")
    assert {row["alpha"] for row in content["rows"]} == {10}
    assert [row["images"] for row in content["rows"]] == [22] * 3 + [14] * 3
    assert content["settings"]["columns"] == [["low", 128], ["semantic", 784]]
    assert "test on every image that was not labelled, of whose contents some were" in out
    assert "alpha 10 (fixed)" in out


def test_both_branches_with_a_small_clip(run, tmp_path, tiny_clip_file):
    status, _, err = run("--features", "all", "--clip_weights", tiny_clip_file)
    assert status == 0, err
    assert [length for _, length in result(tmp_path / "out")["settings"]["columns"]] == [
        64, 128, 256, 1920, 784, 100,
    ]  # fmt: skip


def test_a_missing_picture_is_named_and_left_out(run, place, tmp_path):
    table = place / "more.csv"
    table.write_text((place / "my.csv").read_text() + "\ngone.png,50,r3")
    status, out, err = run(table=table)
    assert status == 1
    assert "Without features: gone.png: there is no such file." in err and "30 of 31 images" in out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--n_labels", 25], "--n_labels 25: split 0 has 24 images to label"),
    (["--n_labels", 1], "Field 'n_labels' takes numbers of 2 and more"),
    (["--alpha", 0], "Field 'alphas' takes numbers above 0"),
    (["--protocol", "official"], "the set has no official training and test part"),
    (["--split_file", "gone.json", "--splits", 1], "gone.json: is no readable split file"),
    (["--split_file", "gone.json", "--seed", 1], "--seed does not go with --split_file"),
    (["--features", "both"], "There are no CLIP weights"),
    (["--features", "warm"], "Field 'features' takes both, all, high"),
    (["--dataset", "CLIVE"], "exclude each other"),
])  # fmt: skip
def test_wrong_input_is_a_sentence(run, arguments, sentence):
    status, _, err = run(*arguments)
    assert status == 2
    assert sentence in err.splitlines()[-1]


def test_no_scores_is_a_sentence(run_script, place):
    status, _, err = run_script("test_data_efficient", "--img_dir", place)
    assert status == 2 and "There are no scores: name a set with --dataset" in err


def test_interrupted(run, place, tmp_path, monkeypatch):
    real, seen = GRepQ._measure, []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr("Evaluation.measuring.TOGETHER", 1)
    monkeypatch.setattr(GRepQ, "_measure", interrupted)
    status, _, err = run("--cache", tmp_path / "cache")
    assert status == 130
    assert "Interrupted: 2 of 30 are kept; the same command goes on." in err
    assert not (tmp_path / "out").exists()
