"""What the arguments of a score name, and what they may not name together."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from Evaluation.protocol import load_pictures
from utils.errors import UserError


@pytest.fixture
def place(tmp_path):
    """A folder with one picture and a table of its score, and CLIVE with one picture."""
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
    assert load_pictures(None, "p.png", None, None, None).images[0].name == "p.png"
    assert load_pictures("zeroshot_single_img", "p.png", None, None, None).images[0].name == "p.png"
    assert load_pictures("zeroshot", None, None, None, folder).images[0].name == "a.png"
    assert load_pictures(None, None, "CLIVE", None, clive).images[0].mos == 50
    assert load_pictures("zeroshot", None, None, scores, None).name == "scores.csv"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("zeroshot_single_img", None, None, None, None), "needs a picture: name it with --test_img_path"),
        ((None, None, None, None, None), "Nothing to score"),
        ((None, None, "CLIVE", None, None), "--img_dir"),
        ((None, None, "CLIVE", "scores.csv", "folder"), "exclude each other"),
        ((None, "p.png", "CLIVE", None, "folder"), "exclude each other"),
        (
            ("zeroshot", "p.png", None, None, None),
            "--test_img_path goes with --eval_type",
        ),
        ((None, "p.png", None, None, "folder"), "--img_dir does not go with --test_img_path"),
    ],
)
def test_what_they_may_not_name_together(arguments, reason):
    with pytest.raises(UserError, match=reason):
        load_pictures(*arguments)
