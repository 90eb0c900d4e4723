"""Splits: disjoint, by content, seeded, nested, and given back by their file exactly."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs import FewLabels
from datasets.rated.sets import RatedImage
from Evaluation.few_labels.splits import check_names, draw_splits, read_splits, write_splits
from utils.errors import UserError

PICTURES = [RatedImage(f"{k:03}.png", Path()) for k in range(100)]
CONTENTS = [RatedImage(f"{k:03}.png", Path(), reference=f"r{k % 17}") for k in range(100)]
SETTINGS = FewLabels(n_labels=(5, 10), splits=4)


def test_published_tests_on_a_fifth_that_is_never_labelled():
    for split in draw_splits("set", PICTURES, SETTINGS).splits:
        assert (len(split.pool), len(split.test)) == (80, 20)
        assert {*split.pool, *split.test} == {image.name for image in PICTURES}
        assert split.tested(5) == split.tested(10) == split.test


def test_contents_are_on_one_side():
    drawn = draw_splits("set", CONTENTS, SETTINGS)
    content = {image.name: image.reference for image in CONTENTS}
    for split in drawn.splits:
        tested = {content[name] for name in split.test}
        assert tested.isdisjoint(content[name] for name in split.pool)
        assert len(tested) == 3  # a fifth of 17, rounded
        assert len(split.pool) + len(split.test) == 100
    assert "contents, none on both sides" in drawn.rule
    # An image without a reference among others with one is a content of its own.
    mixed = [*CONTENTS[:50], *(replace(image, reference=None) for image in CONTENTS[50:])]
    split = draw_splits("set", mixed, SETTINGS).splits[0]
    assert len(split.test) > 5 and len(split.pool) + len(split.test) == 100


def test_the_first_labels_are_among_the_next_and_in_random_order():
    split = draw_splits("set", PICTURES, SETTINGS).splits[0]
    assert split.labelled(10)[:5] == split.labelled(5)
    assert list(split.pool) != sorted(split.pool)


def test_a_split_depends_on_seed_and_number_alone():
    four = draw_splits("set", PICTURES, SETTINGS).splits
    assert draw_splits("set", PICTURES[::-1], replace(SETTINGS, splits=9)).splits[:4] == four
    assert len({split.sha256 for split in four}) == 4
    other = draw_splits("set", PICTURES, replace(SETTINGS, seed=1)).splits
    assert {split.sha256 for split in other}.isdisjoint(split.sha256 for split in four)
    # Pinned: a later version must draw the same, or a paper's splits are lost.
    assert four[0].labelled(5) == PINNED


PINNED = ("098.png", "067.png", "074.png", "034.png", "062.png")


def test_rest_tests_on_all_others():
    drawn = draw_splits("set", PICTURES, replace(SETTINGS, protocol="rest"))
    split = drawn.splits[0]
    assert len(split.tested(5)) == 95 and len(split.tested(10)) == 90
    assert set(split.tested(5)).isdisjoint(split.labelled(5))
    assert "every image that was not labelled" in drawn.rule
    shared = draw_splits("set", CONTENTS, replace(SETTINGS, protocol="rest"))
    assert "of whose contents some were" in shared.rule


def test_official_parts_are_used_when_asked_for():
    parts = [
        replace(image, split=("train", "validation", "test", None)[k % 4]) for k, image in enumerate(PICTURES)
    ]
    split = draw_splits("set", parts, replace(SETTINGS, protocol="official")).splits[0]
    known = {image.name: image.split for image in parts}
    assert {known[name] for name in split.test} == {"test"}
    assert {known[name] for name in split.pool} == {"train", "validation"}
    assert "the official parts are not used" in draw_splits("set", parts, SETTINGS).rule
    with pytest.raises(UserError, match="no official training and test part"):
        draw_splits("set", PICTURES, replace(SETTINGS, protocol="official"))


def test_too_few_pictures():
    split = draw_splits("set", PICTURES[:10], SETTINGS).splits[0]
    with pytest.raises(UserError, match="--n_labels 9: split 0 has 8 images to label"):
        split.labelled(9)
    with pytest.raises(UserError, match="leaves fewer than 3 images to test on"):
        split.labelled(5)
    with pytest.raises(UserError, match="all images are of one content"):
        draw_splits("set", [replace(image, reference="r") for image in PICTURES], SETTINGS)


@pytest.mark.parametrize("protocol", ["published", "rest"])
def test_the_file_gives_the_splits_back(tmp_path, protocol):
    drawn = draw_splits("set", CONTENTS, replace(SETTINGS, protocol=protocol))
    write_splits(tmp_path / "s.json", drawn)
    again = read_splits(tmp_path / "s.json")
    assert again == replace(drawn, source=str(tmp_path / "s.json"))
    check_names(again, [image.name for image in CONTENTS], "set")
    with pytest.raises(UserError, match=r"2 of its images are not .* set .*: 003.png, 050.png"):
        check_names(again, [p.name for p in CONTENTS if p.name not in ("003.png", "050.png")], "set")


def test_a_file_that_is_no_split_file_is_a_sentence(tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(UserError, match="no readable split file"):
        read_splits(path)
    for text in ("[]", '{"kind": "few_labels"}'):
        path.write_text(text)
        with pytest.raises(UserError, match="is no split file"):
            read_splits(path)
    write_splits(path, draw_splits("set", PICTURES, SETTINGS))
    content = json.loads(path.read_text())
    content["splits"][1]["pool"][0] = "another.png"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the names of split 1 are not those of its sha256"):
        read_splits(path)
    del content["splits"][0]["test"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="no split file of this version"):
        read_splits(path)
