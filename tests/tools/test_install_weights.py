"""tools.install_weights: weights, statistics and score, all or nothing."""

import numpy as np
import pytest
import synthetic_inputs as inputs
import torch
from PIL import Image
from safetensors.torch import load_file

from configs import Settings
from Evaluation.extended.calibration import make_score
from Evaluation.extended.score import read_extended
from Evaluation.grepq import GRepQ
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import read_statistics
from models.low_level import LowLevelEncoder
from models.weights.files import save_tensors
from models.weights.low_level import load_low_level, to_authors
from utils.files import file_sha256


@pytest.fixture
def install(run_script):
    return lambda *arguments: run_script("tools.install_weights", "--device", "cpu", *arguments)


@pytest.fixture
def trained(tmp_path):
    metadata = {"steps": "3", "configuration": '{"objective": "targets"}'}
    model = LowLevelEncoder()
    model.head[2].bias.data[0] = 1  # a distortion above 0, as trained weights tell it
    save_tensors(model, tmp_path / "final.safetensors", metadata)
    return tmp_path / "final.safetensors"


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    for k, name in enumerate("ac"):
        Image.fromarray(inputs.pristine_image(k)).save(tmp_path / "images" / f"{name}.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "images" / "black.png")
    return tmp_path / "images"


def test_weights_and_their_own_statistics_and_score_are_installed(install, trained, images, tmp_path):
    output = tmp_path / "default.safetensors"
    status, out, err = install("--ll_model_weights_path", trained, "--pristine_img_dir", images,
                               "--short_sides", 0, 240, "--output", output)  # fmt: skip
    assert status == 0, err
    assert output.stat().st_size < 0.51 * trained.stat().st_size
    halved, whole = load_file(output), load_file(trained)
    for key in ("head.2.weight", "resnet.conv1.weight"):
        np.testing.assert_allclose(halved[key].float(), whole[key], atol=1e-3)

    weights = load_low_level(output)
    pristine = read_statistics(tmp_path / "default_pristine.safetensors")
    assert weights.metadata["steps"] == "3"
    assert pristine.weights_sha256 == file_sha256(output) and pristine.images == ("a.png", "c.png")
    assert pristine.belongs_to(weights, Settings())
    one, two = (
        pristine_of_folder(weights, Settings(), images, None, print, sizes).statistics.count
        for sizes in ((0,), (0, 240))
    )
    assert pristine.statistics.count == two > one
    score = read_extended(weights.metadata, output)
    model = GRepQ(Settings(low=str(output), branch="low", device="cpu"))
    assert score == make_score([images / "a.png", images / "c.png"], model, pristine.statistics)
    assert score.distortion_weight > 0 and any(score.regression[:-1])
    assert out.splitlines()[-1] == f"Score of: {score.formula()}"


def test_the_authors_weights_keep_the_papers_score(install, images, tmp_path):
    state = to_authors(LowLevelEncoder().state_dict())
    torch.save({"model": {"state_dict": state}}, tmp_path / "low.tar")
    output = tmp_path / "default.safetensors"
    status, out, err = install("--ll_model_weights_path", tmp_path / "low.tar", "--pristine_img_dir", images,
                               "--output", output)  # fmt: skip
    assert status == 0, err
    weights = load_low_level(output)
    assert read_extended(weights.metadata, output) is None
    assert read_statistics(tmp_path / "default_pristine.safetensors").belongs_to(weights, Settings())
    assert out.splitlines()[-1] == "Score of: distance"


def test_one_pristine_image_makes_no_score(install, trained, images, tmp_path):
    (images / "c.png").unlink()
    status, _, err = install("--ll_model_weights_path", trained, "--pristine_img_dir", images,
                             "--output", tmp_path / "default.safetensors")  # fmt: skip
    assert (status, err.splitlines()[-1]) == (2, "A score is made of two pristine images or more.")


def test_bad_images_leave_the_default_as_it_was(install, trained, tmp_path):
    output = tmp_path / "default.safetensors"
    output.write_bytes(b"the default of before")
    status, _, err = install("--ll_model_weights_path", trained, "--pristine_img_dir", tmp_path / "gone",
                             "--output", output)  # fmt: skip
    assert status == 2
    assert err.splitlines()[-1] == f"{tmp_path / 'gone'}: there is no such folder."
    assert output.read_bytes() == b"the default of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["default.safetensors", "final.safetensors"]
