"""The sweep on a tiny set: rows and their figures, what a second call computes, paired differences."""

import csv
import dataclasses
import fcntl

import numpy as np
import pytest
import torch
from PIL import Image

import benchmarks.sweep as sweep
from benchmarks.sweep_figures import (
    FIGURES,
    Sets,
    differences,
    few_label_srcc,
    figures,
    load_sets,
    score_sets,
)
from benchmarks.sweep_table import Table
from configs import ConfigError, FewLabels, ZeroShot
from datasets.decoder import read_image
from datasets.rated.sets import RatedImage
from datasets.distorted.synthetic_set import KINDS, make_synthetic_set
from Evaluation.grepq import Encoders
from Evaluation.few_labels.protocol.blocks import make_blocks
from Evaluation.metrics import resample_counts, srcc
from Evaluation.pristine import pristine_of_folder
from Evaluation.zeroshot import LowLevelBranch, score_images
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level

CHANGES = (
    "photographs=2 versions=2 grid=1 piece=32 epochs=2 export_epochs=1 precision=float32 device=cpu workers=0"
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Photographs, a training set of them, the synthetic set, and 4 pictures of CLIVE."""
    root = tmp_path_factory.mktemp("sweep")
    generator = np.random.default_rng(0)
    for folder in ("photos", "ChallengeDB_release/Images"):
        (root / folder).mkdir(parents=True)
    names = ["photos/a.png", "photos/b.png"]
    names += [f"ChallengeDB_release/Images/{number}.bmp" for number in range(1, 5)]
    for name in names:
        coarse = generator.integers(0, 256, (12, 18, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((144, 96), Image.Resampling.BICUBIC)
        picture.save(root / name)
        if name.startswith("photos"):
            folder = root / "data" / name[7]
            folder.mkdir(parents=True)
            picture.save(folder / "0_REF.png")
            picture.quantize(8).convert("RGB").save(folder / "1.png")
    make_synthetic_set(root / "photos", root / "synthetic")
    return root


@pytest.fixture(scope="module")
def sets(places):
    names = places / "ChallengeDB_release" / "Images"
    rated = tuple(RatedImage(f"{k}.bmp", names / f"{k}.bmp", float(k)) for k in range(1, 5))
    with pytest.MonkeyPatch.context() as patch:
        whole = dataclasses.make_dataclass("Whole", ["images"])
        absent = RatedImage("5.bmp", names / "5.bmp", 5.0)
        patch.setattr("benchmarks.sweep_figures.load_rated_set", lambda *_: whole((*rated, absent)))
        return load_sets(places / "ChallengeDB_release", places / "synthetic")


@pytest.fixture
def call(places, sets, tmp_path, run_script, monkeypatch):
    """The command with the tiny sets; its table is tmp_path/t.csv."""
    monkeypatch.setattr(sweep, "load_sets", lambda *_: sets)

    def run(*arguments):
        named = ("--data", places / "data", "--clive", places, "--synthetic", places / "synthetic")
        more = ("--pristine_img_dir", places / "photos", "--device", "cpu", *arguments)
        return run_script("benchmarks.sweep", tmp_path / "t.csv", *named, *more)

    return run


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_runs_are_trained_scored_once_and_compared(call, places, sets, tmp_path, monkeypatch):
    arguments = ("--run", f"small: {CHANGES}", "--weights", f"shipped={DEFAULT_LOW_LEVEL}")
    status, printed, said = call(*arguments)
    assert status == 0, said
    rows = rows_of(tmp_path / "t.csv")
    names = [(row["run"], row["weights"], row["steps"]) for row in rows]
    assert names == [
        ("shipped", "low_level.safetensors", names[0][2]),
        ("small", "epoch_001.safetensors", "1"),
        ("small", "final.safetensors", "2"),
    ]
    assert rows[1]["settings"] == CHANGES
    kept = np.load(tmp_path / "t_scores.npz")
    for row in rows:
        scores = kept[f"{row['run']}/{row['weights']}"]
        assert scores.shape == (44,)
        assert float(row["clive"]) == pytest.approx(srcc(scores[:4], sets.mos[:4]), abs=1e-6)
        assert float(row["synthetic"]) == pytest.approx(srcc(scores[4:], sets.mos[4:]), abs=1e-6)
        # The bootstrap of four pictures in perfect order knows no error.
        assert (float(row["clive_se"]) > 0) == (abs(float(row["clive"])) < 1)
        assert row["labels_50"] == ""  # 4 pictures are too few
    of_first = next(line for line in printed.split("Less the first row")[1].splitlines() if "shipped" in line)
    assert of_first == "| shipped | low_level.safetensors |" + " +0.0000 ± 0.0000 |" * len(FIGURES)

    # Again: nothing is trained or scored. A row that is lost is computed again, to the same figures.
    before = (tmp_path / "t.csv").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(sweep.subprocess, "Popen", None)
        patch.setattr(sweep.Evaluator, "evaluate", None)
        assert call(*arguments)[:2] == (0, printed)
    (tmp_path / "t.csv").write_text("".join(before.splitlines(keepends=True)[:-1]))
    evaluated = []
    evaluate = sweep.Evaluator.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(sweep.subprocess, "Popen", None)
        patch.setattr(
            sweep.Evaluator,
            "evaluate",
            lambda self, path: (evaluated.append(path.name), evaluate(self, path))[1],
        )
        assert call(*arguments)[:2] == (0, printed)
    assert evaluated == ["final.safetensors"]

    # Unfinished: the run goes on from its checkpoint. Trained otherwise: refused.
    run, results = sweep.parse_runs([f"small: {CHANGES}"])[0], tmp_path / "t_runs" / "small"
    data = str(places / "data")
    assert sweep.training_command(run, data, results) == []
    final = results / "Run0001" / "Train" / "final.safetensors"
    content = final.read_bytes()
    final.unlink()
    assert sweep.training_command(run, data, results) == ["--resume", str(results / "Run0001")]
    (results / "Run0001" / "Train" / "latest.pt").unlink()
    assert sweep.training_command(run, data, results)[:2] == ["--preset", "default"]
    final.write_bytes(content)
    status, _, said = call("--run", f"small: {CHANGES} seed=1")
    assert (status, "other seed" in said) == (2, True)

    # Other pictures or precision: the rows are not comparable.
    status, _, said = call(*arguments, "--precision", "bfloat16")
    assert (status, "another protocol" in said) == (2, True)


# Places in the central directory of a zip file: version needed to extract, flags (bit 0: encrypted).
@pytest.mark.parametrize(("place", "value"), [(6, 109), (8, 1)], ids=["version", "encrypted"])
def test_scores_in_a_damaged_file_are_computed_again(tmp_path, place, value):
    np.savez(tmp_path / "t_scores.npz", **{"a/final.safetensors": np.arange(3.0)})
    assert list(Table(tmp_path / "t.csv", "").scores) == ["a/final.safetensors"]
    content = bytearray((tmp_path / "t_scores.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + place] = value
    (tmp_path / "t_scores.npz").write_bytes(content)
    assert Table(tmp_path / "t.csv", "").scores == {}


def test_one_pass_gives_the_score_and_the_block_of_few_labels(places, sets):
    weights = load_low_level(DEFAULT_LOW_LEVEL)
    settings = ZeroShot()
    pristine = pristine_of_folder(weights, settings, places / "photos", None, print)
    branch = LowLevelBranch(weights.model, pristine.statistics, settings)
    small = dataclasses.replace(
        sets, synthetic=sets.synthetic[:1], kinds=sets.kinds[:1], photographs=sets.photographs[:1]
    )
    scores, features = score_sets(small, branch)
    assert scores.tolist() == [row.q_low for row in score_images(small.images, branch)]
    encoders = Encoders(weights, None, torch.device("cpu"), torch.float32)
    (block,) = make_blocks(encoders, ["low_patches"], settings)
    expected = [block.compute(read_image(image.path))[0].numpy() for image in small.clive]
    assert np.array_equal(features, np.stack(expected))
    # What cannot be read or is too narrow has no score and no features; the others stay what they were.
    Image.new("RGB", (1, 60_000)).save(places / "sliver.png")
    odd = [dataclasses.replace(small.clive[0], path=places / name) for name in ("none.png", "sliver.png")]
    more, blocks = score_sets(dataclasses.replace(small, clive=(*odd, *small.clive)), branch)
    assert np.isnan(more[:2]).all() and np.isnan(blocks[:2]).all()
    assert np.array_equal(more[2:], scores) and np.array_equal(blocks[2:], features)
    assert np.isnan(few_label_srcc(small, features, 50))


def made_up(clive=80, photographs=6, seed=0):
    """Sets of no files, and scores that go with the labels as far as noise lets them."""
    generator = np.random.default_rng(seed)
    mos = generator.random(clive + 20 * photographs)
    images = [RatedImage(f"{k}.png", None, value) for k, value in enumerate(mos)]
    kinds = np.tile(np.repeat(KINDS, 5), photographs)
    numbers = np.repeat(np.arange(photographs), 20)
    sets = Sets(tuple(images[:clive]), tuple(images[clive:]), kinds, numbers)
    return sets, mos + generator.normal(0, 0.2, len(mos))


def test_figures_are_what_their_names_say():
    sets, scores = made_up()
    found = figures(sets, scores)
    assert tuple(found) == FIGURES
    x, y = scores[80:], sets.mos[80:]
    within = [srcc(x[20 * k : 20 * k + 20], y[20 * k : 20 * k + 20]) for k in range(6)]
    assert found["within"].value == pytest.approx(np.mean(within))
    # The error of a mean of 6 independent values.
    assert found["within"].error == pytest.approx(np.std(within) / np.sqrt(6), rel=0.1)
    own = sets.kinds == "jpeg2000"
    assert found["jpeg2000"].value == pytest.approx(srcc(x[own], y[own]))
    assert 0 < found["clive"].error < 0.2

    # Resamples take whole photographs.
    for taken, sample in zip(resample_counts(6, 3, 0), found["synthetic"].samples, strict=False):
        drawn = [20 * k + j for k in range(6) for _ in range(int(taken[k])) for j in range(20)]
        assert sample == pytest.approx(srcc(x[drawn], y[drawn]), abs=1e-5)

    # A picture without a score takes its photograph out, one of CLIVE's only itself.
    lost = scores.copy()
    lost[[0, 80 + 25]] = np.nan
    found, rest = figures(sets, lost), np.r_[0:20, 40:120]
    assert found["synthetic"].value == pytest.approx(srcc(x[rest], y[rest]))
    assert found["clive"].value == pytest.approx(srcc(scores[1:80], sets.mos[1:80]))


def test_differences_are_paired():
    sets, scores = made_up()
    same = differences(sets, scores, scores)
    assert all(figure.value == figure.error == 0 for figure in same.values())
    # Nearly the same scores: the difference is known far better than each of the two.
    other = scores + np.random.default_rng(1).normal(0, 0.02, len(scores))
    found, alone = differences(sets, scores, other), figures(sets, scores)
    for name in ("clive", "synthetic"):
        assert 0 < found[name].error < alone[name].error / 2
        assert found[name].value == pytest.approx(alone[name].value - figures(sets, other)[name].value)
    lost = np.where(np.arange(len(scores)) == 3, np.nan, scores)
    assert differences(sets, scores, lost)["clive"].value == 0


def test_few_labels_are_the_median_of_the_splits():
    sets, _ = made_up()
    features = np.random.default_rng(2).normal(size=(80, 256)).astype(np.float32)
    features[:, 0] += 20 * sets.mos[:80]
    assert 0.5 < few_label_srcc(sets, features, FewLabels().n_labels[0]) < 1
    features[3] = np.nan
    assert 0.5 < few_label_srcc(sets, features, 50) < 1
    assert np.isnan(few_label_srcc(sets, features, 200))


def test_bad_input_is_one_sentence(call, tmp_path):
    cases = [
        ([], "Nothing to do"),
        (["--run", "a epochs=1"], "NAME: field=value"),
        (["--run", "../a: epochs=1"], "NAME: field=value"),
        (["--run", "a: epoch=1"], "did you mean 'epochs'"),
        (["--run", "a: preset=best"], "no preset 'best'"),
        (["--run", "a: results=x"], "which the sweep chooses"),
        (["--run", "a:", "a: epochs=1"], "named twice"),
        (["--run", "a: epochs='1"], "cannot be read"),
        (["--weights", "a"], "NAME=FILE"),
        (["--weights", "a=none.safetensors"], "no such weights file"),
    ]
    for arguments, words in cases:
        status, printed, said = call(*arguments)
        assert (status, printed) == (2, ""), words
        assert words in said
        assert said.count("\n") == 1
    (tmp_path / "t.csv").write_text("image,mos\n")
    status, _, said = call("--weights", f"a={DEFAULT_LOW_LEVEL}")
    assert (status, "no table of this command" in said) == (2, True)


def test_two_sweeps_do_not_share_a_table(tmp_path):
    with sweep.alone(tmp_path / "t.csv"):
        with pytest.raises(ConfigError, match="at work"), sweep.alone(tmp_path / "t.csv"):
            pass
        with (tmp_path / ".t.csv.lock").open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with sweep.alone(tmp_path / "t.csv"):
        pass
