"""Any bytes: a reader of files from outside gives what it promises, or a `UserError` that names the file."""

import functools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_archives import write_tar, write_zip
from made_images import FORMATS, encoded, tiff

from datasets.collection import Collection, find_images
from datasets.decoder import decode_pixels, read_image, read_reduced, read_size
from datasets.image_files import PREFIX, begins_as_image
from datasets.rated.sets import RatedSet, load_scores_table
from Evaluation.collection import table
from Evaluation.collection.rows import Row, selected
from Evaluation.few_labels.regressor import KIND, Regressor, read_regressor, write_regressor
from Evaluation.pristine_files import Pristine, read_statistics, statistics_beside
from models.weights.files import read_safetensors, read_torch
from models.weights.low_level import DEFAULT_LOW_LEVEL
from utils.errors import UserError

# Numbers that headers are overwritten with: borders of the usual widths.
NUMBERS = st.sampled_from(
    [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
)
fuzzed = functools.partial(
    settings, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@st.composite
def damage(draw):
    """A function that cuts bytes, flips some, splices in others, or overwrites a number of the header."""
    kind = draw(st.sampled_from(["cut", "flip", "splice", "number", "repeat"]))
    at, size = draw(st.floats(0, 1)), draw(st.integers(1, 40))
    junk, number = draw(st.binary(min_size=1, max_size=40)), draw(NUMBERS)
    order, width = draw(st.sampled_from(["little", "big"])), draw(st.sampled_from([1, 2, 4]))

    def apply(content):
        changed, place = bytearray(content), int(at * len(content))
        if kind == "cut":
            del changed[place:]
        elif kind == "flip":
            for step, value in enumerate(junk[:8]):
                changed[(place + step * 37) % len(changed)] ^= value
        elif kind == "splice":
            changed[place : place + size] = junk
        elif kind == "repeat":
            changed[place:place] = changed[place : place + size] * 9
        else:
            place = int(at * at * min(len(content), 400))
            changed[place : place + width] = (number % 256**width).to_bytes(width, order)
        return bytes(changed)

    return apply


def promised(read, path, kind):
    """What `read` gives of `path`, which is of this kind; None where it refuses in a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's of bad metadata
        warnings.simplefilter("error", RuntimeWarning)
        try:
            found = read(path)
        except UserError as error:
            sentence = str(error)
            assert Path(str(path)).name in sentence and "\n" not in sentence, sentence
            return None
    assert isinstance(found, kind), found
    return found


@functools.cache
def image_file(suffix):
    if suffix == "tiled.tif":
        return tiff(20, 20, tile=(32, 32), data=bytes(32 * 32 * 3))
    options = {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"}
    more = options if suffix in ("jpg", "png", "webp") else {}
    return encoded(suffix, "P" if suffix == "gif" else "RGB", **more)


@pytest.mark.parametrize("suffix", [*FORMATS, "tiled.tif"])
@fuzzed(max_examples=60)
@given(first=damage(), second=damage())
def test_image_files(tmp_path, suffix, first, second):
    path = tmp_path / f"image.{suffix}"
    path.write_bytes(second(first(image_file(suffix)) or b"\0"))
    pixels = promised(decode_pixels, path, np.ndarray)
    size = promised(read_size, path, tuple)
    whole = promised(read_image, path, torch.Tensor)
    reduced = promised(
        lambda path: read_reduced(path, lambda height, width: (min(height, 30), 40)), path, tuple
    )
    assert (pixels is None) == (whole is None)
    if pixels is not None:
        assert pixels.dtype in (np.uint8, np.uint16) and pixels.flags.c_contiguous and pixels.size
        assert pixels.shape[2] == 3 and pixels.shape[:2] == tuple(whole.shape[1:]) == size
        assert whole.min() >= 0 and whole.max() <= 1
    if reduced is not None:
        assert reduced[0].dtype == torch.float32 and reduced[0].shape[0] == 3 and reduced[1] == size


@fuzzed(max_examples=300)
@given(st.binary(max_size=PREFIX + 4))
def test_first_bytes(prefix):
    assert begins_as_image(prefix) in (True, False)
    for suffix in FORMATS:
        assert begins_as_image(image_file(suffix)[:PREFIX])


CSV = 'image;mos;reference;split\r\na.png;1,5;sea;train\r\n"b.png";"2";;test\r\n'


@st.composite
def text_files(draw, whole):
    """Bytes of tables: a sound one with damages, or any text."""
    if draw(st.integers(0, 3)) == 0:
        return whole.splitlines(keepends=True)[0] + draw(
            st.text("a.png,;\t\"'\r\n\0 1e-{}[]\ud800", max_size=80)
        ).encode("utf-8", "surrogatepass")
    return draw(damage())(draw(damage())(whole) or b"\0")


@fuzzed(max_examples=250)
@given(text_files(CSV.encode()))
@example(b"image,mos\n" + b"a" * 300 + b",1\n")
def test_tables_of_scores(tmp_path, content):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "scores.csv").write_bytes(content)
    rated = promised(load_scores_table, tmp_path / "scores.csv", RatedSet)
    assert rated is None or all(np.isfinite(image.mos) for image in rated.images)


ROWS = [
    Row("a.png", 9, 8, 0.25, None, None, "ok", ""),
    Row("b", None, None, None, None, None, "failed", "x"),
]


def table_bytes(suffix):
    begin, line = table._TEXTS[suffix]
    return (begin({"score": "GRepQ", "settings": {"patch_size": 96}}) + "".join(map(line, ROWS))).encode()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@fuzzed(max_examples=250)
@given(data=st.data())
def test_tables_to_go_on_with(tmp_path, suffix, data):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(data.draw(text_files(table_bytes(suffix))))
    found = promised(table.read, path, tuple)
    if found is not None:
        head, rows = found
        assert isinstance(head, dict) and all(isinstance(row.score, float) for row in rows if row.ok)
        table.write(path, head, selected(rows, None, None, None, "best"))  # as the run would


@functools.cache
def tensor_files():
    card = {
        "kind": KIND, "version": "1", "set": "s", "names": ["a"], "mos_range": [0, 1], "alpha": 1,
        "provenance": {"columns": [["semantic", 784]]},
    }  # fmt: skip
    return Regressor(np.zeros(784), 0.0, card), statistics_beside(DEFAULT_LOW_LEVEL).read_bytes()


@fuzzed(max_examples=250)
@given(damage(), damage())
def test_tensor_files(tmp_path, first, second):
    regressor, statistics = tensor_files()
    write_regressor(tmp_path / "r.safetensors", regressor)
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pt")
    small = safetensors.torch.save({"a": torch.zeros(3)}, {"x": json.dumps([1])})
    for name, content, read, kind in (
        ("r.safetensors", (tmp_path / "r.safetensors").read_bytes(), read_regressor, Regressor),
        ("s.safetensors", statistics, read_statistics, Pristine),
        ("w.safetensors", small, read_safetensors, tuple),
        ("w.pt", (tmp_path / "w.pt").read_bytes(), read_torch, object),
    ):
        (tmp_path / name).write_bytes(second(first(content) or b"\0"))
        promised(read, tmp_path / name, kind)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@fuzzed(max_examples=60)
@given(first=damage(), second=damage())
def test_archives(tmp_path, name, first, second):
    whole = tmp_path / "whole" / name
    if not whole.exists():
        whole.parent.mkdir()
        contents = {"a.png": encoded("png"), "b/c.jpg": encoded("jpg"), "d.txt": b"text"}
        (write_zip if name == "a.zip" else write_tar)(whole, contents)
    (tmp_path / name).write_bytes(second(first(whole.read_bytes()) or b"\0"))
    found = promised(lambda path: find_images([str(path)]), tmp_path / name, Collection)
    for image in [] if found is None else found.images:
        promised(read_image, image.path, torch.Tensor)


@fuzzed(max_examples=150)
@given(
    st.binary(max_size=60), st.lists(st.sampled_from([b"a.png", b"*.png", b"[", b"**", b".", b"/dev/null"]))
)
@example(b"x" * 5000, [])
def test_lists_of_paths(tmp_path, junk, more):
    folder = tmp_path / "images"
    if not folder.exists():
        folder.mkdir()
        (folder / "a.png").write_bytes(encoded("png"))
    # Below this folder: names of one byte would be those of all the machine.
    lines = [os.fsencode(folder) + b"/" + line.replace(b"..", b"") for line in (*junk.split(b"\n"), *more)]
    (tmp_path / "list").write_bytes(b"\n".join(lines))
    promised(lambda path: find_images([], [str(path)]), tmp_path / "list", Collection)
