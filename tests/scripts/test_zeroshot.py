"""test_zeroshot.py and make_pristine_statistics.py as a user calls them."""

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import synthetic_inputs as inputs
import synthetic_weights
import torch
from PIL import Image
from safetensors.torch import load_file

from configs import Settings
from datasets.decoder import read_image
from Evaluation.distance import low_level_quality
from Evaluation.extended.score import LowLevelScore
from Evaluation.extended.semantic_features import semantic_features
from Evaluation.pristine_files import read_statistics
from Evaluation.reports.text import TITLES
from Evaluation.zeroshot import LowLevelBranch, distance_and_mean
from models.weights.files import save_tensors
from models.weights.low_level import load_low_level
from models.weights.semantic import load_semantic

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with weights (authors' .tar), pristine photographs and pictures under test."""
    folder = tmp_path_factory.mktemp("place")
    state = synthetic_weights.low_level_state_dict(0)
    torch.save({"model": {"state_dict": state}, "current_iteration": 1, "optimizer": {"state_dict": {}}},
               folder / "low.tar")  # fmt: skip
    for sub in ("pristine", "pictures"):
        (folder / sub).mkdir()
    for k in range(3):
        Image.fromarray(inputs.pristine_image(k)).save(folder / "pristine" / f"{k}.png")
        Image.fromarray(inputs.image_under_test(k)).save(folder / "pictures" / f"{k}.png")
    return folder


def command(place, *arguments, script="test_zeroshot.py", weights=True):
    chosen = ["--ll_model_weights_path", str(place / "low.tar")] if weights else []
    return [sys.executable, str(ROOT / script), *chosen, *map(str, arguments)]


def call(place, *arguments, cwd=None, **more):
    """Run from `cwd`; nothing may end in a traceback."""
    done = subprocess.run(
        command(place, *arguments, **more), cwd=cwd or place, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def in_process(monkeypatch, capsys, place, cwd, *arguments):
    """The exit status and stderr of a call, without the cost of starting an interpreter."""
    script = importlib.import_module("test_zeroshot")
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", command(place, *arguments)[1:])
    try:
        status = script.main()
    except SystemExit as stop:
        status = stop.code
    return status, capsys.readouterr().err


def test_single_image(parity, place, tmp_path):
    done = call(place, "--eval_type", "zeroshot_single_img", "--test_img_path", place / "pictures/0.png",
                "--pristine_img_dir", place / "pristine", "--device", "cpu", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, protocol = done.stdout.splitlines()
    assert first.endswith("(range (0, 0.5], higher is better; ok)")
    assert float(first.split()[2]) == pytest.approx(parity("low")["qlow_s0.75_c0.80"][0], abs=1e-5)
    assert "low.tar (sha256 " in protocol and "15 patches" in protocol and "float32 on cpu" in protocol
    assert "Branch: low-level alone. There are no CLIP weights: fetch them with 'python " in done.stderr
    assert "download_weights.py clip', or name a file with --clip_weights" in done.stderr
    # A folder that was named leaves no file of patches, which later runs would take for the standard.
    (kept,) = tmp_path.iterdir()
    assert kept.match("pristine_statistics_*.safetensors")


def test_table_of_scores(parity, place, tmp_path):
    (tmp_path / "t.csv").write_text("mos,image\n30,0.png\n40,1.png\n20,2.png\n10,broken.png\n")
    for k in range(3):
        os.link(place / f"pictures/{k}.png", tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = call(place, "--scores", "t.csv", "--pristine_img_dir", place / "pristine", "--output", "out.json",
                "--branch", "low", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert "Not scored: broken.png: is not a picture" in done.stderr
    assert "Branch: low-level (as asked)." in done.stderr
    for title in TITLES.values():
        assert title in done.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["complete"] is True
    assert "3 of 4 images; MOS; low-level weights" in result["protocol"]
    assert result["set"] == "t.csv"
    assert result["opinions"] == {"kind": "MOS", "native_range": None, "negated": False}
    scores = [row["q_low"] for row in result["images"]]
    np.testing.assert_allclose(scores[:3], parity("low")["qlow_s0.75_c0.80"], atol=1e-5)
    assert scores[3] is None
    assert result["metrics"][0]["name"] == "srcc"
    assert result["metrics"][0]["value"] == pytest.approx(0.5)


def test_clive_in_miniature(place, tmp_path):
    root = tmp_path / "data/ChallengeDB_release"
    names = ["t1.bmp", "5.bmp", "1024.JPG", "7.JPG"]
    (root / "Images").mkdir(parents=True)
    (root / "Data").mkdir()
    for k, name in enumerate(names[1:]):
        Image.fromarray(inputs.image_under_test(k)).save(root / "Images" / name)
    cells = np.empty((4, 1), object)
    cells[:, 0] = names
    scipy.io.savemat(root / "Data/AllImages_release.mat", {"AllImages_release": cells})
    scipy.io.savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": [[50.0, 60.0, 40.0, 120.0]]})
    done = call(place, "--dataset", "CLIVE", "--img_dir", tmp_path / "data", "--pristine_img_dir",
                place / "pristine", "--output", "rows.csv", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CLIVE, 3 of 1162 images; MOS in [0, 100]; low-level weights" in done.stdout
    assert "names 3 pictures, the whole set has 1162" in done.stderr
    assert "1 of 3 scores lie outside the range of CLIVE" in done.stderr
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [(row["image"], row["mos"], row["q"]) for row in rows] == [
        ("5.bmp", "60.0", ""), ("1024.JPG", "40.0", ""), ("7.JPG", "120.0", ""),
    ]  # fmt: skip
    assert rows[1]["status"] == "ok, resized to 500x500"


def test_statistics_beside_the_weights(place, tmp_path):
    os.link(place / "low.tar", tmp_path / "low.tar")
    weights = ("--ll_model_weights_path", "low.tar")
    made = call(place, *weights, "--pristine_img_dir", place / "pristine", "--patches", cwd=tmp_path,
                script="make_pristine_statistics.py", weights=False)  # fmt: skip
    assert made.stdout == "low_pristine.safetensors: 15 patches of 3 photographs.\n", made.stderr
    assert (tmp_path / "pristine_patches_096_0.75_0.80.hdf5").is_file()
    (tmp_path / "pristine_patches_096_0.75_0.80.hdf5").unlink()
    # Another size of the photographs, other patches.
    small = call(place, *weights, "--pristine_img_dir", place / "pristine", "--short_sides", 240, "--output",
                 "small.safetensors", cwd=tmp_path, script="make_pristine_statistics.py",
                 weights=False)  # fmt: skip
    assert small.stdout == "small.safetensors: 14 patches of 3 photographs.\n", small.stderr
    scored = (*weights, "--img_dir", place / "pictures", "--output", "rows.csv")
    done = call(place, *scored, cwd=tmp_path, weights=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    # On the terminal best first: parity's q_low falls from 0 to 2.
    lines = [line.split() for line in done.stdout.splitlines()[1:4]]
    assert [line[2] for line in lines] == ["0.png", "1.png", "2.png"]
    assert [line[0] for line in lines] == [f"{float(row['q_low']):.4f}" for row in rows]
    assert lines[0][1] == "320x240"
    assert all(row["mos"] == "" and row["status"] == "ok" for row in rows)
    assert "SRCC" not in done.stdout


def test_interrupt_keeps_what_is_done(place, tmp_path):
    for n in range(150):
        os.link(place / "pictures/0.png", tmp_path / f"{n:03}.png")
    process = subprocess.Popen(
        command(place, "--img_dir", ".", "--pristine_img_dir", place / "pristine", "--output", "rows.csv"),
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        # A suite in the background may ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    seen = b""
    while b"| 2/150" not in seen and b"| 3/150" not in seen and (byte := process.stderr.read(1)):
        seen += byte
    process.send_signal(signal.SIGINT)
    error = process.stderr.read().decode()
    assert process.wait() == 130, error
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert 2 <= len(rows) < 150
    assert f"Interrupted: {len(rows)} of 150 rows are in rows.csv." in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments, sentence", [
    (["--branch", "high", "--img_dir", "pictures"], "python download_weights.py clip"),
    (["--branch", "both", "--img_dir", "pictures"], "or use --branch low."),
    (["--hl_model_weights_path", "x.pth", "--img_dir", "pictures"], "There are no CLIP weights"),
    (["--clip_weights", "gone.pt", "--img_dir", "pictures"], "gone.pt: there is no such file of CLIP"),
    (["--prompts", "Good.", "--img_dir", "pictures"], "prompts come in pairs"),
    (["--img_dir", "pictures"], "no pristine statistics made by the weights"),
    (["--img_dir", "pictures", "--pristine_img_dir", "gone"], "gone: there is no such folder."),
    (["--img_dir", "gone"], "gone: there is no such folder."),
    (["--img_dir", "pictures", "--device", "abacus"], "Device 'abacus' is not on this machine"),
    (["--img_dir", "pictures", "--patch_size", "8"], "patch_size is 8"),
    (["--img_dir", "pictures", "--patch_size", "many"], "argument --patch_size: invalid int value: 'many'"),
    (["--img_dir", "pictures", "--sharpness_param", "75"], "sharpness is 75.0"),
    (["--img_dir", "pictures", "--output", "rows.txt"], "rows.txt: the table of scores is written as .csv"),
    (["--img_dir", "pictures", "--output", "gone/rows.csv"], "there is no folder gone"),
    (["--img_dir", "pictures", "--ll_model_weights_path", "gone.tar"], "gone.tar: there is no such weights"),
    (["--scores", "gone.csv"], "gone.csv: is not a readable CSV file"),
    (["--dataset", "ATLANTIS", "--img_dir", "pictures"], "no data set 'ATLANTIS'; known: CLIVE, KonIQ-10k"),
    (["--dataset", "CLIVE"], "--dataset CLIVE needs its folder: name it with --img_dir."),
    (["--eval_type", "zeroshot_single_img"], "name it with --test_img_path"),
    (["--img_dir", "pictures", "--score", "mine"], "argument --score: invalid choice: 'mine'"),
    (["--eval_type", "sorcery"], "argument --eval_type: invalid choice: 'sorcery'"),
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    ([], "Nothing to score"),
])  # fmt: skip
def test_wrong_input_is_a_sentence(monkeypatch, capsys, place, arguments, sentence):
    status, error = in_process(monkeypatch, capsys, place, place, *arguments)
    assert status == 2
    lines = [line for line in error.splitlines() if not line.startswith("Branch: ")]
    assert len(lines) == 1, error
    assert lines[0].startswith("test_zeroshot.py: ") and sentence in lines[0]


def test_unreadable_single_image(monkeypatch, capsys, place, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    status, error = in_process(monkeypatch, capsys, place, tmp_path, "--test_img_path", "x.png",
                               "--pristine_img_dir", place / "pristine")  # fmt: skip
    assert status == 1
    assert "Not scored: x.png: is not a picture in a format that can be read." in error


def test_both_branches(parity, clip_file, place, tmp_path):
    """The authors' command with both weights, on a table; the fine-tuned encoder is CLIP's own here."""
    visual = {key.removeprefix("visual."): value.float() if value.is_floating_point() else value
              for key, value in load_file(clip_file).items() if key.startswith("visual.")}  # fmt: skip
    torch.save(visual, tmp_path / "high.pth")
    done = call(place, "--eval_type", "zeroshot", "--img_dir", place / "pictures", "--pristine_img_dir",
                place / "pristine", "--hl_model_weights_path", "high.pth", "--clip_weights", clip_file,
                "--output", "rows.json", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Branch: low-level and high-level" in done.stderr
    assert "high-level weights high.pth (sha256" in done.stdout and "of CLIP RN50.safetensors" in done.stdout
    result = json.loads((tmp_path / "rows.json").read_text())
    for column, expected in (("q_low", "qlow"), ("q_high", "qhigh"), ("q", "combined")):
        scores = [row[column] for row in result["images"]]
        np.testing.assert_allclose(scores, parity("clip")[expected], atol=2e-5)
    assert len(result["clip_sha256"]) == len(result["high_level_sha256"]) == 64
    header, *ranking = done.stdout.splitlines()[:4]
    assert header.split()[:3] == ["q", "q_low", "q_high"]
    assert [float(line.split()[0]) for line in ranking] == sorted(
        (round(row["q"], 4) for row in result["images"]), reverse=True
    )


def test_high_level_alone_needs_no_pristine_statistics(monkeypatch, capsys, parity, clip_file, place):
    monkeypatch.setenv("GREPQ_CLIP_WEIGHTS", str(clip_file))
    script = importlib.import_module("test_zeroshot")
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["x", "--branch", "high", "--test_img_path", "pictures/1.png"])
    assert script.main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Q_high = ")
    assert float(printed[0].split()[2]) == pytest.approx(parity("clip")["qhigh"][1], abs=1e-5)
    assert "stock CLIP RN50.safetensors" in printed[1] and "not fine-tuned" in printed[1]
    assert "pristine" not in printed[1]


# Slopes of the 112 middle content features, and an intercept.
REGRESSION = (20.0, *[0.0] * 110, -20.0, 1.0)


@pytest.fixture(scope="module")
def asking(place, tmp_path_factory):
    """The weights of `place` with and without a score of their own, each with its pristine statistics."""
    folder = tmp_path_factory.mktemp("asking")
    model = load_low_level(place / "low.tar").model
    score = LowLevelScore(2.5, 0.4, 0.5, REGRESSION, content_sha256=load_semantic().sha256)
    save_tensors(model, folder / "own.safetensors", score.metadata())
    save_tensors(model, folder / "plain.safetensors", {})
    save_tensors(model, folder / "odd.safetensors", {"distance_scale": "large"})
    for name in ("own", "plain"):
        made = call(place, "--ll_model_weights_path", folder / f"{name}.safetensors", "--pristine_img_dir",
                    place / "pristine", script="make_pristine_statistics.py", weights=False)  # fmt: skip
        assert made.returncode == 0, made.stderr
    return folder


def scored(place, folder, name, *arguments):
    """q_low of each picture and the protocol line, by the weights `name` of `folder`."""
    done = call(place, "--ll_model_weights_path", folder / f"{name}.safetensors", "--branch", "low",
                "--img_dir", place / "pictures", "--output", folder / "rows.json", *arguments,
                weights=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "rows.json").read_text())
    return [row["q_low"] for row in result["images"]], result["protocol"]


def test_own_score_and_the_papers(place, asking):
    plain, plain_line = scored(place, asking, "plain")
    own, own_line = scored(place, asking, "own")
    paper, paper_line = scored(place, asking, "own", "--score", "paper")
    assert paper == plain
    assert "; score 2.5 x (distance + 0.4 x distortion + 0.5 x chance of distortion); float32 on " in own_line
    assert "content weights semantic.safetensors (sha256 " in own_line
    for line in (plain_line, paper_line):
        assert "score" not in line and "content" not in line
    assert scored(place, asking, "own", "--score", "own") == (own, own_line)
    weights = load_low_level(asking / "own.safetensors")
    pristine = read_statistics(asking / "own_pristine.safetensors").statistics
    branch, content = LowLevelBranch(weights.model, pristine, Settings()), load_semantic().encoder
    for k, q_low in enumerate(own):
        picture = read_image(place / f"pictures/{k}.png")
        d, mean = distance_and_mean(picture, branch)
        distortion = (mean[0] + mean[2:18].sum() / 2).item()
        seen, _ = semantic_features(picture, content, Settings())
        chance = 20 * (seen[0] - seen[111]).item() + 1
        total = 2.5 * max(0, d + 0.4 * distortion + 0.5 * chance)
        assert q_low == pytest.approx(low_level_quality(total), rel=1e-4)
        assert q_low != pytest.approx(paper[k], rel=1e-2)


def test_weights_that_ask_for_nonsense(monkeypatch, capsys, place, asking):
    odd = asking / "odd.safetensors"
    status, error = in_process(monkeypatch, capsys, place, place, "--img_dir", "pictures", "--branch", "low",
                               "--ll_model_weights_path", odd)  # fmt: skip
    assert status == 2
    sentence = f"{odd}: 'distance_scale' is 'large', expected a finite number above 0."
    assert error.splitlines()[1:] == [f"test_zeroshot.py: {sentence}"]
