"""Scores by workers of Ray: those of one process, each image once, whoever is killed on the way."""

import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from configs import Settings
from datasets.rated.sets import RatedImage
from Evaluation.collection import table
from Evaluation.collection.head import head_of
from Evaluation.collection.rows import row_of
from Evaluation.grepq import GRepQ
from utils.errors import UserError

ray = pytest.importorskip("ray", reason="an optional package")
pytest.importorskip("ray.data", reason="an optional package")
pa = pytest.importorskip("pyarrow", reason="an optional package")
from Evaluation.collection import by_ray  # noqa: E402 (only where Ray is)
from Evaluation.collection.ray_images import Named, digest, packed  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("ps") is None, reason="processes are found by ps")

ROOT = Path(__file__).resolve().parents[2]
# Shards early, so that there are some when the driver is killed.
CODE = """
import sys
from Evaluation.collection import shards
shards.SHARD_SECONDS = 0.2
from score_images import main
sys.exit(main(sys.argv[1:]))
"""
COUNT, DIFFERENT = 160, 30
RAY = ("--engine", "ray", "--jobs", "2", "--output", "scores")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small images, some of them links to others, and one that is none."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "images").mkdir()
    sample = Image.open(ROOT / "samples" / "coffee.jpg")
    for k in range(COUNT):
        path = folder / "images" / f"{k:03}.jpg"
        if k < DIFFERENT:
            crop = sample.crop((5 * k, 3 * k, 5 * k + 300, 3 * k + 200))
            crop.resize((100, 100)).save(path, quality=30 + k)
        else:
            os.link(folder / "images" / f"{k % DIFFERENT:03}.jpg", path)
    return folder


@pytest.fixture(scope="module")
def local(folder):
    """Row of each image by one process."""
    model = GRepQ(Settings(branch="low", device="cpu"))
    images = [RatedImage(f"images/{path.name}", path) for path in sorted((folder / "images").iterdir())]
    return {row.image: row_of(row) for row in model.score_images(images)}


def start(folder, *arguments):
    """The command, called from a folder of the images and not of the project."""
    call = [sys.executable, "-c", CODE, "--branch", "low", "--device", "cpu", *map(str, arguments)]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        call, cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    printed, errors = process.communicate(timeout=300)
    return process.returncode, printed, errors


def wait_for(what):
    end = time.monotonic() + 200
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def children(pid):
    """All processes below a process, by number, with their command lines."""
    call = ("ps", "-eo", "pid=,ppid=,args=")
    lines = [line.split(None, 2) for line in subprocess.check_output(call, text=True).splitlines()]
    found, level = {}, {str(pid)}
    while level:
        below = {own: words for own, parent, words in lines if parent in level}
        found, level = found | below, set(below)
    return {int(own): words for own, words in found.items()}


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def shards(folder):
    return sorted((folder / "scores").glob("*.parquet"))


def rows_of(folder):
    return [row for shard in shards(folder) for row in table.read(shard)[1]]


def test_nothing_is_lost_and_nothing_twice(folder, local, monkeypatch, run_script):
    process = start(folder, "images", *RAY)
    wait_for(lambda: shards(folder))
    below = [pid for pid, line in children(process.pid).items() if "/raylet" in line or "Worker" in line]
    process.kill()
    process.communicate()
    kept = {row.image for row in rows_of(folder)}
    assert 0 < len(kept) < COUNT
    (folder / "scores" / "scores-0.parquet.1.part").write_bytes(b"half a shard")
    wait_for(lambda: not [pid for pid in below if running(pid)])  # none works on

    process = start(folder, "images", *RAY)
    before = len(shards(folder))
    wait_for(lambda: len(shards(folder)) > before)
    workers = [pid for pid, line in children(process.pid).items() if "MapBatches(Worker)" in line]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    already = len(rows_of(folder))
    assert already < COUNT, "all was done before the worker was killed"
    status, printed, errors = finish(process)
    assert status == 0, errors
    assert f"holds {len(kept)} images with a score, which are kept; of {COUNT} images" in errors
    assert f"{COUNT} images: {COUNT} scored, 0 failed" in printed and printed.count("\n") == 2
    assert errors.count("A worker ended before its work did") <= 1  # none where it was between two works

    rows = rows_of(folder)
    assert sorted(row.image for row in rows) == sorted(local)
    for row in rows:
        other = local[row.image]
        assert row.q_low == pytest.approx(other.q_low, abs=1e-6)
        assert (row.width, row.height, row.status, row.reason) == (100, 100, "ok", other.reason)
    assert not list(folder.glob("scores/*.part"))

    before = [shard.read_bytes() for shard in shards(folder)]
    monkeypatch.chdir(folder)
    command = ("score_images", "images", *RAY, "--branch", "low", "--device", "cpu")
    status, printed, errors = run_script(*command)
    assert status == 0 and f"of {COUNT} images 0 are left" in errors
    assert f"{COUNT} images: {COUNT} scored, 0 failed.\n" in printed
    status, _, errors = run_script(*command, "--score", "paper")
    assert status == 2 and "its scores were made otherwise" in errors
    assert [shard.read_bytes() for shard in shards(folder)] == before


