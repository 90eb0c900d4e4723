"""The clip package: its table read rightly (that it is quiet is tested by the script's standard error)."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from models.weights.clip import clip_cache_path, clip_source, import_clip
from utils.errors import UserError

RESNETS = "RN50, RN101, RN50x4, RN50x16, RN50x64"


def test_every_resnet_has_an_address_a_checksum_and_a_place(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in RESNETS.split(", "):
        url, sha256 = clip_source(name)
        assert url.startswith("https://")
        assert len(sha256) == 64
        assert int(sha256, 16)
        assert clip_cache_path(name) == tmp_path / ".cache/clip" / f"{name}.pt"
    assert clip_source("RN50")[1][:12] == "afeb0e10f9e5"


@pytest.mark.parametrize("name", ["ViT-B/32", "RN5", ""])
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match=f"^{name}: not one of CLIP's ResNets, which are {RESNETS}.$"):
        clip_source(name)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(UserError, match=r"pip install -r requirements\.txt$"):
        import_clip()


def test_another_package_of_that_name_is_refused(monkeypatch):
    other = ModuleType("clip")
    other.__file__ = str(Path("elsewhere") / "clip.py")
    monkeypatch.setitem(sys.modules, "clip", other)
    with pytest.raises(UserError, match="another package is named clip"):
        import_clip()
