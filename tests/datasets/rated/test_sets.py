"""Rated sets in their native layouts, in miniature, and tables of scores."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets.rated.sets import (
    RatedImage,
    RatedSet,
    load_rated_set,
    load_scores_table,
    shortfall,
    unrated_folder,
)
from utils.errors import UserError

NAMES = [f"t{n}.bmp" for n in range(1, 8)] + ["100.bmp", "101.bmp", "1024.JPG", "1113.JPG", "3.JPG", "10.bmp"]
SCORES = np.linspace(3.42, 92.43, len(NAMES))


def cells(names):
    """An (n, 1) cell array of character arrays, as MATLAB writes it."""
    array = np.empty((len(names), 1), object)
    array[:, 0] = names
    return array


def write_scores(root, names=NAMES, scores=SCORES):
    (root / "Data").mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / "Data/AllImages_release.mat", {"AllImages_release": cells(names)})
    scipy.io.savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": np.asarray(scores)[None]})


@pytest.fixture
def clive(tmp_path):
    root = tmp_path / "downloads/ChallengeDB_release"
    write_scores(root)
    (root / "Images/trainingImages").mkdir(parents=True)
    for name in NAMES:
        place = "trainingImages" if name.startswith("t") else "."
        Image.new("RGB", (8, 6)).save(root / "Images" / place / name)
    return root


def test_clive(clive):
    rated = load_rated_set("CLIVE", clive)
    assert rated.name == "CLIVE"
    assert [image.name for image in rated.images] == NAMES[7:]
    assert [image.mos for image in rated.images] == pytest.approx(SCORES[7:])
    assert all(image.path.is_file() for image in rated.images)
    assert [image.size for image in rated.images] == [None, None, (500, 500), (500, 500), None, None]
    assert (rated.missing, rated.expected) == ((), 1162)
    assert shortfall(rated) == ["The score file of CLIVE names 6 images, the whole set has 1162."]


@pytest.mark.parametrize("folder", [".", "Images", "..", "../.."])
def test_root_is_found_from_nearby(clive, folder):
    assert len(load_rated_set("clive", (clive / folder).resolve()).images) == 6


def test_images_folder_as_working_directory(clive, monkeypatch):
    monkeypatch.chdir(clive / "Images")
    assert len(load_rated_set("CLIVE", ".").images) == 6


def test_names_match_in_any_case(clive):
    (clive / "Images/100.bmp").rename(clive / "Images/100.BMP")
    (clive / "Images/1024.JPG").rename(clive / "Images/1024.jpg")
    rated = load_rated_set("CLIVE", clive)
    assert rated.missing == ()
    assert rated.images[0].path.name == "100.BMP"
    assert rated.images[2].size == (500, 500)


def test_two_copies_of_a_set_are_not_guessed_between(clive):
    shutil.copytree(clive, clive.parent / "copy")
    with pytest.raises(UserError, match="holds CLIVE several times; name one of them: "):
        load_rated_set("CLIVE", clive.parent)
    assert load_rated_set("CLIVE", clive.parent / "copy").scores.parts[-3] == "copy"


def test_a_folder_without_the_pictures_is_passed_over_aloud(clive):
    assert load_rated_set("CLIVE", clive / "Images").remarks == ()
    assert load_rated_set("CLIVE", clive.parent).remarks == ()
    rated = load_rated_set("CLIVE", clive / "Data")
    assert rated.missing == ()
    assert rated.remarks == (
        f"{clive / 'Data'} holds no image of CLIVE; they are taken from {clive / 'Images'}.",
    )


def test_pictures_in_a_folder_of_another_name(clive):
    (clive / "Images").rename(clive / "mine")
    assert load_rated_set("CLIVE", clive / "mine").missing == ()
    with pytest.raises(UserError, match=r"looked in .*; it holds Data, mine\."):
        load_rated_set("CLIVE", clive)


def test_scores_out_of_range_are_remarked(clive):
    write_scores(clive, scores=[*SCORES[:-1], 100.5])
    (remark,) = load_rated_set("CLIVE", clive).remarks
    assert remark.startswith("1 of 6 scores lie outside the range of CLIVE, 0 to 100: ")
    assert "AllMOS_release.mat entry 13 has 100.5" in remark


def test_missing_pictures_are_named(clive):
    (clive / "Images/3.JPG").unlink()
    (clive / "Images/10.bmp").unlink()
    rated = load_rated_set("CLIVE", clive)
    assert rated.missing == ("3.JPG", "10.bmp")
    assert len(rated.images) == 6
    assert shortfall(rated)[0] == "2 of 6 images are missing: 3.JPG, 10.bmp."


def test_no_picture_at_all(clive):
    shutil.rmtree(clive / "Images")
    with pytest.raises(UserError, match="none of the 6 images of CLIVE is there"):
        load_rated_set("CLIVE", clive)


def test_unknown_name_and_place(tmp_path):
    with pytest.raises(UserError, match="no data set 'ATLANTIS'; known: CLIVE, KonIQ-10k, SPAQ"):
        load_rated_set("ATLANTIS", tmp_path)
    with pytest.raises(UserError, match=r"no Data/AllMOS_release\.mat of CLIVE .* it holds nothing"):
        load_rated_set("CLIVE", tmp_path)
    (tmp_path / "cats").mkdir()
    with pytest.raises(UserError, match=r"no dmos\.csv of KADID-10k .* it holds cats\."):
        load_rated_set("KADID", tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        load_rated_set("CLIVE", tmp_path / "gone")


@pytest.mark.parametrize("names, scores, reason", [
    (NAMES, SCORES[:-1], "13 names in AllImages_release.mat but 12 scores"),
    (NAMES, [*SCORES[:-1], np.nan], "entry 13 of 'AllMOS_release' is nan, not a finite number"),
    ([*NAMES[:-1], "100.BMP"], SCORES, "entry 13: '100.BMP' is there twice, first in entry 8"),
])  # fmt: skip
def test_wrong_score_file(clive, names, scores, reason):
    write_scores(clive, names, scores)
    with pytest.raises(UserError, match=reason):
        load_rated_set("CLIVE", clive)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 40])
def test_damaged_score_file(clive, content):
    (clive / "Data/AllMOS_release.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"AllMOS_release\.mat: is not a readable MATLAB file"):
        load_rated_set("CLIVE", clive)


@pytest.mark.parametrize("keep", [130, 200, -9])
def test_truncated_score_file(clive, keep):
    path = clive / "Data/AllImages_release.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"AllImages_release\.mat"):
        load_rated_set("CLIVE", clive)


def test_score_file_with_another_variable(clive):
    scipy.io.savemat(clive / "Data/AllMOS_release.mat", {"mos": [1]})
    with pytest.raises(UserError, match="holds no variable 'AllMOS_release'"):
        load_rated_set("CLIVE", clive)


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.JPG", "sub/c.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def table(folder, text, encoding="utf-8"):
    (folder / "scores.csv").write_bytes(text.encode(encoding))
    return folder / "scores.csv"


def test_table(pictures):
    rated = load_scores_table(
        table(pictures, "\ufeffsplit, MOS ,image\r\ntest,1.5,a.png\r\n\r\ntest,-2e1,sub/c.png\r\n")
    )
    assert [(image.name, image.mos, image.size) for image in rated.images] == [
        ("a.png", 1.5, None), ("sub/c.png", -20.0, None),
    ]  # fmt: skip
    assert all(image.path.is_file() for image in rated.images)
    assert (rated.name, rated.expected, rated.missing, shortfall(rated)) == ("scores.csv", None, (), [])


def test_table_with_another_folder(pictures, tmp_path_factory):
    elsewhere = table(tmp_path_factory.mktemp("tables"), "image,mos\nb.jpg,3\nSUB/c.png,4\n")
    rated = load_scores_table(elsewhere, pictures)
    assert rated.images[0].path == pictures / "b.JPG"
    # Folders match in any case too.
    assert rated.images[1].path == pictures / "sub/c.png"
    assert rated.missing == ()


def test_a_name_in_the_right_case_goes_first(pictures):
    Image.new("RGB", (5, 5)).save(pictures / "A.png")
    rated = load_scores_table(table(pictures, "image,mos\na.png,1\nA.png,2\n"))
    assert [image.path.name for image in rated.images] == ["a.png", "A.png"]


def test_contents_and_official_parts_of_a_table(pictures):
    text = "image,mos,reference,split\na.png,1,sea,training\nb.JPG,2,sea,VAL\nsub/c.png,3,,\n"
    rated = load_scores_table(table(pictures, text))
    assert [(image.reference, image.split) for image in rated.images] == [
        ("sea", "train"), ("sea", "validation"), (None, None),
    ]  # fmt: skip
    assert (rated.kind, rated.native_range, rated.split_rule) == ("MOS", None, "official")
    by_content = table(pictures, "image,mos,reference\na.png,1,sea\n")
    assert load_scores_table(by_content).split_rule == "reference"


def test_a_table_as_a_set(pictures):
    table(pictures, "image,mos\na.png,1\n")
    rated = load_rated_set("csv", pictures)
    assert (rated.name, rated.images[0].mos, shortfall(rated)) == ("scores.csv", 1.0, [])
    (pictures / "other.csv").write_text("image,mos\n")
    with pytest.raises(UserError, match=r"scores of csv: other\.csv, scores\.csv; keep one .* --scores"):
        load_rated_set("csv", pictures)


def test_the_scale_of_the_scores_in_words():
    rated = (RatedImage("a.png", Path("a.png"), -12.0),)
    assert (
        RatedSet("LIVE", rated, kind="DMOS", native_range=(0, 111.5)).scale == "DMOS in [0, 111.5], negated"
    )
    assert RatedSet("CLIVE", rated, native_range=(0, 100)).scale == "MOS in [0, 100]"
    assert RatedSet("t.csv", rated).scale == "MOS"
    assert RatedSet("folder", (RatedImage("a.png", Path("a.png")),)).scale == ""


def test_absolute_paths(pictures, tmp_path_factory):
    text = f"image,mos\n{pictures / 'a.png'},3\n"
    rated = load_scores_table(table(tmp_path_factory.mktemp("tables"), text))
    assert rated.images[0].path == pictures / "a.png"


@pytest.mark.parametrize("text, reason", [
    ("", "line 1: expected one column 'image', found "),
    ("title,mos\na.png,1\n", "line 1: expected one column 'image', found title, mos"),
    ("image,points\na.png,1\n", "line 1: expected one column 'mos'"),
    ("image,mos,mos\na.png,1,2\n", "line 1: expected one column 'mos'"),
    ("image,mos\n", "has no line with a score"),
    ("image,mos\na.png,good\n", "line 2: mos 'good' is not a finite number"),
    ("image,mos\na.png,nan\n", "line 2: mos 'nan' is not a finite number"),
    ("image,mos\na.png,\n", "line 2: mos '' is not a finite number"),
    ("image,mos\n\nb.jpg,1\n,2\n", "line 4: the column 'image' is empty"),
    ("image,mos\na.png,1\nb.jpg,2\na.png,3\n", "line 4: 'a.png' is there twice, first in line 2"),
    ("image,mos\na.png,1,2\n", "line 2: has 3 cells, the header has 2"),
    ("image,mos\na.png,1\n./a.png,1\n", "line 3: './a.png' is there twice"),
    ("image,mos,split\na.png,1,holdout\n", "line 2: split 'holdout' is none of train, training, val"),
    ("image,mos,split,split\na.png,1,test,train\n", "line 1: expected one column 'split'"),
    ("image,mos\ngone.png,1\n", "none of the 1 images of scores.csv is there"),
])  # fmt: skip
def test_wrong_table(pictures, text, reason):
    with pytest.raises(UserError, match=reason):
        load_scores_table(table(pictures, text))


def test_table_that_is_no_text(pictures):
    with pytest.raises(UserError, match="is not a readable CSV file in UTF-8"):
        load_scores_table(table(pictures, "image,mos\n\u00e4.png,1\n", "latin-1"))
    with pytest.raises(UserError, match="is not a readable CSV file"):
        load_scores_table(pictures / "gone.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"image,mos\n" + content)
    with pytest.raises(UserError):
        load_scores_table(path)


def test_folder(pictures):
    rated = unrated_folder(pictures)
    assert [(image.name, image.mos) for image in rated.images] == [("a.png", None), ("b.JPG", None)]
