"""Damaged tables: scores that people write, and tables of scores to go on with.

tests/datasets/rated has the ordinary ones: columns that are missing or doubled, a BOM, CRLF, empty lines,
decimal commas, names that are there twice, cells that are empty or no numbers, damaged MATLAB files and
workbooks.
"""

import dataclasses
import json

import h5py
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from datasets.rated.sets import load_scores_table
from Evaluation.collection import table
from Evaluation.collection.rows import Row
from Evaluation.few_labels.feature_table import FeatureFile
from utils.errors import UserError

GOOD = "image,mos\na.png,1.5\nb.png,2\n"
TABLES = {
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without its mark": GOOD.encode("utf-16-le"),
    "UTF-32": GOOD.encode("utf-32"),
    "zero bytes": b"image,mos\na.png,1\0\nb.png,2\n",
    "zeros": bytes(5000),
    "zero in a name": b"image,mos\na\0.png,1\n",
    "huge field": b"image,mos\n" + b"a" * 200_000 + b".png,1\n",
    "huge name": b"image,mos\n" + b"a" * 9000 + b".png,1\n",
    "huge number": b"image,mos\na.png,1" + b"0" * 400 + b"\n",
    "huge header": b"image,mos," + b"x," * 100_000 + b"\n",
    "open quote": b'image,mos\n"a.png,1\nb.png,2\n',
    "quote in a cell": b'image,mos\na".png",1\n"b.png"x,2\n',
    "mixed separators": b"image,mos\na.png;1\nb.png\t2\n",
    "mixed header": b"image;mos,x\na.png,1,2\n",
    "decimal commas among commas": b"image,mos\na.png,1,5\n",
    "two decimal marks": b"image;mos\na.png;1.000,5\n",
    "thousands": b"image;mos\na.png;1 000\n",
    "other digits": "image;mos\na.png;\u0661,\u0662x\n".encode(),
    "hexadecimal": b"image,mos\na.png,0x10\n",
    "infinite": b"image,mos\na.png,inf\n",
    "old Mac": b"image,mos\ra.png\r",
    "header alone, quoted": b'"image","mos"',
    "only separators": b",,,,\n,,,,\n",
    "a web page": b"<!DOCTYPE html>\n<html></html>\n",
    "a workbook's name": b"PK\3\4" + bytes(99),
    "a folder's name": b"image,mos\n.,1\n",
    "outside": b"image,mos\n../../../../nowhere/a.png,1\n",
}  # fmt: skip
READ_ALL_THE_SAME = {
    "BOM, CRLF and quotes": b'\xef\xbb\xbf"image","mos"\r\n"a.png","1.5"\r\n\r\nb.png,2\r\n\r\n',
    "old Mac lines": GOOD.replace("\n", "\r").encode(),
    "tabs and decimal commas": b"mos\timage\n1,5\ta.png\n2,0\tb.png\n",
    "blanks": b" Image , MOS \n a.png , 1.5 \n b.png,2e0",
    "semicolons, quotes": b'image;mos;"note, of length"\na.png;1,5;"x;y"\nb.png;2;""\n',
    "lines of commas": b"image,mos\n,\n  ,  \na.png,1.5\nb.png,2\n,\n",
    "a cell of two lines": b'image,mos,note\na.png,1.5,"two\nlines"\nb.png,2,\n',
    "other capitals": b"IMAGE,Mos\nA.PNG,1.5\nB.Png,2\n",
}


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def refused(read, path):
    with pytest.raises(UserError) as caught:
        read(path)
    sentence = str(caught.value)
    assert path.name in sentence and sentence.endswith(".") and "\n" not in sentence, sentence


@pytest.mark.parametrize("name", TABLES)
def test_damaged_scores(folder, name):
    (folder / "scores.csv").write_bytes(TABLES[name])
    refused(load_scores_table, folder / "scores.csv")


@pytest.mark.parametrize("name", READ_ALL_THE_SAME)
def test_scores_as_somebody_writes_them(folder, name):
    (folder / "scores.csv").write_bytes(READ_ALL_THE_SAME[name])
    rated = load_scores_table(folder / "scores.csv")
    assert [(image.path.name, image.mos) for image in rated.images] == [("a.png", 1.5), ("b.png", 2.0)]


