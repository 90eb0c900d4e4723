"""test_zeroshot.py and tools.make_pristine_statistics as a user calls them."""

import csv
import json
import os
import re
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

from Evaluation.extended.score import ExtendedScore
from Evaluation.reports.text import TITLES
from models.semantic import SEMANTIC_FEATURES
from models.weights.files import save_tensors
from models.weights.low_level import load_low_level
from models.weights.semantic import load_semantic

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with weights (authors' .tar), pristine images and images under test."""
    folder = tmp_path_factory.mktemp("place")
    state = synthetic_weights.low_level_state_dict(0)
    torch.save({"model": {"state_dict": state}, "current_iteration": 1, "optimizer": {"state_dict": {}}},
               folder / "low.tar")  # fmt: skip
    for sub in ("pristine", "images"):
        (folder / sub).mkdir()
    for k in range(3):
        Image.fromarray(inputs.pristine_image(k)).save(folder / "pristine" / f"{k}.png")
        Image.fromarray(inputs.image_under_test(k)).save(folder / "images" / f"{k}.png")
    return folder


@pytest.fixture
def score(place, run_script, monkeypatch, tmp_path):
    """Run test_zeroshot.py in `cwd` with the weights of `place`: (exit status, stdout, stderr)."""

    def call(*arguments, cwd=tmp_path, weights=True):
        monkeypatch.chdir(cwd)
        chosen = ("--ll_model_weights_path", place / "low.tar") if weights else ()
        return run_script("test_zeroshot", *chosen, "--device", "cpu", *arguments)

    return call


def test_single_image_from_a_cold_start(parity, place, tmp_path):
    command = [sys.executable, str(ROOT / "test_zeroshot.py"), "--eval_type", "zeroshot_single_img",
               "--test_img_path", str(place / "images/0.png"), "--pristine_img_dir", str(place / "pristine"),
               "--ll_model_weights_path", str(place / "low.tar"), "--device", "cpu"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    name, first, protocol = done.stdout.splitlines()
    assert name == "GRepQ (paper), Q_low (higher is better)."
    assert first.endswith("(range (0, 0.5], higher is better; ok)")
    assert float(first.split()[2]) == pytest.approx(parity("low")["qlow_s0.75_c0.80"][0], abs=1e-5)
    assert protocol.startswith("Protocol: GRepQ (paper); ")
    assert "low.tar (sha256 " in protocol and "15 patches" in protocol and "float32 on cpu" in protocol
    assert "Branch: low-level alone. There are no CLIP weights: fetch them with 'python " in done.stderr
    assert "tools.download_weights clip', or name a file with --clip_weights" in done.stderr
    # A folder that was named leaves no file of patches, which later runs would take for the standard.
    (kept,) = tmp_path.iterdir()
    assert kept.match("pristine_statistics_*.safetensors")


def test_without_arguments_the_samples_are_scored(score):
    status, out, _ = score("--eval_type", "zeroshot", weights=False)
    assert status == 0
    first, *lines = out.splitlines()
    assert first == (
        "GRepQ extended, Q_low (higher is better) of samples, part of this repository; images of your own: "
        "--img_dir DIR."
    )
    assert lines[1].startswith("0.4547") and lines[1].endswith("coffee.jpg")
    status, out, _ = score("--eval_type", "zeroshot_single_img", weights=False)
    assert status == 0 and "coffee.jpg, part of this repository" in out and "Q_low  = 0.45" in out


def test_table_of_scores(parity, place, score, tmp_path):
    (tmp_path / "t.csv").write_text("mos,image\n30,0.png\n40,1.png\n20,2.png\n10,broken.png\n")
    for k in range(3):
        os.link(place / f"images/{k}.png", tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    status, out, err = score("--scores", "t.csv", "--pristine_img_dir", place / "pristine", "--output",
                             "out.json", "--branch", "low")  # fmt: skip
    assert status == 1
    assert "Not scored: broken.png: is not an image" in err
    assert "Branch: low-level (as asked)." in err
    for title in TITLES.values():
        assert title in out
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["complete"] is True and result["score"] == "GRepQ (paper)"
    assert "3 of 4 images; MOS; low-level weights" in result["protocol"]
    assert result["set"] == "t.csv"
    assert result["opinions"] == {"kind": "MOS", "native_range": None, "negated": False}
    scores = [row["q_low"] for row in result["images"]]
    np.testing.assert_allclose(scores[:3], parity("low")["qlow_s0.75_c0.80"], atol=1e-5)
    assert scores[3] is None
    assert result["metrics"][0]["name"] == "srcc"
    assert result["metrics"][0]["value"] == pytest.approx(0.5)


def test_clive_in_miniature(place, score, tmp_path):
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
    status, out, err = score("--dataset", "CLIVE", "--img_dir", tmp_path / "data", "--pristine_img_dir",
                             place / "pristine", "--output", "rows.csv")  # fmt: skip
    assert status == 0, err
    assert "CLIVE, 3 of 1162 images; MOS in [0, 100]; low-level weights" in out
    assert "names 3 images, the whole set has 1162" in err
    assert "1 of 3 scores lie outside the range of CLIVE" in err
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [(row["image"], row["mos"], row["q"]) for row in rows] == [
        ("5.bmp", "60.0", ""), ("1024.JPG", "40.0", ""), ("7.JPG", "120.0", ""),
    ]  # fmt: skip
    assert rows[1]["status"] == "ok, resized to 500x500"


def test_statistics_beside_the_weights(place, score, run_script, tmp_path):
    os.link(place / "low.tar", tmp_path / "low.tar")
    weights = ("--ll_model_weights_path", tmp_path / "low.tar")
    made = ("tools.make_pristine_statistics", *weights, "--pristine_img_dir", place / "pristine")
    os.chdir(tmp_path)
    status, out, err = run_script(*made, "--patches", "--device", "cpu")
    assert (status, out) == (0, f"{tmp_path}/low_pristine.safetensors: 15 patches of 3 images.\n"), err
    (tmp_path / "pristine_patches_096_0.75_0.80.hdf5").unlink()
    # Nothing is written over without a word.
    before = (tmp_path / "low_pristine.safetensors").read_bytes()
    status, _, err = run_script(*made)
    assert status == 2 and "is there already; name another place with --output, or add --overwrite" in err
    assert (tmp_path / "low_pristine.safetensors").read_bytes() == before
    # Another size of the images, other patches.
    status, out, err = run_script(*made, "--short_sides", 240, "--output", "small.safetensors")
    assert (status, out) == (0, "small.safetensors: 14 patches of 3 images.\n"), err
    status, out, err = score(*weights, "--img_dir", place / "images", "--output", "rows.csv", weights=False)
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    # On the terminal best first: parity's q_low falls from 0 to 2.
    lines = [line.split() for line in out.splitlines()[2:5]]
    assert [line[2] for line in lines] == ["0.png", "1.png", "2.png"]
    assert [line[0] for line in lines] == [f"{float(row['q_low']):.4f}" for row in rows]
    assert lines[0][1] == "320x240"
    assert all(row["mos"] == "" and row["status"] == "ok" for row in rows)
    assert "SRCC" not in out


def test_ctrl_c_keeps_what_is_done(place, tmp_path):
    for n in range(150):
        os.link(place / "images/0.png", tmp_path / f"{n:03}.png")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "test_zeroshot.py"), "--img_dir", ".", "--pristine_img_dir",
         str(place / "pristine"), "--output", "rows.csv", "--ll_model_weights_path", str(place / "low.tar")],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        # A suite in the background may ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    seen = b""
    while not re.search(rb"\| [1-9]\d?/150", seen) and (byte := process.stderr.read(1)):
        seen += byte
    process.send_signal(signal.SIGINT)
    error = process.stderr.read().decode()
    assert process.wait() == 130, error
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert 1 <= len(rows) < 150
    assert f"Interrupted: {len(rows)} of 150 rows are in rows.csv." in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments, sentence", [
    (["--branch", "high", "--img_dir", "images"], "python -m tools.download_weights clip"),
    (["--branch", "both", "--img_dir", "images"], "or use --branch low."),
    (["--hl_model_weights_path", "x.pth", "--img_dir", "images"], "There are no CLIP weights"),
    (["--clip_weights", "gone.pt", "--img_dir", "images"], "gone.pt: there is no such file of CLIP"),
    (["--prompts", "Good.", "--img_dir", "images"], "prompts come in pairs"),
    (["--set", "prompts=Good.", "--img_dir", "images"], "prompts come in pairs"),
    (["--set", "chunks=1"], "There is no field 'chunks': did you mean 'chunk'?"),
    (["--img_dir", "images"], "no pristine statistics made by the weights"),
    (["--img_dir", "images", "--pristine_img_dir", "gone"], "gone: there is no such folder."),
    (["--img_dir", "gone"], "gone: there is no such folder."),
    (["--img_dir", "images", "--device", "abacus"], "Device 'abacus' is not on this machine"),
    (["--img_dir", "images", "--patch_size", "8"], "'patch_size' must be at least 32, not 8"),
    (["--img_dir", "images", "--patch_size", "many"], "argument --patch_size: invalid a whole number value"),
    (["--img_dir", "images", "--sharpness_param", "75"], "'sharpness' takes a share in [0, 1), not 75.0"),
    (["--img_dir", "images", "--output", "rows.txt"], "rows.txt: the table of scores is written as .csv"),
    (["--img_dir", "images", "--ll_model_weights_path", "gone.tar"], "gone.tar: there is no such weights"),
    (["--scores", "gone.csv"], "gone.csv: is not a readable"),
    (["--dataset", "ATLANTIS", "--img_dir", "images"], "no data set 'ATLANTIS'; known: CLIVE, KonIQ-10k"),
    (["--dataset", "CLIVE"], "--dataset CLIVE needs its folder: name it with --img_dir."),
    (["--eval_type", "zeroshot", "--test_img_path", "x.png"], "--test_img_path goes with --eval_type"),
    (["--eval_type", "zeroshot_single_img", "--img_dir", "images"], "scores the image of --test_img_path"),
    (["--img_dir", "images", "--score", "mine"], "argument --score: invalid choice: 'mine'"),
    (["--nonsense"], "unrecognized arguments: --nonsense"),
])  # fmt: skip
def test_wrong_input_is_a_sentence(score, place, arguments, sentence):
    status, _, err = score(*arguments, cwd=place)
    assert status == 2
    lines = [line for line in err.splitlines() if not line.startswith("Branch: ")]
    assert len(lines) == 1 and sentence in lines[0], err


