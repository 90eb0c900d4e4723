"""score_images.py as a user calls it: one row an image, whatever is named, and what was stopped goes on."""

import csv
import errno
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.collection import find_images
from Evaluation.collection import run, table
from Evaluation.collection.rows import Row, row_of, selected
from models.weights.files import save_tensors
from models.weights.low_level import find_low_level, load_low_level

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
LOW = ("--branch", "low", "--device", "cpu")


def rows_of(text):
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read(path):
    """Head and rows of a table, which is UTF-8 whatever names it holds."""
    first, _, rest = path.read_bytes().decode("utf-8").partition("\n")
    return json.loads(first.removeprefix("# ")), rows_of(rest)


def picture(path, size=(120, 110), seed=0, kind="PNG"):
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 5, size[0] // 5, 3), np.uint8)
    image = Image.fromarray(noise).resize(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind)
    return path


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, ROOT / "score_images.py", *LOW, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Good, bad and huge images, other files, and names as people have them."""
    root = tmp_path / "photos"
    shutil.copy(SAMPLES / "coffee.jpg", picture(root / "a.png").parent / "coffee.jpg")
    picture(root / "below" / "without_ending", seed=1)
    picture(root / 'a "quoted", name\nof two lines.png', seed=2)
    picture(root / "half a\rline.png", seed=5)
    picture(root / os.fsdecode(b"caf\xe9.png"), seed=3)
    picture(root / ".hidden.png")
    picture(root / ".hidden" / "a.png")
    picture(root / "cut.png").write_bytes((root / "a.png").read_bytes()[:300])
    Image.new("1", (7_000, 7_000)).save(root / "claims.png")
    (root / "notes.txt").write_text("no image")
    (root / "text.jpg").write_text("no image either")
    return root


def test_a_mixed_folder(folder, tmp_path, run_script):
    output = tmp_path / "scores.csv"
    status, printed, errors = run_script("score_images", *LOW, folder, "--output", output)
    assert status == 1
    head, rows = read(output)
    assert head["direction"] == "higher is better" and head["ranges"] == {"q_low": "(0, 0.5]"}
    assert len(head["low_level_sha256"]) == 64 and head["score"] == "GRepQ extended"
    assert tuple(rows[0]) == ("image", "width", "height", "q_low", "q_high", "q", "status", "reason")
    found = {row["image"].removeprefix(f"{folder}/"): row for row in rows}
    good = [
        'a "quoted", name\nof two lines.png',
        "half a\rline.png",
        "a.png",
        r"caf\xe9.png",
        "coffee.jpg",
        "below/without_ending",
    ]
    assert sorted(found) == sorted([*good, "cut.png", "claims.png"])
    assert all(found[name]["status"] == "ok" and 0 < float(found[name]["q_low"]) <= 0.5 for name in good)
    assert float(found["coffee.jpg"]["q_low"]) == pytest.approx(0.4547, abs=1e-4)
    assert (found["coffee.jpg"]["width"], found["coffee.jpg"]["height"]) == ("600", "400")
    assert found["cut.png"]["status"] == found["claims.png"]["status"] == "failed"
    assert "damaged or cut short" in found["cut.png"]["reason"]
    assert "MB, and so small a file gets 200 (--set decoding_megabytes" in found["claims.png"]["reason"]
    assert (
        "no images that can be read: 2 file(s)" in errors
        and f"that can be read, in spite of their names: {folder}/text.jpg" in errors
    )
    assert "8 images: 6 scored, 2 failed" in printed and "(50%)" in printed and "images a second" in printed
    assert errors.count("Not scored: ") == 2


@pytest.mark.parametrize("ending", table.SUFFIXES)
def test_every_format_is_gone_on_with(ending, folder, tmp_path, run_script, monkeypatch):
    output = tmp_path / f"scores{ending}"
    call = ("score_images", *LOW, folder, "--output", output)
    assert run_script(*call)[0] == 1
    head, before = table.read(output)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["photos", output.name]
    assert head["direction"] == "higher is better" and len(before) == 8
    (folder / "cut.png").unlink()
    picture(folder / "z.png", seed=4)
    scored = []
    monkeypatch.setattr(run, "row_of", lambda row: scored.append(row) or row_of(row))
    status, _, errors = run_script(*call)
    assert status == 1 and f"{output}: 6 of 8 images have a score and are kept." in errors
    # What failed is tried again; what has a score is not.
    assert [Path(row.image).name for row in scored] == ["claims.png", "z.png"]
    assert "keeps 1 row(s) of other images" in errors
    _, after = table.read(output)
    assert {row.image: row for row in before}.items() <= {row.image: row for row in after}.items()
    assert len(after) == 9

    other = tmp_path / "other.safetensors"
    low = load_low_level(find_low_level())
    save_tensors(low.model, other, {**low.metadata, "note": "other bytes"})
    for flags, word in (
        (("--view", "full"), "settings.view"),
        (("--score", "paper"), "score"),
        (("--ll_model_weights_path", other, "--pristine_img_dir", SAMPLES), "low_level_sha256"),
    ):
        status, _, errors = run_script(*call, *flags)
        assert status == 2 and f"its scores were made otherwise ({word}" in errors.splitlines()[-1]
    assert table.read(output)[1] == after
    assert run_script(*call, "--overwrite")[0] == 1
    assert [row.image for row in table.read(output)[1]] == [row.image for row in after[:-1]]


def test_an_image_is_known_by_its_path_and_not_by_the_words_for_it(tmp_path, run_script, monkeypatch):
    output = tmp_path / "s.csv"
    for k, name in enumerate(("one", "two")):
        picture(tmp_path / name / "p" / "a.png", seed=k)
    monkeypatch.chdir(tmp_path / "one")
    assert run_script("score_images", *LOW, "p", "--output", output)[0] == 0
    _, _, errors = run_script("score_images", *LOW, Path("p").resolve(), "--output", output)
    assert "1 of 1 images have a score" in errors and len(table.read(output)[1]) == 1
    monkeypatch.chdir(tmp_path / "two")
    run_script("score_images", *LOW, "p", "--output", tmp_path / "t.csv")
    monkeypatch.chdir(tmp_path / "one")
    status, _, errors = run_script("score_images", *LOW, "p", "--output", tmp_path / "t.csv")
    assert status == 2 and f"its images are named from {tmp_path / 'two'}" in errors


def test_the_page_and_the_maps(tmp_path, run_script):
    report, maps, output = (tmp_path / name for name in ("page.html", "maps", "s.csv"))
    call = ("score_images", *LOW, SAMPLES / "coffee.jpg", SAMPLES / "chelsea.jpg", "--output", output)
    status, printed, errors = run_script(*call, "--report", report, "--maps", maps, "--bottom", 1)
    assert status == 0 and len(rows_of(printed)) == 1
    (file,) = maps.iterdir()
    assert file.name.startswith("chelsea.jpg_") and f"{maps}: has 1 quality map(s)." in errors
    text = report.read_text()
    assert "coffee.jpg" in text and "2 images: 2 scored, 0 failed" in text
    (tmp_path / "file").write_text("")
    status, _, errors = run_script(*call[:-1], tmp_path / "t.csv", "--maps", tmp_path / "file")
    assert status == 2 and "cannot be made a folder of maps" in errors and not (tmp_path / "t.csv").exists()


def test_rows_are_selected_and_ordered(tmp_path, run_script):
    values = {"a": 0.3, "b": 0.1, "c": 0.4, "d": 0.2}
    rows = [Row(name, 9, 9, value, None, None, "ok", "") for name, value in values.items()]
    rows.insert(1, Row("x", None, None, None, None, None, "failed", "why"))

    def names(*chosen):
        return "".join(row.image for row in selected(rows, *chosen))

    assert names(None, None, None, "input") == "axbcd"
    assert names(None, None, None, "best") == "cadbx" and names(None, None, None, "worst") == "bdacx"
    assert names(2, None, None, "input") == "ca" and names(None, 2, None, "input") == "bd"
    assert names(1, 9, None, "input") == "cbda" and names(None, None, 0.3, "input") == "bd"
    assert names(None, 1, 0.3, "name") == "b" and names(3, None, None, "name") == "acd"

    output = tmp_path / "scores.jsonl"
    call = ("score_images", *LOW, SAMPLES, "--bottom", 2, "--sort", "worst", "--output", output)
    status, printed, _ = run_script(*call)
    worst = ["rocket_gaussian_blur+jpeg_0.70.jpg", "coffee_dark_noise_0.90.jpg"]
    assert status == 0 and [Path(row["image"]).name for row in rows_of(printed)] == worst
    # The table has all, in the order that is asked for.
    _, rows = table.read(output)
    assert len(rows) == 13 and [Path(row.image).name for row in rows[:2]] == worst
    status, printed, errors = run_script(*call[:3], SAMPLES, "--below", 0.1, "--output", output)
    assert "13 of 13 images have a score" in errors and len(rows_of(printed)) == 2
    _, printed, errors = run_script("score_images", *LOW, SAMPLES / "coffee.jpg", "--below", 0.2)
    assert rows_of(printed) == [] and "1 images: 1 scored" in errors


def test_what_names_images(tmp_path, run_script, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "deep/c.png"):
        picture(Path("p") / name)
    with zipfile.ZipFile("z.zip", "w") as archive:
        archive.write("p/a.png", "in/a, 1.png")
        archive.writestr("readme.txt", "words")
    for ending in ("tar", "tar.gz"):
        with tarfile.open(f"t.{ending}", "w:gz" if ending.endswith("gz") else "w") as archive:
            archive.add("p/b.png", "./b.png")  # as tar itself names it
            archive.add("p/deep", "deep")
    Path("list.txt").write_bytes(b"p/a.png\r\n\np/deep\n")
    Path("zeros").write_bytes(b"p/b.png\0p/a.png\0")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"p/b.png\n")))

    def names(*paths, lists=()):
        return [image.name for image in find_images(paths, lists).images]

    assert names("p") == ["p/a.png", "p/b.png", "p/deep/c.png"]
    assert names("p/*.png", "p/**/c.png") == ["p/a.png", "p/b.png", "p/deep/c.png"]
    assert names(lists=["list.txt"]) == ["p/a.png", "p/deep/c.png"]
    Path("gone.txt").write_text("p/[b].png")  # in a list a name is no pattern
    assert names(lists=["gone.txt"]) == ["p/[b].png"]
    assert names(lists=["zeros"]) == ["p/b.png", "p/a.png"] and names(lists=["-"]) == ["p/b.png"]
    assert names("z.zip", "t.tar", "t.tar.gz") == [
        "z.zip/in/a, 1.png", "t.tar/b.png", "t.tar/deep/c.png", "t.tar.gz/b.png", "t.tar.gz/deep/c.png"
    ]  # fmt: skip
    status, printed, _ = run_script("score_images", *LOW, "z.zip", "t.tar.gz", "p/a.png", "none.png")
    rows = rows_of(printed)
    assert status == 1 and [row["status"] for row in rows] == ["ok"] * 4 + ["failed"]
    assert rows[0]["q_low"] == rows[3]["q_low"] and rows[4]["reason"] == "there is no such file."
    for call, words in (
        (("empty",), "there is no such file"),
        (("p/*.tiff",), "no file matches the pattern"),
        (("--list", "none.txt"), "none.txt: the list cannot be read"),
        ((), "name images"),
        (("p", "--output", "x.txt"), "x.txt: a table is written as .csv, .jsonl, .parquet"),
        (("p", "--report", "x.txt"), "x.txt: a page is written as .html"),
        (("p", "--below", "nan"), "--below takes a number."),
        (("p", "--top", "0"), "--top takes a number of 1 or more"),
        (("list.txt", "--output", "list.txt.csv"), "not an image in a format"),
    ):
        status, _, errors = run_script("score_images", *LOW, *call)
        assert status == (1 if words.startswith(("there is", "no file", "not an")) else 2) and words in errors
    Path("texts").mkdir()
    for k, text in enumerate(("a", "Python is nice.", "BMW: call", "P3 of the plan", "(\0\0\0 and more")):
        Path(f"texts/{k}.txt").write_text(text)
    status, _, errors = run_script("score_images", *LOW, "texts")
    assert status == 2 and "texts: holds no image, but 5 other file(s)." in errors
    for kind in ("bmp", "ppm", "gif", "tiff", "webp", "jpeg"):
        picture(Path("texts") / f"{kind} without ending", kind=kind)
    assert len(find_images(["texts"]).images) == 6
    status, printed, _ = run_script("score_images", "p/a.png", *LOW, "p/b.png", "--sort", "best", "z.zip")
    assert status == 0 and len(rows_of(printed)) == 3


def test_links_and_repeated_names_count_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(Path("p") / "a.png")
    Path("p/circle").symlink_to(tmp_path / "p")
    Path("p/link.png").symlink_to("a.png")
    Path("p/nothing.png").symlink_to("gone.png")
    os.mkfifo("p/pipe.png")
    found = find_images(["p", "p/a.png", "./p/../p/a.png"])
    assert [image.name for image in found.images] == ["p/a.png", "p/nothing.png"]
    assert (found.repeated, found.others) == (4, 1)


def test_a_folder_that_cannot_be_listed_is_a_failed_row(tmp_path, run_script, monkeypatch):
    picture(tmp_path / "p" / "a.png")
    (tmp_path / "p" / "closed").mkdir()
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    status, printed, _ = run_script("score_images", *LOW, tmp_path / "p")
    rows = rows_of(printed)
    assert status == 1 and [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["image"].endswith("p/closed") and "cannot be listed (Permission" in rows[1]["reason"]


def test_files_that_vanish_or_grow_while_they_are_read(tmp_path, run_script, monkeypatch):
    paths = [picture(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    opened = Image.open

    def open_later(file, **options):
        name = getattr(file, "name", "")
        if name == str(paths[0]):
            paths[1].unlink()
        if name == str(paths[2]):
            with paths[2].open("ab") as growing:
                growing.write(b"more")
        return opened(file, **options)

    monkeypatch.setattr(Image, "open", open_later)
    status, printed, _ = run_script("score_images", *LOW, *paths)
    rows = rows_of(printed)
    assert status == 1 and [row["status"] for row in rows] == ["ok", "failed", "failed"]
    assert [row["reason"] for row in rows[1:]] == ["there is no such file.", "changed while it was read."]


def many(folder, count=120):
    for k in range(count):
        picture(folder / f"{k:03}.png", seed=k)
    return folder


def wait_for_rows(path, process, count):
    until = time.monotonic() + 90
    while not (path.is_file() and path.read_bytes().count(b"\n") > count):
        assert time.monotonic() < until and process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.mark.parametrize("ending, number", [
    (".csv", signal.SIGKILL), (".csv", signal.SIGINT), (".parquet", signal.SIGKILL),
])  # fmt: skip
def test_what_was_stopped_goes_on(ending, number, tmp_path, run_script):
    folder, output = many(tmp_path / "p"), tmp_path / f"s{ending}"
    growing = table.growing_file(output)
    process = start(folder, "--output", output)
    wait_for_rows(growing, process, 10)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130 and "of 120 rows are in" in errors
    if number == signal.SIGKILL:  # amid a row
        with growing.open("ab") as file:
            file.write(b'"/somewhere/of two\nlines' if ending == ".csv" else b'{"image": "/some')
    _, kept = table.read(growing)
    assert 8 <= len(kept) < 120
    status, _, errors = run_script("score_images", *LOW, folder, "--output", output)
    assert status == 0 and f"{len(kept)} of 120 images have a score and are kept" in errors
    _, rows = table.read(output)
    assert [Path(row.image).name for row in rows] == [f"{k:03}.png" for k in range(120)]
    assert rows[: len(kept)] == kept


def limit_of_files(size):
    """Files grow to so many bytes, as on a disk that is full then."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_full_disk_keeps_the_rows_that_fit(tmp_path):
    folder, output = many(tmp_path / "p", 60), tmp_path / "s.csv"

    process = start(folder, "--output", output, "--set", "engine=torch", preexec_fn=limit_of_files(3000))
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 2 and "Traceback" not in errors, errors
    assert "s.csv: cannot be written any more (File too large); the rows that it has are kept" in errors
    assert len(table.read(output)[1]) > 5