def test_scores_that_are_no_file(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name in ("folder.csv", "none.csv", "none.xlsx", "n" * 300 + ".csv"):
        refused(load_scores_table, tmp_path / name)


ROWS = [
    Row("a.png", 9, 8, 0.25, None, None, "ok", ""),
    Row("b,\n.png", None, None, None, None, None, "failed", "x"),
]
HEAD = {"score": "GRepQ", "settings": {"patch_size": 96}}


def lines(change):
    """A damage of the lines of a table of text."""
    return lambda whole: b"".join(change(whole.splitlines(keepends=True)))


DAMAGES = {
    "without a head": lines(lambda all_: all_[1:]),
    "no JSON in the head": lines(lambda all_: [b"# {score\n", *all_[1:]]),
    "a head of zeros": lines(lambda all_: [bytes(99) + b"\n", *all_[1:]]),
    "a deep head": lines(lambda all_: [b'{"head": ' + b"[" * 100_000 + b"\n", *all_[1:]]),
    "a number for a head": lines(lambda all_: [b"7\n", *all_[1:]]),
    "a head alone, no columns": lines(lambda all_: [b"# {}\n"]),
    "another status": lambda whole: whole.replace(b"ok", b"good"),
    "a width that is no number": lambda whole: whole.replace(b"9", b"x9"),
    "a score that is no number": lambda whole: whole.replace(b"0.25", b"[]"),
    "UTF-16": lambda whole: whole.decode().encode("utf-16"),
    "zero bytes": lambda whole: whole.replace(b"a.png", b"a\0png").replace(b"9", b"\0"),
    "a web page": lambda whole: b"<!DOCTYPE html><html></html>\n",
    "zeros": lambda whole: bytes(3000),
    "a huge cell": lambda whole: whole.replace(b"9", b"9" * 200_000),
    "an infinite score": lambda whole: whole.replace(b"0.25", b"1e999"),
    "no score of a good row": lambda whole: whole.replace(
        b"0.25", b"" if whole.startswith(b"#") else b"null"
    ),
}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_not_gone_on_with(tmp_path, suffix, damage):
    path = tmp_path / f"t{suffix}"
    table.write(path, HEAD, ROWS)
    assert table.read(path) == (HEAD, ROWS)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    refused(table.read, path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_that_was_cut_gives_its_whole_rows(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    table.write(path, HEAD, ROWS)
    whole = path.read_bytes()
    for keep in range(len(whole)):
        path.write_bytes(whole[:keep])
        try:
            head, rows = table.read(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert head == HEAD and rows == ROWS[: len(rows)]


def line_of(**changes):
    return json.dumps({**dataclasses.asdict(ROWS[0]), **changes})


@pytest.mark.parametrize("line", [
    "7", "[]", "null", "{}", '"text"', "{", "[" * 100_000, line_of(image=7), line_of(width={}),
    line_of(reason=None), line_of(q_low=float("nan")), line_of(status="failed"), line_of(status=None),
], ids=lambda line: line[:20])  # fmt: skip
def test_lines_that_are_no_rows(tmp_path, line):
    path = tmp_path / "t.jsonl"
    table.write(path, HEAD, ROWS)
    path.write_text(path.read_text() + line + "\n")
    refused(table.read, path)


def test_a_damaged_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    table.write(path, HEAD, [dataclasses.replace(row, image="c.png") for row in ROWS])
    whole = path.read_bytes()
    for content in (
        b"",
        b"PAR1",
        whole[:-9],
        whole[:200],
        whole[: len(whole) // 2] + whole[-300:],
        bytes(999),
    ):
        path.write_bytes(content)
        refused(table.read, path)
    for columns in ({"image": ["a"]}, {"x": [1]}, {name: ["x"] for name in table.COLUMNS}):
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        refused(table.read, path)


def test_a_damaged_file_of_features_is_begun_anew(tmp_path):
    path = tmp_path / "f.h5"
    for content in (b"", b"<html>", bytes(3000)):
        path.write_bytes(content)
        file = FeatureFile(path, ())
        assert file.read() == {}
    file.write([])
    whole = path.read_bytes()
    for keep in (50, 900, len(whole) - 200):
        path.write_bytes(whole[:keep])
        assert file.read() == {}
    file.write([])
    with h5py.File(path, "a") as opened:
        del opened["features"]
        opened["features"] = np.zeros(7)
        del opened["status"]
    assert file.read() == {}