def test_a_bug_keeps_its_traceback(score, place, monkeypatch):
    def broken(self, image, *arguments):
        raise ValueError("a mistake of the programmer")

    monkeypatch.setattr("Evaluation.grepq.GRepQ._measure", broken)
    with pytest.raises(ValueError, match="a mistake of the programmer"):
        score("--img_dir", place / "images", "--pristine_img_dir", place / "pristine")


def test_both_branches(parity, clip_file, place, score, tmp_path):
    """The authors' command with both weights, on a table; the fine-tuned encoder is CLIP's own here."""
    visual = {key.removeprefix("visual."): value.float() if value.is_floating_point() else value
              for key, value in load_file(clip_file).items() if key.startswith("visual.")}  # fmt: skip
    torch.save(visual, tmp_path / "high.pth")
    status, out, err = score(
        "--eval_type", "zeroshot", "--img_dir", place / "images", "--pristine_img_dir", place / "pristine",
        "--hl_model_weights_path", "high.pth", "--clip_weights", clip_file, "--output", "rows.json",
    )  # fmt: skip
    assert status == 0, err
    assert "Branch: low-level and high-level" in err
    assert "high-level weights high.pth (sha256" in out and "of CLIP RN50.safetensors" in out
    result = json.loads((tmp_path / "rows.json").read_text())
    for column, expected in (("q_low", "qlow"), ("q_high", "qhigh"), ("q", "combined")):
        scores = [row[column] for row in result["images"]]
        np.testing.assert_allclose(scores, parity("clip")[expected], atol=2e-5)
    assert len(result["clip_sha256"]) == len(result["high_level_sha256"]) == 64
    header, *ranking = out.splitlines()[1:5]
    assert header.split()[:3] == ["q", "q_low", "q_high"]
    assert [float(line.split()[0]) for line in ranking] == sorted(
        (round(row["q"], 4) for row in result["images"]), reverse=True
    )


