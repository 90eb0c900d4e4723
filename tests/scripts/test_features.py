"""get_concatenated_features.py as a user calls it: the authors' numbers, order, provenance, going on."""

import json
import os

import h5py
import numpy as np
import pytest
import synthetic_inputs as inputs
import synthetic_weights
import torch
from PIL import Image

from Evaluation.grepq import GRepQ


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The authors' low-level weights and three images, whose score file names them in another order."""
    folder = tmp_path_factory.mktemp("place")
    state = synthetic_weights.low_level_state_dict(0)
    torch.save({"model": {"state_dict": state}}, folder / "low.tar")
    for k in range(3):
        Image.fromarray(inputs.image_under_test(k)).save(folder / f"{k}.png")
    (folder / "scores.csv").write_text("image,mos\n2.png,20\n0.png,30.5\n1.png,40\n")
    return folder


@pytest.fixture
def run(place, clip_file, run_script, tmp_path):
    """Run the script: (status, stdout, stderr); weights are named, output is in tmp_path."""

    def call(*arguments):
        return run_script(
            "get_concatenated_features", "--ll_model_weights_path", place / "low.tar", "--clip_weights",
            clip_file, "--output", tmp_path / "f.npy", *arguments,
        )  # fmt: skip

    return call


@pytest.fixture
def measured(monkeypatch):
    """Shapes of the images that were `seen`; the one whose number is put `at` is interrupted."""
    found, real = {"at": 0, "seen": []}, GRepQ._measure

    def measure(self, images, parts):
        found["seen"].extend(image.size for image in images)
        if len(found["seen"]) == found["at"]:
            raise KeyboardInterrupt
        return real(self, images, parts)

    monkeypatch.setattr("Evaluation.measuring.TOGETHER", 1)
    monkeypatch.setattr(GRepQ, "_measure", measure)
    return found


def test_features_equal_the_authors_in_the_order_of_the_score_file(parity, run, place, clip_file, tmp_path):
    status, out, err = run("--scores", place / "scores.csv")
    assert status == 0, err
    clip, order = parity("clip"), [2, 0, 1]
    features = np.load(tmp_path / "f.npy")
    assert (features.shape, features.dtype) == ((3, 1152), np.float32)
    np.testing.assert_allclose(features, clip["concat_features"][order], atol=2e-4)
    np.testing.assert_allclose(features[:, :1024], clip["concat_high"][order], atol=2e-4)
    with h5py.File(tmp_path / "f.h5") as file:
        np.testing.assert_array_equal(file["features"][()], features)
        assert file["image"].asstr()[()].tolist() == ["2.png", "0.png", "1.png"]
        assert file["mos"][()].tolist() == [20, 30.5, 40]
        assert (file["width"][1], file["height"][1]) == (320, 240)
        provenance = json.loads(file.attrs["provenance"])
    assert provenance["columns"] == [["high", 1024], ["low", 128]]
    assert all(len(provenance[f"{name}_sha256"]) == 64 for name in ("low_level", "clip"))
    assert "3 images x (1024 high, 128 low)" in out


def test_low_alone_gives_128(parity, run, place, tmp_path):
    status, _, err = run("--scores", place / "scores.csv", "--branch", "low")
    assert status == 0, err
    np.testing.assert_allclose(
        np.load(tmp_path / "f.npy"), parity("clip")["concat_low"][[2, 0, 1]], atol=2e-4
    )


def test_a_second_run_reads_what_is_known(run, place, tmp_path, measured):
    computed = measured["seen"]
    for name in ("0.png", "1.png", "2.png"):
        os.link(place / name, tmp_path / name)
    (tmp_path / "s.csv").write_text("image,mos\n0.png,1\n1.png,2\n")
    low = ("--scores", tmp_path / "s.csv", "--branch", "low")
    assert run(*low)[0] == 0
    assert len(computed) == 2
    before = np.load(tmp_path / "f.npy")
    # Another MOS and one image more: one is computed, the MOS is the new one.
    (tmp_path / "s.csv").write_text("image,mos\n2.png,3\n0.png,9\n1.png,2\n")
    assert run(*low)[0] == 0
    assert len(computed) == 3
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy")[1:], before)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["mos"][()].tolist() == [3, 9, 2]
    # Another file under the old name, and another precision, are computed anew.
    (tmp_path / "1.png").unlink()
    Image.fromarray(inputs.image_under_test(0)).save(tmp_path / "1.png")
    assert run(*low)[0] == 0
    assert len(computed) == 4
    # Another precision does not take the place of what is there.
    status, _, err = run(*low, "--precision", "bfloat16")
    assert status == 2
    assert "f.h5: holds features of other precision; name another file with --output" in err


def test_an_interrupted_run_goes_on(run, place, tmp_path, measured):
    measured["at"] = 3
    low = ("--scores", place / "scores.csv", "--branch", "low")
    status, _, err = run(*low)
    assert status == 130
    assert "Interrupted: 2 of 3 are kept; the same command goes on." in err
    assert not (tmp_path / "f.npy").exists()
    assert run(*low)[0] == 0
    assert len(measured["seen"]) == 4
    assert np.isfinite(np.load(tmp_path / "f.npy")).all()


def test_without_arguments_the_samples_are_taken(run_script, tmp_path):
    status, out, _ = run_script(
        "get_concatenated_features", "--output", tmp_path / "s.npy", "--branch", "low"
    )
    assert status == 0
    first = "Features of samples, part of this repository; images of your own: --img_dir DIR."
    assert out.splitlines()[0] == first
    assert np.load(tmp_path / "s.npy").shape == (12, 128) and (tmp_path / "s.h5").is_file()


def test_a_broken_picture_keeps_its_row_as_nan(run, place, tmp_path):
    os.link(place / "0.png", tmp_path / "0.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    status, _, err = run("--img_dir", tmp_path, "--branch", "low")
    assert status == 1
    assert "Without features (NaN): broken.png: is not an image" in err
    features = np.load(tmp_path / "f.npy")
    assert np.isfinite(features[0]).all() and np.isnan(features[1]).all()
    # It is tried again.
    (tmp_path / "broken.png").unlink()
    os.link(place / "1.png", tmp_path / "broken.png")
    assert run("--img_dir", tmp_path, "--branch", "low")[0] == 0


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--dataset", "CLIVE"], "--dataset CLIVE needs its folder: name it with --img_dir."),
    (["--img_dir", "gone"], "gone: there is no such folder."),
    (["--img_dir", ".", "--output", "f.txt"], "f.txt: features are written as .npy"),
    (["--img_dir", ".", "--output", "gone/f.npy"], "there is no folder gone"),
    (["--img_dir", ".", "--branch", "both"], "fetch them with 'python -m tools.download_weights clip'"),
])  # fmt: skip
def test_wrong_input_is_a_sentence(monkeypatch, run_script, place, arguments, sentence):
    monkeypatch.chdir(place)
    status, _, err = run_script("get_concatenated_features", *arguments)
    assert status == 2 and sentence in err and err.count("\n") == 1
