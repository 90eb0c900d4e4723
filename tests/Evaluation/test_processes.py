"""Several processes give the rows of one, in its order, and a lost one is told."""

import os
import signal

import pytest
from PIL import Image

from configs import Settings
from Evaluation import processes
from Evaluation.grepq import GRepQ
from Evaluation.processes import threads_each
from utils.errors import UserError

CPU = Settings(branch="low", device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sample = Image.open("samples/coffee.jpg")
    paths = [folder / f"{k:02}.jpg" for k in range(11)]
    for k, path in enumerate(paths):
        sample.resize((130 + 7 * k, 150 - 5 * k)).save(path, quality=40 + 5 * k)
    paths[4].write_bytes(b"no image")
    return paths


def test_two_processes_give_the_rows_of_one(images, monkeypatch):
    monkeypatch.setattr(processes, "SOME", 3)
    one, two = (list(GRepQ(Settings(branch="low", device="cpu", jobs=jobs)).score_images(images))
                for jobs in (1, 2))  # fmt: skip
    assert [row.image for row in two] == [str(path) for path in images]
    for row, other in zip(one, two, strict=True):
        assert (row.width, row.height, row.status) == (other.width, other.height, other.status)
        assert row.q_low is None or other.q_low == pytest.approx(row.q_low, rel=1e-6)
    assert [row.q_low is None for row in two] == [k == 4 for k in range(11)]


def test_an_image_has_the_same_row_in_any_company(images):
    model = GRepQ(CPU)
    rows = [row for row in model.score_images(images) if row.status.ok]
    for row in rows:
        assert model.score(row.image).q_low == pytest.approx(row.q_low, rel=1e-6)


def _die(images, parts):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_was_killed_is_told(images, monkeypatch):
    monkeypatch.setattr(processes, "_measure", _die)
    with pytest.raises(UserError, match="One of the 2 processes ended before its work did"):
        list(GRepQ(Settings(branch="low", device="cpu", jobs=2)).score_images(images))


def test_processes_share_the_cores():
    cores = threads_each(1)
    assert threads_each(2) == max(1, cores // 2)
    assert threads_each(10 * cores) == 1