def test_an_image_that_ends_its_worker_is_found_and_left_out(folder, local, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("ray.get", lambda value: value)
    attempts = by_ray.Attempts()
    remote = SimpleNamespace(
        begin=SimpleNamespace(remote=attempts.begin), end=SimpleNamespace(remote=attempts.end)
    )
    settings = Settings(branch="low", device="cpu")
    worker = by_ray.Worker(settings, head_of(GRepQ(settings).load()), 1, str(folder), remote)
    images = [RatedImage(f"images/{k:03}.jpg", Path(f"images/{k:03}.jpg")) for k in range(4)]
    score, given = worker.model.score_images, []

    def end_with_the_third(some):
        given.append(len(some))
        if images[2] in some:
            raise SystemExit
        return score(some)

    monkeypatch.setattr(worker.model, "score_images", end_with_the_third)
    for _ in range(1 + by_ray.MOST_LOST):  # Ray does the work again, on another worker
        with pytest.raises(SystemExit):
            worker(packed(images))
    [made] = worker(packed([*images, Named("notes.jpg", b"a text")]))["rows"]
    rows, others, again = pickle.loads(made)
    assert given[0] == 4 and set(given[1:]) == {1} and (others, again) == (["notes.jpg"], True)
    assert list(attempts.begun) == [digest("images/002.jpg")]
    assert [row.status for row in rows] == ["ok", "ok", "failed", "ok"]
    assert "ended 2 times" in rows[2].reason
    assert rows[3].q_low == pytest.approx(local["images/003.jpg"].q_low, abs=1e-6)


def test_a_worker_with_other_weights_is_refused(folder):
    settings = Settings(branch="low", device="cpu")
    head = {**head_of(GRepQ(settings).load()), "low_level_sha256": "others"}
    with pytest.raises(UserError, match="has other weights"):
        by_ray.Worker(settings, head, 1, str(folder), None)


@pytest.mark.parametrize("arguments, words", [
    (("images", "--engine", "ray"), "name a folder with --output DIR"),
    (("images", "--engine", "ray", "--output", "scores.csv"), "name a folder with --output DIR"),
    (("images", *RAY, "--top", "3"), "do not go with it"),
    (("images", *RAY, "--sort", "best"), "do not go with it"),
    (("images", *RAY[:-1], "none/scores"), "there is no folder none"),
    (("file:///no/such/folder", *RAY), "cannot be listed"),
    (("scores/strange.parquet", *RAY), "none is known to hold images"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(folder, monkeypatch, run_script, arguments, words):
    monkeypatch.chdir(folder)
    (folder / "scores").mkdir(exist_ok=True)
    pa.parquet.write_table(pa.table({"x": [1]}), folder / "scores" / "strange.parquet")
    status, printed, errors = run_script("score_images", *arguments)
    (folder / "scores" / "strange.parquet").unlink()
    assert status == 2 and words in errors and errors.count("\n") == 1 and not printed


def test_without_ray_one_sentence(folder, monkeypatch, run_script):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, errors = run_script("score_images", folder, *RAY[:-1], folder / "none")
    assert status == 2 and errors == "--engine ray needs Ray: 'pip install \"ray[data]\"'.\n"


def test_bytes_of_parquet_tars_and_addresses(folder, local):
    files = sorted(folder.glob("images/*.jpg"))[:6]
    contents = [file.read_bytes() for file in files] + [b"no image"]
    keys = [file.name for file in files] + ["bad.jpg"]
    pa.parquet.write_table(pa.table({"image_id": range(7), "bytes": contents}), folder / "plain.parquet")
    cells = [{"bytes": one, "path": f"face/{name}"} for name, one in zip(keys, contents, strict=True)]
    cells += [{"bytes": one, "path": None} for one in contents[:2]]
    pa.parquet.write_table(pa.table({"image": cells}), folder / "struct.parquet")
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "at").mkdir()
    with tarfile.open(folder / "at" / "web.tar", "w") as tar:
        for file in [*files, folder / "bad.jpg"]:
            tar.add(file, file.name)
            tar.add(ROOT / "LICENSE", f"{file.stem}.txt")
    os.link(files[0], folder / "at" / "no_ending")
    for name in ("notes.txt", "notes.jpg"):
        (folder / "at" / name).write_text("nothing")
    (folder / "at" / "empty.png").touch()
    addresses = [(folder / name).as_uri() for name in ("at", "bad.jpg")]
    arguments = ("plain.parquet", "struct.parquet", *addresses, "images/007.jpg")
    status, _, errors = finish(start(folder, *arguments, *RAY[:-1], "others"))
    assert status == 1 and errors.count("Not scored: ") == 3, errors
    assert "Passed over, because they are no images that can be read: 11 file(s)." in errors
    misnamed = next(line for line in errors.splitlines() if line.startswith("No images that can be read"))
    assert all(f"/at/{name}" in misnamed for name in ("notes.jpg", "empty.png", "web.tar/bad.jpg"))
    expected = {
        str(folder / "bad.jpg"): None,
        "images/007.jpg": local["images/007.jpg"],
        str(folder / "at" / "no_ending"): local["images/000.jpg"],
    }
    for k, name in enumerate(keys):
        for key in (str(k), f"face/{name}", str(folder / "at" / "web.tar" / name)):
            expected[key] = local.get(f"images/{name}")
    del expected[str(folder / "at" / "web.tar" / "bad.jpg")]
    for k in range(2):
        digest_of_it = hashlib.blake2b(contents[k], digest_size=16).hexdigest()
        expected[f"{folder / 'struct.parquet'}/{digest_of_it}"] = local[f"images/{keys[k]}"]
    rows = [row for path in folder.glob("others/*.parquet") for row in table.read(path)[1]]
    assert sorted(row.image for row in rows) == sorted(expected)
    for row in rows:
        if expected[row.image] is None:
            assert row.status == "failed" and "is not an image" in row.reason
        else:
            assert row.q_low == pytest.approx(expected[row.image].q_low, abs=1e-6)
