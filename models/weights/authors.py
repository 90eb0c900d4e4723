"""The authors' weights and pristine patches: from their Google Drive folder to where they are used."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import h5py

from configs import Settings
from models.weights.high_level import AUTHORS_HIGH_LEVEL
from models.weights.low_level import AUTHORS_LOW_LEVEL
from utils.errors import UserError
from utils.files import atomic_path, file_sha256

AUTHORS_FOLDER = "https://drive.google.com/drive/folders/1wLpdN6TNezur_0_NF7XgmBMyWcSxH5eX"


def authors_places() -> tuple[Path, ...]:
    """Where the authors' three files belong, under the names that they have in the authors' folder."""
    return AUTHORS_LOW_LEVEL, AUTHORS_HIGH_LEVEL, Path.cwd() / Settings().patches_file


def fetch_authors_files(places: Sequence[Path], say: Callable[[str], object]) -> None:
    """Fetch the files of `places` that are not there yet; say of each that it stays, or its SHA-256.

    The authors publish no checksums: that a file is whole is all that is checked here.

    Raises:
        UserError: gdown is missing or failed, or a file did not come whole; the message says how
            the missing ones are fetched by hand. The others are in place.
        OSError: a place cannot be written.
    """
    for place in places:
        if place.exists():
            say(f"{place}: is there already and stays as it is.")
    missing = [place for place in places if not place.exists()]
    if not missing:
        return
    missing[0].parent.mkdir(parents=True, exist_ok=True)
    # Beside a place, not in /tmp: what came needs the room once, and then only a new name.
    with tempfile.TemporaryDirectory(prefix="authors.", suffix=".part", dir=missing[0].parent) as folder:
        reason = _fetch_folder(folder)
        for place in missing:
            came = [path for path in sorted(Path(folder).rglob(place.name)) if _is_whole(path)]
            if came:
                with atomic_path(place) as part:
                    shutil.move(came[0], part)
                say(f"{place}: fetched, sha256 {file_sha256(place)}")
    missing = [place for place in missing if not place.exists()]
    if missing:
        lines = [f"  {place.name} -> {place}" for place in missing]
        reason = reason or "a file is not in the folder or did not come whole"
        raise UserError(
            "\n".join([f"{reason}; run it again or fetch by hand from {AUTHORS_FOLDER} and copy", *lines])
        )


def _fetch_folder(folder: str) -> str:
    """Fill `folder` with all that is in the authors'; what went wrong, "" where nothing did."""
    try:
        import gdown
    except ImportError:
        return "gdown, which reads Google Drive, is not installed (pip install gdown)"
    try:
        with redirect_stdout(sys.stderr):  # it reports each step; only results belong on standard output
            came = gdown.download_folder(AUTHORS_FOLDER, output=folder, quiet=False)
    except (Exception, SystemExit) as error:  # it lets through whatever requests, bs4 and itself raise
        return f"gdown failed ({(str(error).strip() or type(error).__name__).splitlines()[0]})"
    return "" if came else "gdown could not fetch the folder"


def _is_whole(path: Path) -> bool:
    """Whether a file that came is not a web page (quota, consent) and not cut; its reader checks the rest."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if path.suffix == ".hdf5":
        try:
            h5py.File(path, "r").close()
        except OSError:
            return False
    if head.startswith(b"PK"):  # as torch saves; the directory of the archive is at its end
        return zipfile.is_zipfile(path)
    return head != b"" and not head.startswith(b"<")
