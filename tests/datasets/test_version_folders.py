"""Folder-per-image sets: what counts, what is refused, what is drawn."""

import numpy as np
import pytest
import torch
from PIL import Image

from configs import LowLevelTraining
from datasets.annotator_matrices import annotator_matrices, matrices_path
from datasets.fsim import fsim_matrix
from datasets.version_folders import find_version_folders, read_versions
from datasets.version_pairs import ImageOrder, VersionPairs, collate, draw_versions, seeded_generator
from utils.errors import UserError

CPU = torch.device("cpu")


def write_folder(path, names, size=(48, 40), seed=0):
    """Images of `size` (width, height) under `names`."""
    path.mkdir(parents=True)
    generator = np.random.default_rng([seed, *path.name.encode()])
    for name in names:
        pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / name)


@pytest.fixture
def tiny(tmp_path):
    root = tmp_path / "set"
    write_folder(root / "a", ["0_REF.png", "1.png", "2.png"])
    write_folder(root / "b", ["x.bmp", "y.bmp", "z_REF.bmp", "w.bmp", "v.bmp"], (64, 36))
    return root


def test_any_names_and_counts_are_read_in_sorted_order(tiny):
    (tiny / ".half.part").mkdir()
    (tiny / "a" / "Thumbs.db").write_bytes(b"no image")
    folders = find_version_folders(tiny, False, print)
    assert [folder.path.name for folder in folders] == ["a", "b"]
    assert [file.name for file in folders[1].files] == ["v.bmp", "w.bmp", "x.bmp", "y.bmp", "z_REF.bmp"]
    assert [folder.reference for folder in folders] == [0, 4]
    assert read_versions(folders[1], [4, 0]).shape == (2, 3, 36, 64)


def test_ref_counts_in_the_file_name_only(tmp_path):
    write_folder(tmp_path / "REF set" / "aREF", ["1.png", "2.png"])
    assert find_version_folders(tmp_path / "REF set", False, print)[0].reference == 0


def test_a_folder_that_cannot_be_trained_on_is_named(tiny, tmp_path):
    with pytest.raises(UserError, match="synthesize_distortions"):
        find_version_folders(tmp_path / "nowhere", False, print)
    write_folder(tiny / "single", ["1.png"])
    with pytest.raises(UserError, match=r"single: 1 image"):
        find_version_folders(tiny, False, print)
    Image.new("RGB", (48, 41)).save(tiny / "single" / "2.png")
    folders = find_version_folders(tiny, False, print)
    with pytest.raises(
        UserError, match=r"single: versions must have one size, but 2.png is 48 x 41 .* 48 x 40"
    ):
        annotator_matrices(tiny, folders, CPU, progress=False)
    (tiny / "single" / "2.png").write_bytes(b"\x89PNG\r\n broken")
    with pytest.raises(UserError, match=r"single.2\.png"):
        annotator_matrices(tiny, find_version_folders(tiny, False, print), CPU, progress=False)


def test_matrices_are_kept_and_only_what_changed_is_computed_again(tiny, monkeypatch):
    computed = []

    def counted(versions):
        computed.append(len(versions))
        return fsim_matrix(versions)

    monkeypatch.setattr("datasets.annotator_matrices.fsim_matrix", counted)

    def matrices():
        computed.clear()
        return annotator_matrices(tiny, find_version_folders(tiny, False, print), CPU, progress=False)

    first = matrices()
    assert computed == [3, 5]
    versions = read_versions(find_version_folders(tiny, False, print)[0]).float() / 255
    np.testing.assert_allclose(first[0], fsim_matrix(versions), atol=1e-6)
    again = matrices()
    assert computed == []
    np.testing.assert_array_equal(again[1], first[1])
    Image.new("RGB", (48, 40), (9, 9, 9)).save(tiny / "a" / "1.png")  # changed
    matrices()
    assert computed == [3]
    Image.new("RGB", (64, 36)).save(tiny / "b" / "added.bmp")
    assert matrices()[1].shape == (6, 6)
    assert computed == [6]
    (tiny / "a" / "2.png").unlink()
    assert matrices()[0].shape == (2, 2)
    assert computed == [2]
    matrices_path(tiny).write_bytes(b"damaged")
    matrices()
    assert computed == [2, 6]


