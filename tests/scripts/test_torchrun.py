"""Scores and features by two processes of torchrun: the rows of one; a lost process is told."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from Evaluation.collection import table

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sample = Image.open(ROOT / "samples" / "coffee.jpg")
    for k in range(11):
        sample.resize((100 + 7 * k, 150 - 5 * k)).save(folder / f"{k:02}.jpg", quality=40 + 5 * k)
    (folder / "04.jpg").write_bytes(b"no image")
    return folder


def start(launcher, script, *arguments):
    call = [sys.executable, *launcher, ROOT / script, "--branch", "low", "--device", "cpu", *arguments]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_give_the_rows_of_one(images, tmp_path):
    tables = []
    for name, launcher in (("one", ()), ("two", TORCHRUN)):
        output = tmp_path / f"{name}.csv"
        process = start(launcher, "test_zeroshot.py", "--img_dir", images, "--output", output)
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 1, errors  # one is no image
        assert printed.count("Protocol: ") == 1 and errors.count("Not scored: 04.jpg") == 1
        tables.append(list(csv.DictReader(output.open())))
    for row, other in zip(*tables, strict=True):
        for key, value in row.items():
            if key == "q_low" and value:
                assert float(other[key]) == pytest.approx(float(value), rel=1e-6)
            else:
                assert other[key] == value


def lose_a_process(folder, *call):
    """What two processes said of 200 images when one was killed after the first block."""
    folder.mkdir()
    for k in range(200):
        os.link(ROOT / "samples" / "coffee.jpg", folder / f"{k:03}.jpg")
    process = start(TORCHRUN, *call)
    seen = ""
    while "17/200" not in seen:  # the first block of both is done, and the next is begun
        byte = process.stderr.read(1)
        assert byte, seen
        seen += byte
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    return errors


in_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")


@in_proc
def test_a_collection_goes_on_where_a_process_was_lost(tmp_path):
    folder, output = tmp_path / "images", tmp_path / "scores.csv"
    errors = lose_a_process(folder, "score_images.py", folder, "--output", output)
    assert f"of 200 rows are in {output}; the same command goes on." in errors
    _, kept = table.read(output)
    assert 16 <= len(kept) < 200
    for path in sorted(folder.iterdir())[len(kept) + 5 :]:
        path.unlink()
    process = start((), "score_images.py", folder, "--output", output)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and f"{len(kept)} of {len(kept) + 5} images have a score" in errors
    _, rows = table.read(output)
    assert [Path(row.image).stem for row in rows] == [f"{k:03}" for k in range(len(kept) + 5)]
    assert [row.score for row in rows] == pytest.approx([rows[0].score] * len(rows), rel=1e-6)


@in_proc
def test_a_lost_process_ends_the_run_and_the_next_goes_on(tmp_path):
    folder, output = tmp_path / "images", tmp_path / "f.npy"
    call = ("get_concatenated_features.py", "--img_dir", folder, "--output", output)
    errors = lose_a_process(folder, *call)
    assert "of 200 are kept; the same command goes on." in errors
    with h5py.File(output.with_suffix(".h5")) as file:
        kept = len(file["image"])
    assert 16 <= kept < 200
    for path in sorted(folder.iterdir())[kept + 10 :]:
        path.unlink()  # ten are enough to see it go on
    process = start((), *call)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and "10/10" in errors, errors
    features = np.load(output)
    assert features.shape == (kept + 10, 128)
    np.testing.assert_allclose(features, features[:1].repeat(kept + 10, 0), rtol=1e-4, atol=1e-4)


def test_a_second_signal_does_not_interrupt_what_the_first_made_it_write(tmp_path):
    script = (
        "import os, signal\n"
        "from Evaluation import ranks\n"
        "ranks.end_by_one_signal()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('kept')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\n", "")
