"""From the score files of a rated set to one rating an image; a small function for each native format.

A reader takes the path of the set's score file (or folder of them), finds what lies beside it, and
gives the ratings in the file's order, scores as they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from datasets.rated.file_lookup import FileLookup
from datasets.rated.score_files import (
    Row,
    matlab_numbers,
    matlab_texts,
    matlab_variables,
    read_header,
    read_lines,
    read_table,
)
from utils.errors import UserError

Part = Literal["train", "validation", "test"]

_PARTS: dict[str, Part] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip

# What columns of tables of scores are usually called; the first goes before all others.
IMAGE_COLUMNS = (
    "image", "filename", "file_name", "file", "image_name", "image_path", "img", "img_name", "name", "path",
)  # fmt: skip
MOS_COLUMNS = ("mos", "dmos", "score", "mean_opinion_score", "quality")

# LIVE's blocks in the order of its score file; entry k of a block is FOLDER/imgk.bmp.
LIVE_BLOCKS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}

# CSIQ's distortions as the workbook writes them -> folder, and token in the image's name.
CSIQ_DISTORTIONS = {
    "noise": ("awgn", "AWGN"), "blur": ("blur", "BLUR"), "contrast": ("contrast", "contrast"),
    "fnoise": ("fnoise", "fnoise"), "jpeg": ("jpeg", "JPEG"), "jpeg 2000": ("jpeg2000", "jpeg2000"),
}  # fmt: skip

_CID2013_NAME = re.compile(r"IS_(I|II|III|IV|V|VI)_C(\d\d)_D\d\d", re.IGNORECASE)
_CID2013_SETS = ("I", "II", "III", "IV", "V", "VI")


@dataclass(frozen=True)
class Rating:
    """An image's score as its authors wrote it, and where in which file.

    `image` is relative to the set's folder of images. Images of one content (reference image,
    prompt, scene) share their `reference`; `split` is the official part they belong to.
    """

    image: str
    score: float
    file: Path
    where: str
    reference: str | None = None
    split: Part | None = None


def rating(
    row: Row, image: str, score: str, reference: str | None = None, split: Part | None = None
) -> Rating:
    """The rating of `image` whose score stands in the column `score` of `row`."""
    return Rating(image, row.number(score), row.file, row.where, reference, split)


def read_csv_scores(path: Path, image_column: str = "", mos_column: str = "") -> list[Rating]:
    """Any table with a column of file names and one of scores, and perhaps reference and split.

    Args:
        path: of the table.
        image_column: its name; empty: the one of `IMAGE_COLUMNS` that is there, "image" before all others.
        mos_column: likewise, of `MOS_COLUMNS` and "mos".

    Raises:
        UserError: a column is not there, or it cannot be said which of several is meant.
    """
    header = list(read_header(path))
    image = _column(path, header, image_column, IMAGE_COLUMNS, "--image_column")
    mos = score_column(path, mos_column)
    rows = read_table(path, (image, mos), optional=("reference", "split"))
    return [
        rating(row, row.text(image), mos, row.cells.get("reference") or None, _part(row, "split"))
        for row in rows
    ]


def score_column(path: Path, named: str = "") -> str:
    """The column of a table that holds the scores, as `read_csv_scores` chooses it."""
    return _column(path, list(read_header(path)), named, MOS_COLUMNS, "--mos_column")


def _column(path: Path, header: list[str], named: str, usual: tuple[str, ...], flag: str) -> str:
    if named:
        if named.lower() not in header:
            raise UserError(
                f"{path} line 1: there is no column '{named}' ({flag}), found {', '.join(header)}."
            )
        return named.lower()
    found = [column for column in usual if column in header]
    if not found:
        raise UserError(
            f"{path} line 1: expected one column '{usual[0]}', found {', '.join(header)}; name another "
            f"with {flag}."
        )
    if len(found) > 1 and found[0] != usual[0]:
        raise UserError(f"{path} line 1: columns {' and '.join(found)} could be meant; name one with {flag}.")
    return found[0]


def read_clive(path: Path) -> list[Rating]:
    """Two MATLAB files in one order: names and scores."""
    names_file = _beside(path, "AllImages_release.mat")
    names = matlab_texts(names_file, "AllImages_release")
    scores = matlab_numbers(path, "AllMOS_release")
    if len(names) != len(scores):
        raise UserError(
            f"{path.parent}: {len(names)} names in {names_file.name} but {len(scores)} scores in {path.name}."
        )
    entries = zip(names, scores, strict=True)
    return [Rating(name, score, path, f"entry {k}") for k, (name, score) in enumerate(entries, 1)]


def read_koniq(path: Path) -> list[Rating]:
    """The z-scored MOS, as the authors of GRepQ take it, from either of the two files.

    It is `MOS_zscore` where there is such a column: beside it, `MOS` is the mean on the scale from 1 to 5.
    In the file with the official parts it is called `MOS`.
    """
    rows = read_table(path, ("image_name",))
    columns = set(rows[0].cells) if rows else {"mos_zscore"}
    column = "mos_zscore" if "mos_zscore" in columns else "mos"
    if column == "mos" and not {"mos", "set"} <= columns:
        raise UserError(f"{path} line 1: expected a column 'MOS_zscore', or the columns 'MOS' and 'set'.")
    return [rating(row, row.text("image_name"), column, split=_part(row, "set")) for row in rows]


def read_spaq(path: Path) -> list[Rating]:
    """A workbook with a row an image; its other columns are attributes."""
    rows = read_table(path, ("image name", "mos"), sheet="Sheet1")
    return [rating(row, row.text("image name"), "mos") for row in rows]


def read_flive(path: Path) -> list[Rating]:
    """`labels_image.csv`; the official parts are named by two more tables, where they are there.

    What labels640.csv lists is the test part; the padded table says of the rest whether it is validation.
    """
    test = _first_beside(path, "labels640.csv", "labels>640.csv")
    rest = _first_beside(path, "labels=640_padded.csv", "labels<=640_padded.csv")
    parts: dict[str, Part] = {}
    if rest is not None:
        for row in read_table(rest, ("name_image", "is_valid")):
            valid = row.text("is_valid").lower() in ("true", "1", "1.0")
            parts[_bare(row.text("name_image"))] = "validation" if valid else "train"
    if test is not None:
        parts.update({_bare(row.text("name_image")): "test" for row in read_table(test, ("name_image",))})
    return [
        # Three images are in no official part.
        rating(row, row.text("name"), "mos", split=parts.get(_bare(row.text("name"))))
        for row in read_table(path, ("name", "mos"))
    ]


def read_live(path: Path) -> list[Rating]:
    """982 entries block by block; those with `orgs` are copies of the references, which nobody rates."""
    variable = "dmos_new" if "realigned" in path.name.lower() else "dmos"
    # Whether the realigned file has `orgs` itself depends on the copy.
    orgs_file = path if "orgs" in matlab_variables(path) else _beside(path, "dmos.mat")
    names_file = _beside(path, "refnames_all.mat")
    scores, orgs = matlab_numbers(path, variable), matlab_numbers(orgs_file, "orgs")
    references = matlab_texts(names_file, "refnames_all")
    images = [f"{folder}/img{k}.bmp" for folder, count in LIVE_BLOCKS.items() for k in range(1, count + 1)]
    for file, name, found in (
        (path, variable, scores), (orgs_file, "orgs", orgs), (names_file, "refnames_all", references),
    ):  # fmt: skip
        if len(found) != len(images):
            raise UserError(f"{file}: '{name}' has {len(found)} entries, expected {len(images)}.")
    entries = zip(images, scores, orgs, references, strict=True)
    return [
        Rating(image, score, path, f"entry {place}", reference.lower())
        for place, (image, score, org, reference) in enumerate(entries, 1)
        if not org
    ]


def read_csiq(path: Path) -> list[Rating]:
    """The sheet that lists all images by reference; names are put together from its columns."""
    columns = ("image", "dst_type", "dst_lev", "dmos")
    ratings = []
    for row in read_table(path, columns, sheet="all_by_image"):
        reference, kind = row.text("image"), row.text("dst_type").lower()
        if kind not in CSIQ_DISTORTIONS:
            raise UserError(
                f"{path} {row.where}: dst_type '{kind}' is none of {', '.join(CSIQ_DISTORTIONS)}."
            )
        folder, token = CSIQ_DISTORTIONS[kind]
        name = f"{folder}/{reference}.{token}.{int(row.number('dst_lev'))}.png"
        ratings.append(rating(row, name, "dmos", reference.lower()))
    return ratings


def read_tid2013(path: Path) -> list[Rating]:
    """Lines of score and name; the name begins with its reference, in upper or lower case."""
    rows = read_lines(path, ("mos", "image"))
    return [rating(row, row.text("image"), "mos", row.text("image")[:3].lower()) for row in rows]


def read_kadid(path: Path) -> list[Rating]:
    """A CSV; its column `dmos` is higher where the quality is."""
    rows = read_table(path, ("dist_img", "ref_img", "dmos"))
    return [rating(row, row.text("dist_img"), "dmos", row.text("ref_img").lower()) for row in rows]


def read_pipal(path: Path) -> list[Rating]:
    """A folder with a text file for each reference, or one text file of all: name, Elo."""
    files = FileLookup().match(path, "*.txt") if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: holds no .txt file of scores.")
    rows = [row for file in files for row in read_lines(file, ("image", "elo"), ",")]
    return [rating(row, row.text("image"), "elo", row.text("image").partition("_")[0]) for row in rows]


def read_cid2013(path: Path) -> list[Rating]:
    """The workbook's realigned scores, which alone compare across its six sets of images."""
    ratings = []
    for row in read_table(path, ("source_id", "realigned mos"), sheet="CID2013 MOS"):
        name = row.text("source_id").removesuffix(".jpg")
        match = _CID2013_NAME.fullmatch(name)
        if match is None:
            raise UserError(f"{path} {row.where}: Source_ID '{name}' is not like IS_I_C01_D01.")
        number, scene = _CID2013_SETS.index(match[1].upper()) + 1, int(match[2])
        # A scene recurs across devices and sets, so it is one content.
        ratings.append(rating(row, f"IS{number}/co{scene}/{name}.jpg", "realigned mos", f"scene {scene}"))
    return ratings