@pytest.mark.parametrize("size, flags", [(500, ("--output", "s.csv")), (20_000, ("--report", "p.html"))])
def test_a_full_disk_is_one_sentence(size, flags, tmp_path):
    process = start(
        SAMPLES / "coffee.jpg", SAMPLES / "chelsea.jpg", *flags, "--set", "engine=torch", cwd=tmp_path,
        preexec_fn=limit_of_files(size),
    )  # fmt: skip
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 2 and errors.endswith(f"{flags[1]}: File too large.\n"), errors


@pytest.mark.parametrize("flags", [(), ("--top", "9")], ids=["as they come", "at the end"])
def test_output_that_is_closed_ends_quietly(flags, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = start(SAMPLES / "coffee.jpg" if flags else many(tmp_path / "p", 20), *flags, env=environment)
    if not flags:
        assert process.stdout.readline().startswith("image,width")
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 0 and "Traceback" not in errors and "Broken" not in errors, errors


def test_a_page_is_written_though_nobody_reads_the_rows(tmp_path):
    (tmp_path / "bad.png").touch()
    process = start(
        SAMPLES / "coffee.jpg", tmp_path / "bad.png", "--output", "s.csv", "--top", "1", "--report", "p.html",
        "--maps", "maps", cwd=tmp_path,
    )  # fmt: skip
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 1 and "2 images: 1 scored, 1 failed" in errors, errors
    assert len(list((tmp_path / "maps").iterdir())) == 1 and (tmp_path / "p.html").stat().st_size > 10_000


def test_a_table_that_cannot_be_ordered_keeps_its_rows(tmp_path, run_script, monkeypatch):
    write, calls = table.write, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(table, "write", full)
    output = tmp_path / "s.csv"
    call = ("score_images", *LOW, SAMPLES / "coffee.jpg", "--output", output)
    status, _, errors = run_script(*call)
    assert status == 2 and "(No space left on device); its 1 rows are kept in" in errors
    assert run_script(*call)[0] == 0 and len(table.read(output)[1]) == 1


def test_an_image_is_not_written_over(tmp_path, run_script):
    picture = tmp_path / "picture.csv"
    shutil.copy(SAMPLES / "coffee.jpg", picture)
    for place in (picture, tmp_path):
        status, _, errors = run_script("score_images", *LOW, place, "--output", picture, "--overwrite")
        assert (status, errors) == (
            2,
            f"{picture}: is one of the images; name another table with --output.\n",
        )
    assert picture.read_bytes() == (SAMPLES / "coffee.jpg").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_output_that_is_full_is_said():
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, ROOT / "score_images.py", *LOW, SAMPLES / "coffee.jpg"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert process.returncode == 2 and process.stderr.endswith("standard output: No space left on device.\n")


def test_two_processes_give_the_rows_of_one(tmp_path, run_script):
    folder = many(tmp_path / "p", 20)
    outputs = [tmp_path / f"{jobs}.csv" for jobs in (1, 2)]
    for jobs, output in zip((1, 2), outputs, strict=True):
        assert run_script("score_images", *LOW, folder, "--jobs", jobs, "--output", output)[0] == 0
    (_, one), (_, two) = map(table.read, outputs)
    assert [row.image for row in two] == [row.image for row in one]
    assert [row.score for row in two] == pytest.approx([row.score for row in one], rel=1e-6)
