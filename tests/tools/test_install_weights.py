"""install_weights.py: both files or neither."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image
from safetensors.torch import load_file

from configs import Settings
from Evaluation.extended.calibration import calibrate, fit_chance_of_distortion, measure
from Evaluation.extended.score import PAPER, score_of_weights
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import read_statistics
from Evaluation.zeroshot import LowLevelBranch
from models.low_level import LowLevelEncoder
from models.weights.files import file_sha256, save_tensors
from models.weights.low_level import load_low_level, to_authors
from models.weights.semantic import load_semantic

ROOT = Path(__file__).resolve().parents[2]


def install(*arguments):
    command = [sys.executable, str(ROOT / "install_weights.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def trained(tmp_path):
    # The last is of a score that weights had before.
    metadata = {"steps": "3", "configuration": '{"objective": "targets"}', "number_weight": "1.16"}
    model = LowLevelEncoder()
    model.head[2].bias.data[0] = 1  # a distortion above 0, as trained weights tell it
    save_tensors(model, tmp_path / "final.safetensors", metadata)
    return tmp_path / "final.safetensors"


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(inputs.pristine_image(0)).save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "photos" / "black.png")
    return tmp_path / "photos"


def test_weights_and_their_own_statistics_are_installed(trained, photos, tmp_path):
    output = tmp_path / "default.safetensors"
    done = install("--ll_model_weights_path", trained, "--pristine_img_dir", photos,
                   "--short_sides", 0, 240, "--output", output)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size < 0.51 * trained.stat().st_size
    pristine = read_statistics(tmp_path / "default_pristine.safetensors")
    assert pristine.weights_sha256 == file_sha256(output)
    assert pristine.photographs == ("a.png",)
    halved, whole = load_file(output), load_file(trained)
    for key in ("head.2.weight", "resnet.conv1.weight"):
        np.testing.assert_allclose(halved[key].float(), whole[key], atol=1e-3)

    weights = load_low_level(output)
    assert weights.metadata["steps"] == "3"
    assert pristine.belongs_to(weights, Settings())
    one, two = (
        pristine_of_folder(weights, Settings(), photos, None, print, sizes).statistics.count
        for sizes in ((0,), (0, 240))
    )
    assert pristine.statistics.count == two > one
    score = score_of_weights(weights.metadata, output)
    content = load_semantic()
    branch = LowLevelBranch(weights.model, pristine.statistics, Settings(), content=content.encoder)
    paths = [photos / "a.png"]
    regression = fit_chance_of_distortion(paths, content.encoder, Settings())
    assert score == calibrate(measure(paths, branch), regression, content.sha256, taught=True)
    assert score.distortion_weight > 0 and score.chance_weight > 0
    assert "number_weight" not in weights.metadata
    assert done.stdout.splitlines()[-1] == f"Score of: {score.formula()}"


def test_weights_without_targets_have_no_levels_to_weigh(photos, tmp_path):
    save_tensors(LowLevelEncoder(), tmp_path / "final.safetensors", {"configuration": "{}"})
    output = tmp_path / "default.safetensors"
    done = install("--ll_model_weights_path", tmp_path / "final.safetensors", "--pristine_img_dir", photos,
                   "--output", output)  # fmt: skip
    assert done.returncode == 0, done.stderr
    metadata = load_low_level(output).metadata
    assert metadata["distortion_weight"] == "0.0" and float(metadata["chance_weight"]) > 0
    assert float(metadata["distance_scale"]) != 1 and metadata["centre_deviation"] == "0.4"


def test_the_authors_weights_keep_the_papers_score(photos, tmp_path):
    state = to_authors(LowLevelEncoder().state_dict())
    torch.save({"model": {"state_dict": state}}, tmp_path / "low.tar")
    output = tmp_path / "default.safetensors"
    done = install("--ll_model_weights_path", tmp_path / "low.tar", "--pristine_img_dir", photos,
                   "--output", output)  # fmt: skip
    assert done.returncode == 0, done.stderr
    weights = load_low_level(output)
    assert not any("distortion" in key or "distance" in key for key in weights.metadata)
    assert score_of_weights(weights.metadata, output) == PAPER
    assert read_statistics(tmp_path / "default_pristine.safetensors").belongs_to(weights, Settings())
    assert done.stdout.splitlines()[-1] == "Score of: distance"


def test_bad_photographs_leave_the_default_as_it_was(trained, tmp_path):
    output = tmp_path / "default.safetensors"
    output.write_bytes(b"the default of before")
    done = install("--ll_model_weights_path", trained, "--pristine_img_dir", tmp_path / "gone",
                   "--output", output)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == f"install_weights.py: {tmp_path / 'gone'}: there is no such folder."
    assert output.read_bytes() == b"the default of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["default.safetensors", "final.safetensors"]
