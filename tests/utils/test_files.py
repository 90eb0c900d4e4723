"""A file is there whole or as it was."""

import hashlib
from pathlib import Path

import pytest

from utils.files import atomic_path, file_sha256, source_sha256


def test_what_was_written_takes_the_place(tmp_path):
    with atomic_path(tmp_path / "a.txt") as part:
        part.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_file_that_did_not_change_is_hashed_once(tmp_path, monkeypatch):
    path, opened = tmp_path / "large.pt", []
    path.write_bytes(b"CLIP")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self) or real(self, *a, **k))
    assert file_sha256(path) == file_sha256(str(path)) == hashlib.sha256(b"CLIP").hexdigest()
    assert len(opened) == 1
    path.write_bytes(b"CLIP, longer")
    assert file_sha256(path) == hashlib.sha256(b"CLIP, longer").hexdigest()
    both = source_sha256(path, path)
    path.write_bytes(b"other code..")
    assert source_sha256(path, path) != both