def test_a_step_draws_the_reference_and_others_anew_each_epoch():
    drawn = [draw_versions(19, 7, 9, seeded_generator(0, epoch)) for epoch in range(40)]
    assert all(7 in places and len(set(places)) == 9 and places == sorted(places) for places in drawn)
    assert len({tuple(places) for places in drawn}) > 30
    assert {place for places in drawn for place in places} == set(range(19))
    assert draw_versions(3, 0, 9, seeded_generator(0)) == [0, 1, 2]


def test_the_same_key_gives_the_same_photograph_and_others_do_not(tiny):
    folders = find_version_folders(tiny, False, print)
    matrices = annotator_matrices(tiny, folders, CPU, progress=False)

    def image(seed, key):
        return VersionPairs(folders, matrices, LowLevelTraining(versions=3, fragment_size=24, seed=seed))[key]

    one = image(0, (2, 1))
    assert one.images.shape == one.augmentations.shape == (3, 3, 24, 24)
    assert torch.equal(one.images, image(0, (2, 1)).images)
    for other in (image(1, (2, 1)), image(0, (3, 1))):
        assert not torch.equal(one.images, other.images)
    batch = collate([image(0, (0, 0)), one])
    assert batch.images.shape == (6, 3, 24, 24)


def test_pieces_grow_after_the_early_epochs_of_each_cycle(tiny):
    folders = find_version_folders(tiny, False, print)
    config = LowLevelTraining(
        versions=3, fragment_size=36, early_fragment_size=24, epochs=6, warm_restarts=1, early_epochs=2
    )
    pairs = VersionPairs(folders, annotator_matrices(tiny, folders, CPU, progress=False), config)
    for view in ("images", "augmentations"):
        assert [getattr(pairs[epoch, 1], view).shape[-1] for epoch in range(6)] == 2 * [24, 24, 36]


def test_similarities_belong_to_the_drawn_versions(tiny):
    folders = find_version_folders(tiny, False, print)
    matrices = annotator_matrices(tiny, folders, CPU, progress=False)
    pairs = VersionPairs(folders, matrices, LowLevelTraining(versions=4, fragment_size=36))
    for epoch in range(3):
        one = pairs[epoch, 1]
        chosen = draw_versions(5, 4, 4, seeded_generator(0, epoch, 1))
        np.testing.assert_array_equal(one.similarity, matrices[1][np.ix_(chosen, chosen)])


def test_the_order_goes_on_where_it_was():
    whole = list(ImageOrder(10, 4, 3, seed=5))
    assert len(whole) == len(ImageOrder(10, 4, 3, seed=5)) == 9
    assert [len(batch) for batch in whole] == [4, 4, 2] * 3
    assert sorted(place for batch in whole[3:6] for _, place in batch) == list(range(10))
    assert whole[:3] != [[(0, place) for _, place in batch] for batch in whole[3:6]]
    for first in range(9):
        assert list(ImageOrder(10, 4, 3, seed=5, first_step=first)) == whole[first:]


def test_all_files_are_looked_at_before_training(tiny):
    """Each bad one is named; left out where asked, with folders that lose their reference."""
    first, second = find_version_folders(tiny, False, print)
    Image.new("RGB", (36, 36)).save(first.path / "zz.png")
    bad = [first.path / "zz.png", second.files[second.reference]]
    for path in bad:
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"2 file\(s\) of the set cannot be .*skip_unreadable=true") as caught:
        find_version_folders(tiny, False, print)
    assert all(str(path) in str(caught.value) for path in bad)
    said = []
    assert find_version_folders(tiny, True, said.append) == [first]
    assert str(bad[0]) in said[0] and f"Left out: {second.path}" in said[1]
