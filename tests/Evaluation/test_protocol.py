"""What the arguments of a score name, and what they may not name together."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from Evaluation.protocol import load_images
from utils.errors import UserError


@pytest.fixture
def place(tmp_path):
    """A folder with one image and a table of its score, and CLIVE with one image."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "scores.csv").write_text("image,mos\na.png,1\n")
    root = tmp_path / "ChallengeDB_release"
    (root / "Images").mkdir(parents=True)
    (root / "Data").mkdir()
    Image.new("RGB", (8, 8)).save(root / "Images" / "5.bmp")
    names = np.empty((1, 1), object)
    names[0, 0] = "5.bmp"
    scipy.io.savemat(root / "Data/AllImages_release.mat", {"AllImages_release": names})
    scipy.io.savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": [[50.0]]})
    return tmp_path


def test_what_the_arguments_name(place):
    folder, scores, clive = str(place), str(place / "scores.csv"), str(place / "ChallengeDB_release")
    assert load_images("p.png").images[0].name == "p.png"
    assert load_images(folder=folder).images[0].name == "a.png"
    assert load_images(dataset="CLIVE", folder=clive).images[0].mos == 50
    assert load_images(scores=scores).name == "scores.csv"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "No images are named"),
        ({"dataset": "CLIVE"}, "--img_dir"),
        ({"dataset": "CLIVE", "scores": "scores.csv", "folder": "folder"}, "exclude each other"),
        ({"image": "p.png", "dataset": "CLIVE", "folder": "folder"}, "exclude each other"),
        ({"image": "p.png", "folder": "folder"}, "--img_dir does not go with --test_img_path"),
        ({"folder": "folder", "mos_column": "q"}, "give it with --scores"),
    ],
)
def test_what_they_may_not_name_together(arguments, reason):
    with pytest.raises(UserError, match=reason):
        load_images(**arguments)
