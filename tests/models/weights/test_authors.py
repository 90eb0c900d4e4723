"""The authors' files by a gdown that is absent, fails, or gives more or less than what is needed."""

import hashlib
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

from models.weights.authors import AUTHORS_FOLDER, authors_places, fetch_authors_files
from utils.errors import UserError

LOW, HIGH, PATCHES = (
    "low_level_model_weights.tar",
    "high_level_model_weights.pth",
    "pristine_patches_096_0.75_0.80.hdf5",
)


def fill(folder: Path, names=(LOW, HIGH, PATCHES)):
    """A folder as gdown leaves it: the files at various depths, and one that nobody needs."""
    for depth, name in enumerate(names):
        place = folder.joinpath(*["below"] * depth, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if name == PATCHES:
            with h5py.File(place, "w") as file:
                file["data"] = [1.0]
        else:
            with zipfile.ZipFile(place, "w") as archive:
                archive.writestr("data", name)
    (folder / "README.txt").write_text("hello")


@pytest.fixture
def places(tmp_path):
    return tmp_path / "weights" / LOW, tmp_path / "weights" / HIGH, tmp_path / PATCHES


@pytest.fixture
def gdown(monkeypatch):
    """Install a function as gdown.download_folder; the fixture's list holds what it was called with."""

    def install(act, result=("a path",)):
        def download_folder(url, *, output, quiet):
            calls.append((url, output, quiet))
            print("Processing file")
            act(Path(output))
            return list(result) if result is not None else None

        calls: list[tuple[str, str, bool]] = []
        monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download_folder=download_folder))
        return calls

    return install


def left(tmp_path):
    return {path.name for path in tmp_path.rglob("*") if path.is_file()}


def test_the_places_are_where_the_authors_readme_puts_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    root = Path(__file__).resolve().parents[3]
    weights = root / "Evaluation/pretrained_weights"
    assert authors_places() == (weights / LOW, weights / HIGH, tmp_path / PATCHES)


def test_the_three_files_find_their_places(places, gdown, tmp_path, capsys):
    calls, said = gdown(fill), []
    fetch_authors_files(places, said.append)
    assert said == [f"{place}: fetched, sha256 {hashlib.sha256(place.read_bytes()).hexdigest()}"
                    for place in places]  # fmt: skip
    assert left(tmp_path) == {LOW, HIGH, PATCHES}
    [(url, output, quiet)] = calls
    assert (url, quiet) == (AUTHORS_FOLDER, False)
    assert Path(output).parent == places[0].parent
    assert not Path(output).exists()
    assert capsys.readouterr().out == ""


def test_a_file_that_is_there_stays(places, gdown):
    places[0].parent.mkdir()
    places[0].write_bytes(b"mine")
    calls, said = gdown(fill), []
    fetch_authors_files(places, said.append)
    assert places[0].read_bytes() == b"mine"
    assert said[0] == f"{places[0]}: is there already and stays as it is."
    fetch_authors_files(places, said.append)
    assert len(calls) == 1  # with all three there, nobody is asked


def fail(places, gone):
    """Fetch, expecting failure: the reason, having checked that exactly the files of `gone` are listed."""
    with pytest.raises(UserError) as caught:
        fetch_authors_files(places, list)
    head, *lines = str(caught.value).splitlines()
    assert lines == [f"  {place.name} -> {place}" for place in gone]
    assert AUTHORS_FOLDER in head
    return head


def test_without_gdown_the_way_by_hand_is_told(places, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gdown", None)
    assert "pip install gdown" in fail(places, places)
    assert left(tmp_path) == set()


def broken(error):
    def act(folder):
        raise error

    return act


@pytest.mark.parametrize("error", [RuntimeError("Too many users\nhave viewed"), SystemExit(1), OSError()])
def test_a_failing_gdown_is_a_sentence(places, gdown, error):
    gdown(broken(error))
    reason = "Too many users" if "users" in str(error) else str(error) or "OSError"
    assert fail(places, places).startswith(f"gdown failed ({reason}); run it again or fetch by hand from")


def test_what_came_before_a_failure_is_used(places, gdown, tmp_path):
    gdown(lambda folder: fill(folder, [HIGH]), result=None)
    assert fail(places, [places[0], places[2]]).startswith("gdown could not fetch the folder; ")
    assert left(tmp_path) == {HIGH}


def test_a_folder_without_one_of_them(places, gdown, tmp_path):
    gdown(lambda folder: fill(folder, [LOW, PATCHES]))
    assert fail(places, [places[1]]).startswith("a file is not in the folder or did not come whole; ")
    assert left(tmp_path) == {LOW, PATCHES}


def spoil(name, change):
    def act(folder):
        fill(folder)
        path = next(folder.rglob(name))
        path.write_bytes(change(path.read_bytes()))

    return act


@pytest.mark.parametrize("change", [lambda _: b"", lambda _: b"\n<!DOCTYPE html>", lambda whole: whole[:-30]],
                         ids=["empty", "page", "cut"])  # fmt: skip
@pytest.mark.parametrize("which", [0, 2])
def test_a_file_that_is_not_whole_is_not_put_in_place(places, gdown, which, change, tmp_path):
    gdown(spoil(places[which].name, change))
    fail(places, [places[which]])
    assert left(tmp_path) == {LOW, HIGH, PATCHES} - {places[which].name}


def test_an_interruption_leaves_nothing(places, gdown, tmp_path):
    gdown(broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        fetch_authors_files(places, list)
    assert left(tmp_path) == set()