def test_high_level_alone_needs_no_pristine_statistics(parity, clip_file, place, score, monkeypatch):
    monkeypatch.setenv("GREPQ_CLIP_WEIGHTS", str(clip_file))
    status, out, _ = score("--branch", "high", "--test_img_path", place / "images/1.png", weights=False)
    name, first, protocol = out.splitlines()
    assert (status, name) == (0, "GRepQ (paper), Q_high (higher is better).")
    assert float(first.removeprefix("Q_high = ").split()[0]) == pytest.approx(
        parity("clip")["qhigh"][1], abs=1e-5
    )
    assert "stock CLIP RN50.safetensors" in protocol and "not fine-tuned" in protocol
    assert "pristine" not in protocol and "low-level weights" not in protocol


def test_low_level_scores_do_not_need_the_clip_package(place, score, monkeypatch):
    monkeypatch.setitem(sys.modules, "clip", None)
    status, out, err = score("--test_img_path", place / "images/0.png", "--pristine_img_dir",
                             place / "pristine")  # fmt: skip
    assert status == 0 and "Q_low  = " in out
    assert "Branch: low-level alone. CLIP's package cannot be imported" in err


def test_own_score_and_the_papers(place, score, run_script, tmp_path):
    model = load_low_level(place / "low.tar").model
    regression = (2.0, *[0.0] * (SEMANTIC_FEATURES - 2), -2.0, 1.0)
    extended = ExtendedScore(2.5, 0.3, 0.4, 0.5, 0.0, regression, load_semantic().sha256)
    found = {}
    for name, metadata in (("own", extended.metadata()), ("plain", {})):
        path = tmp_path / f"{name}.safetensors"
        save_tensors(model, path, metadata)
        status, _, err = run_script("tools.make_pristine_statistics", "--ll_model_weights_path", path,
                                    "--pristine_img_dir", place / "pristine")  # fmt: skip
        assert status == 0, err
        for asked in ("own", "paper"):
            status, out, err = score("--ll_model_weights_path", path, "--branch", "low", "--img_dir",
                                     place / "images", "--score", asked, "--output", "rows.json",
                                     weights=False)  # fmt: skip
            assert status == 0, err
            result = json.loads((tmp_path / "rows.json").read_text())
            found[name, asked] = ([row["q_low"] for row in result["images"]], result["protocol"], out)
    assert found["own", "paper"][0] == found["plain", "own"][0] == found["plain", "paper"][0]
    own, line, out = found["own", "own"]
    assert out.startswith("GRepQ extended, ")
    assert f"; score {extended.formula()}; float32 on " in line
    assert "semantic weights semantic.safetensors (sha256 " in line
    assert "semantic" not in found["own", "paper"][1]
    assert all(abs(q - paper) > 0.01 * paper for q, paper in zip(own, found["own", "paper"][0], strict=True))


