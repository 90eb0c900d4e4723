"""The clip package: its table read rightly (that it is quiet is tested by the script's standard error)."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from models.weights import clip as module
from models.weights.clip import clip_cache_path, clip_source, fetch_clip, find_clip, import_clip
from utils import cli
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


def test_where_clip_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path, reason = find_clip("RN50")
    assert path is None and "python -m tools.download_weights clip" in reason
    cached = clip_cache_path("RN50")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"another file")
    with pytest.raises(UserError, match=r"RN50\.pt: is not the file of http.*tools\.download_weights clip"):
        find_clip("RN50")
    right = hashlib.sha256(b"another file").hexdigest()
    monkeypatch.setattr(module, "clip_source", lambda _: ("https://x/RN50.pt", right))
    assert find_clip("RN50") == (cached, "")
    for name in ("variable.pt", "named.pt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("GREPQ_CLIP_WEIGHTS", str(tmp_path / "variable.pt"))
    assert find_clip("RN50")[0].name == "variable.pt"
    assert find_clip("RN50", str(tmp_path / "named.pt"))[0].name == "named.pt"
    with pytest.raises(UserError, match=r"gone\.pt: there is no such file"):
        find_clip("RN50", "gone.pt")


def test_an_installed_copy_names_no_tool_that_it_has_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GREPQ_CLIP_WEIGHTS", raising=False)
    monkeypatch.setattr(cli, "program", "grepq score")
    remedy = "name OpenAI's RN50.pt with --clip_weights FILE or GREPQ_CLIP_WEIGHTS"
    assert find_clip("RN50") == (None, f"There are no CLIP weights: {remedy}")
    cached = clip_cache_path("RN50")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"another file")
    with pytest.raises(UserError, match=f"is not the file of http.*; {remedy}.$"):
        find_clip("RN50")


def test_without_the_package_there_is_none_and_why(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "clip", None)
    monkeypatch.setenv("GREPQ_CLIP_WEIGHTS", str(tmp_path / "variable.pt"))
    (tmp_path / "variable.pt").touch()
    assert find_clip("RN50") == (None, "CLIP's package cannot be imported: pip install -r requirements.txt")


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A file that serves as RN50's weights, at a file: address; the home folder is elsewhere."""
    source = tmp_path / "source.pt"
    source.write_bytes(b"weights" * 1000)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    right = {"url": source.as_uri(), "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}

    def source_of(**wrong):
        told = right | wrong
        monkeypatch.setattr(module, "clip_source", lambda _: (told["url"], told["sha256"]))

    source_of()
    return source_of


def test_what_is_fetched_is_there_whole_and_once(served, monkeypatch):
    said = []
    path = fetch_clip("RN50", said.append)
    assert path == clip_cache_path("RN50") and path.read_bytes() == b"weights" * 1000
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("fetched again"))
    fetch_clip("RN50", said.append)
    assert said[0].startswith(f"{path}: fetched, sha256 ") and "nothing was fetched" in said[1]


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"url": "file:///gone/RN50.pt"}])
def test_what_comes_wrong_or_not_at_all_leaves_nothing_and_says_the_way_by_hand(served, wrong):
    served(**wrong)
    with pytest.raises(UserError, match=r"could not be fetched \(.*by hand to .*RN50\.pt.*--clip_weights"):
        fetch_clip("RN50", print)
    assert list(clip_cache_path("RN50").parent.iterdir()) == []
