"""Features that are kept: read again, side by side, whatever their images are called."""

import os
from dataclasses import replace

import numpy as np
import pytest
import synthetic_inputs as inputs
from PIL import Image

from configs import Settings
from datasets.rated.sets import unrated_folder
from Evaluation.few_labels.blocks import make_blocks
from Evaluation.few_labels.feature_table import FeatureFile, feature_rows
from Evaluation.grepq import GRepQ


@pytest.fixture(scope="module")
def model():
    return GRepQ(Settings(branch="low", device="cpu"))


@pytest.fixture
def measured(monkeypatch):
    """Names of the images that were measured."""
    names, real = [], GRepQ.measure_images

    def counted(self, images, parts):
        images = list(images)
        names.extend(image.name for image in images)
        return real(self, images, parts)

    monkeypatch.setattr(GRepQ, "measure_images", counted)
    return names


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for k in range(2):
        Image.fromarray(inputs.image_under_test(k)).save(tmp_path / "images" / f"{k}.png")
    return tmp_path / "images"


def test_files_are_filled_one_by_one_and_read_again(model, folder, measured, tmp_path):
    images = unrated_folder(folder).images
    low, patches = make_blocks(model, ("low", "low_patches"))
    files = [FeatureFile(tmp_path / "low.h5", (low,)), FeatureFile(tmp_path / "patches.h5", (patches,))]
    alone = feature_rows(model, images, files[:1])
    both = feature_rows(model, images, files)
    assert len(measured) == 4
    for one, two in zip(alone, both, strict=True):
        np.testing.assert_array_equal(one.features, two.features[:128])
        assert two.features.shape == (384,) and str(two.status) == "ok"
    again = feature_rows(model, images, files)
    assert len(measured) == 4
    np.testing.assert_array_equal(again[1].features, both[1].features)
    # Other weights, and other code: computed anew.
    for changed in (
        replace(low, provenance={**low.provenance, "low_level_sha256": "0" * 64}),
        replace(low, source="0" * 64),
    ):
        feature_rows(model, images, [FeatureFile(files[0].path, (changed,))])
    assert len(measured) == 8


def test_a_part_of_a_set_keeps_the_rows_of_the_others(model, folder, measured, tmp_path):
    """They were thrown away; rows of files that went are."""
    file = FeatureFile(tmp_path / "f.h5", make_blocks(model, ("low",)))
    first, second = unrated_folder(folder).images
    feature_rows(model, (first, second), [file])
    feature_rows(model, (first,), [file])
    assert sorted(row.image for row in file.read().values()) == ["0.png", "1.png"]
    feature_rows(model, (second,), [file])
    assert len(measured) == 2
    first.path.unlink()
    feature_rows(model, (second,), [file])
    assert [row.image for row in file.read().values()] == ["1.png"]


def test_names_that_are_not_utf8_do_not_cost_the_features(model, folder, measured, tmp_path):
    odd = folder / os.fsdecode(b"caf\xe9.png")
    os.link(folder / "0.png", odd)
    images = unrated_folder(folder).images
    file = FeatureFile(tmp_path / "f.h5", make_blocks(model, ("low",)))
    rows = feature_rows(model, images, [file])
    assert any(os.fsencode(row.image) == b"caf\xe9.png" and row.status.ok for row in rows)
    again = feature_rows(model, images, [file])
    assert len(measured) == 3
    assert [row.image for row in again] == [image.name for image in images]


def test_notes_are_kept(model, tmp_path):
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "0.png")
    images = unrated_folder(tmp_path).images
    file = FeatureFile(tmp_path / "f.h5", make_blocks(model, ("low", "low_patches")))
    for _ in range(2):
        (row,) = feature_rows(model, images, [file])
        assert str(row.status) == "ok, enlarged to 96x96, whole image enlarged to 32x32"