def read_agiqa(path: Path) -> list[Rating]:
    """A CSV; of its two scores that of quality. Images of one prompt are one content."""
    rows = read_table(path, ("name", "prompt", "mos_quality"))
    return [rating(row, row.text("name"), "mos_quality", row.text("prompt")) for row in rows]


def read_bid(path: Path) -> list[Rating]:
    """A workbook that numbers its images."""
    rows = read_table(path, ("image number", "average subjective grade"), sheet="Plan1")
    return [
        rating(row, f"DatabaseImage{int(row.number('image number')):04d}.JPG", "average subjective grade")
        for row in rows
    ]


def read_uhd_iqa(path: Path) -> list[Rating]:
    """A CSV; the official part is the folder of the image too."""
    rows = read_table(path, ("image_name", "quality_mos", "set"))
    return [
        rating(row, f"{row.text('set')}/{row.text('image_name')}", "quality_mos", split=_part(row, "set"))
        for row in rows
    ]


def _part(row: Row, column: str) -> Part | None:
    word = row.cells.get(column, "").lower()
    if word and word not in _PARTS:
        raise UserError(f"{row.file} {row.where}: {column} '{word}' is none of {', '.join(_PARTS)}.")
    return _PARTS.get(word)


def _beside(path: Path, name: str) -> Path:
    """The file called `name`, in any case, beside `path`; its plain path where there is none."""
    return FileLookup().find(path.with_name(name))


def _first_beside(path: Path, *names: str) -> Path | None:
    return next((file for file in (_beside(path, name) for name in names) if file.is_file()), None)


def _bare(name: str) -> str:
    return PurePosixPath(name).name.lower()