def test_weights_that_ask_for_nonsense(place, score, tmp_path):
    odd = tmp_path / "odd.safetensors"
    save_tensors(load_low_level(place / "low.tar").model, odd, {"extended_score": "large"})
    status, _, err = score("--img_dir", place / "images", "--branch", "low", "--ll_model_weights_path", odd,
                           weights=False)  # fmt: skip
    assert status == 2
    assert err.splitlines()[-1].startswith(f"{odd}: 'extended_score' is not a JSON object of scale, ")


HEAVY = ("torch", "scipy.signal", "matplotlib", "h5py", "sklearn")


@pytest.mark.parametrize("module", [
    "test_zeroshot", "train", "get_concatenated_features", "test_data_efficient",
    *(f"tools.{path.stem}" for path in sorted((ROOT / "tools").glob("*.py")) if path.stem != "__init__"),
])  # fmt: skip
def test_help_waits_for_nothing_heavy(module):
    code = (
        f"import sys, {module}\ntry:\n    {module}.main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].strip() == "HEAVY", done.stdout[-300:] + done.stderr


def test_scoring_imports_no_compiler_and_no_plots(place, tmp_path):
    code = (
        "import sys, test_zeroshot\n"
        f"test_zeroshot.main(['--test_img_path', {str(place / 'images/0.png')!r}, '--branch', 'low'])\n"
        "print('HEAVY', *[name for name in ('torch._dynamo', 'scipy.signal', 'matplotlib', 'torchvision', "
        "'datasets.distorted.distortions') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].strip() == "HEAVY", done.stdout[-300:] + done.stderr
