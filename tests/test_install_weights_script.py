"""install_weights.py: both files or neither."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic_inputs as inputs
from PIL import Image
from safetensors.torch import load_file

from Evaluation.pristine_files import read_statistics
from models.low_level import LowLevelEncoder
from models.weight_files import file_sha256, save_tensors

ROOT = Path(__file__).resolve().parent.parent


def install(*arguments):
    command = [sys.executable, str(ROOT / "install_weights.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def trained(tmp_path):
    save_tensors(LowLevelEncoder(), tmp_path / "final.safetensors", {"steps": "3"})
    return tmp_path / "final.safetensors"


def test_weights_and_their_own_statistics_are_installed(trained, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(inputs.pristine_image(0)).save(tmp_path / "photos" / "a.png")
    output = tmp_path / "default.safetensors"
    done = install("--ll_model_weights_path", trained, "--pristine_img_dir", tmp_path / "photos",
                   "--output", output)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size < 0.51 * trained.stat().st_size
    pristine = read_statistics(tmp_path / "default_pristine.safetensors")
    assert pristine.weights_sha256 == file_sha256(output)
    assert pristine.photographs == ("a.png",)
    halved, whole = load_file(output), load_file(trained)
    for key in ("head.2.weight", "resnet.conv1.weight"):
        np.testing.assert_allclose(halved[key].float(), whole[key], atol=1e-3)


def test_bad_photographs_leave_the_default_as_it_was(trained, tmp_path):
    output = tmp_path / "default.safetensors"
    output.write_bytes(b"the default of before")
    done = install("--ll_model_weights_path", trained, "--pristine_img_dir", tmp_path / "gone",
                   "--output", output)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == f"install_weights.py: {tmp_path / 'gone'}: there is no such folder."
    assert output.read_bytes() == b"the default of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["default.safetensors", "final.safetensors"]
