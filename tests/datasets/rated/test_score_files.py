"""Score files that are damaged, or not what their name says: a sentence, never a traceback."""

import sys

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets.rated.score_files import read_lines, read_table
from datasets.rated.sets import load_scores_table
from utils.errors import UserError


@pytest.fixture
def book(tmp_path):
    """A workbook whose header is in the third row of its second sheet."""
    workbook = openpyxl.Workbook()
    workbook.active.append(["image", "other"])
    sheet = workbook.create_sheet("scores")
    for row in (
        [],
        ["MOS of a study"],
        ["Image", " M O S ", "mos"],
        [1600, "x", 2.5],
        [None, "note"],
        ["b", 0, 3],
    ):
        sheet.append(row)
    workbook.save(tmp_path / "book.xlsx")
    return tmp_path / "book.xlsx"


@pytest.mark.parametrize("sheet", ["scores", "another", ""])
def test_workbook(book, sheet):
    rows = read_table(book, ("image", "mos"), sheet=sheet)
    assert [(row.text("image"), row.number("mos")) for row in rows] == [("1600", 2.5), ("b", 3)]
    assert rows[1].where == "row 6 of sheet 'scores'"


def test_the_named_sheet_goes_before_others_with_the_columns(tmp_path):
    workbook = openpyxl.Workbook()
    for title, mos in (("old", 1), ("final", 2)):
        sheet = workbook.create_sheet(title)
        sheet.append(["image", "mos"])
        sheet.append(["a", mos])
    workbook.save(tmp_path / "book.xlsx")
    (row,) = read_table(tmp_path / "book.xlsx", ("image", "mos"), sheet="final")
    assert row.number("mos") == 2


def test_workbook_without_the_columns(book):
    with pytest.raises(UserError, match=r"no row has the columns 'image', 'dmos'; .* 'Sheet', 'scores'"):
        read_table(book, ("image", "dmos"))


def test_workbook_without_openpyxl(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"book\.xlsx: .* pip install openpyxl"):
        read_table(book, ("image", "mos"))


@pytest.mark.parametrize("keep", [0, 10, 2000, -30])
def test_damaged_workbook(book, keep):
    book.write_bytes(book.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"book\.xlsx: is not a readable \.xlsx file"):
        read_table(book, ("image", "mos"))


def test_empty_and_wrong_cells_of_a_workbook(tmp_path):
    workbook = openpyxl.Workbook()
    for row in (["image", "mos"], [None, 1], ["a", "#REF!"]):
        workbook.active.append(row)
    workbook.save(tmp_path / "book.xlsx")
    nameless, scoreless = read_table(tmp_path / "book.xlsx", ("image", "mos"))
    with pytest.raises(UserError, match="row 2 of sheet 'Sheet': the column 'image' is empty"):
        nameless.text("image")
    with pytest.raises(UserError, match="row 3 of sheet 'Sheet': mos '#REF!' is not a finite number"):
        scoreless.number("mos")


@given(st.binary(max_size=100))
def test_any_bytes_are_lines_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content + b"\none two three\n")
    with pytest.raises(UserError):
        read_lines(path, ("mos", "image"))


@pytest.mark.parametrize("text", [
    "filename;MOS\n0.png;3,5\n1.png;2\n", "MOS\tFile_Name\n3,5\t0.png\n2\t1.png\n",
    "\ufeffimage_name,score\n0.png,3.5\n1.png,2\n", "image,name,mos\n0.png,a,3.5\n1.png,b,2\n",
])  # fmt: skip
def test_tables_as_spreadsheets_write_them(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    for k in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{k}.png")
    rated = load_scores_table(tmp_path / "t.csv")
    assert [(image.name, image.mos) for image in rated.images] == [("0.png", 3.5), ("1.png", 2.0)]
    assert (rated.kind, rated.remarks) == ("MOS", ())


def test_a_dmos_has_its_sign_turned_and_columns_can_be_named(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "t.csv").write_text("name,file,DMOS,score\nx,0.png,40,7\n")
    with pytest.raises(
        UserError, match=r"columns file and name could be meant; name one with --image_column"
    ):
        load_scores_table(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"columns dmos and score could be meant; name one with --mos_column"):
        load_scores_table(tmp_path / "t.csv", None, "file")
    with pytest.raises(UserError, match="there is no column 'files'"):
        load_scores_table(tmp_path / "t.csv", None, "files", "score")
    assert load_scores_table(tmp_path / "t.csv", None, "File", "score").images[0].mos == 7
    rated = load_scores_table(tmp_path / "t.csv", None, "file", "DMOS")
    assert (rated.images[0].mos, rated.kind) == (-40, "DMOS")
    assert "t.csv publishes a DMOS, lower is better; its sign is turned" in rated.remarks[0]
