"""python -m tools.rated_sets: the list of rated sets, and the check of a folder."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from datasets.rated.sets import RATED_SETS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def call(run_script):
    return lambda *arguments: run_script("tools.rated_sets", *arguments)


@pytest.fixture
def kadid(tmp_path):
    (tmp_path / "images").mkdir()
    names = [f"I{k // 125 + 1:02d}_{k // 5 % 25 + 1:02d}_{k % 5 + 1:02d}.png" for k in range(10125)]
    rows = [f"{name},{name[:3]}.png,{1 + k % 400 / 100},0.5" for k, name in enumerate(names)]
    (tmp_path / "dmos.csv").write_text("\n".join(["dist_img,ref_img,dmos,var", *rows]))
    Image.new("RGB", (1, 1)).save(tmp_path / "images" / names[0])
    for name in names[1:]:
        (tmp_path / "images" / name).hardlink_to(tmp_path / "images" / names[0])
    return tmp_path


def test_the_list_names_every_set():
    done = subprocess.run(
        [sys.executable, "-m", "tools.rated_sets"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    for row in RATED_SETS.values():
        assert row.citation in done.stdout and row.licence in done.stdout
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines()}
    assert lines["LIVE"] == "779 DMOS -3 to 112 lower by reference content"
    assert lines["KADID-10k"] == "10125 MOS 1 to 5 higher by reference content"
    assert lines["csv"] == "any MOS any higher by image"


def test_check(call, kadid):
    status, out, error = call("kadid", "--img_dir", kadid)
    assert (status, error) == (0, "")
    assert "Images: 10125 named, 10125 there, 0 missing." in out
    assert "Scores: MOS 1 to 4.99 (higher is better; range 1 to 5)." in out
    assert "Split: by reference content. 81 contents." in out
    assert out.endswith("\nComplete.\n")
    (kadid / "images/I01_01_02.png").unlink()
    status, out, _ = call("kadid", "--img_dir", kadid)
    assert status == 1
    assert "10125 named, 10124 there, 1 missing" in out
    assert "1 of 10125 images are missing: I01_01_02.png." in out
    assert out.endswith("\nNot complete.\n")


def test_fewer_scores_than_the_set_has_are_not_complete(call, tmp_path):
    (tmp_path / "dmos.csv").write_text("dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.5,0.5\n")
    Image.new("RGB", (1, 1)).save(tmp_path / "I01_01_01.png")
    status, out, _ = call("KADID-10k", "--img_dir", tmp_path)
    assert (status, "names 1 images, the whole set has 10125" in out) == (1, True)


def test_scores_are_shown_as_published(call, tmp_path):
    lines = ["image,dst_type,dst_lev,dmos", "1600,noise,1,0.25", "1600,noise,2,0.75"]
    (tmp_path / "csiq.DMOS.csv").write_text("\n".join(lines))
    (tmp_path / "dst_imgs/awgn").mkdir(parents=True)
    Image.new("RGB", (1, 1)).save(tmp_path / "dst_imgs/awgn/1600.AWGN.1.png")
    _, out, _ = call("CSIQ", "--img_dir", tmp_path)
    assert "Scores: DMOS 0.25 to 0.75 (lower is better; range 0 to 1)." in out


@pytest.mark.parametrize("arguments, sentence", [
    (["ATLANTIS", "--img_dir", "."], "There is no data set 'ATLANTIS'; known: CLIVE"),
    (["CLIVE", "--img_dir", "gone"], "gone: there is no such folder"),
    (["CLIVE"], "To check a folder, give both"),
    (["--img_dir", "."], "To check a folder, give both"),
    (["--folder", "."], "unrecognized arguments: --folder"),
])  # fmt: skip
def test_wrong_input(call, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    status, out, error = call(*arguments)
    assert (status, out) == (2, "")
    assert sentence in error and error.count("\n") == 1
