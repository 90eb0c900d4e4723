"""Each rated set in miniature, laid out as its authors publish it."""

import csv
import io

import numpy as np
import openpyxl
import pytest
import scipy.io
from PIL import Image

from datasets.rated.readers import LIVE_BLOCKS
from datasets.rated.sets import RATED_SETS, find_layout, load_rated_set, shortfall
from utils.errors import UserError


def pictures(folder, *names):
    """An image of a few pixels under each name, whatever the format its suffix says."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "BMP")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(buffer.getvalue())


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def workbook(path, **sheets):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name.replace("__", " "))
        for row in rows:
            sheet.append(row)
    book.save(path)


def cells(names):
    """A (1, n) cell array of character arrays, as MATLAB writes it."""
    array = np.empty((1, len(names)), object)
    array[0, :] = names
    return array


def found(rated):
    """(name, score handed on, content, official part) of each image, all of which must be there."""
    assert rated.missing == ()
    assert all(image.path.is_file() for image in rated.images)
    return [(image.name, image.mos, image.reference, image.split) for image in rated.images]


# -- KonIQ-10k ------------------------------------------------------------------------------------------

SETS_FILE = (
    "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set",
    "10004473376.jpg,0.0,0.0,0.238095238095,0.695238095238,0.0666666666667,105,77.38,0.527277894494,training",
    "10007357496.jpg,0.0,0.0,0.25,0.7,0.05,100,62.5,0.6,validation",
    "10007903636.jpg,0.0,0.0,0.25,0.7,0.05,100,61.5,0.6,test",
)
SCORES_FILE = (
    "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore",
    "10004473376.jpg,0,0,25,73,7,105,3.828571,0.52728,77.38",
    "10007357496.jpg,0,0,25,70,5,100,3.4,0.6,62.5",
    "10007903636.jpg,0,0,25,70,5,100,3.3,0.6,61.5",
)
KONIQ_NAMES = [line.split(",")[0] for line in SETS_FILE[1:]]


@pytest.fixture
def koniq(tmp_path):
    text(tmp_path / "koniq10k_distributions_sets.csv", *SETS_FILE)
    text(tmp_path / "koniq10k_scores_and_distributions.csv", *SCORES_FILE)
    for size in ("1024x768", "512x384"):
        pictures(tmp_path / size, *KONIQ_NAMES)
    return tmp_path


def test_koniq(koniq):
    rated = load_rated_set("KONIQ", koniq)
    assert found(rated) == [
        ("10004473376.jpg", 77.38, None, "train"),
        ("10007357496.jpg", 62.5, None, "validation"),
        ("10007903636.jpg", 61.5, None, "test"),
    ]
    assert (rated.name, rated.kind, rated.native_range) == ("KonIQ-10k", "MOS", (0, 100))
    assert (rated.expected, rated.split_rule) == (10073, "official")


def test_koniq_scores_without_the_official_parts_are_the_same(koniq):
    parts = [image.mos for image in load_rated_set("KonIQ-10k", koniq).images]
    (koniq / "koniq10k_distributions_sets.csv").unlink()
    rated = load_rated_set("KonIQ-10k", koniq)
    assert [image.mos for image in rated.images] == parts  # not the MOS from 1 to 5
    assert rated.split_rule == "image"
    assert any("the official split is not known" in remark for remark in rated.remarks)


def test_koniq_mos_of_an_unknown_scale_is_refused(koniq):
    (koniq / "koniq10k_distributions_sets.csv").unlink()
    text(koniq / "koniq10k_scores_and_distributions.csv", "image_name,MOS", "10004473376.jpg,3.8")
    with pytest.raises(UserError, match="expected a column 'MOS_zscore', or the columns 'MOS' and 'set'"):
        load_rated_set("KonIQ-10k", koniq)


@pytest.mark.parametrize("named, taken", [
    (".", "1024x768"), ("1024x768", "1024x768"), ("512x384", "512x384"),
])  # fmt: skip
def test_koniq_sizes(koniq, named, taken):
    rated = load_rated_set("KonIQ-10k", koniq / named)
    other = ({"1024x768", "512x384"} - {taken}).pop()
    assert {image.path.parent.name for image in rated.images} == {taken}
    (remark,) = rated.remarks
    assert taken in remark.partition(";")[0] and other in remark.partition(";")[2]


def test_koniq_smaller_size_alone(koniq):
    for name in KONIQ_NAMES:
        (koniq / "1024x768" / name).unlink()
    rated = load_rated_set("KonIQ-10k", koniq)
    assert {image.path.parent.name for image in rated.images} == {"512x384"}


def test_koniq_sizes_are_never_mixed(koniq):
    (koniq / "1024x768" / KONIQ_NAMES[0]).unlink()
    assert load_rated_set("KonIQ-10k", koniq).missing == (KONIQ_NAMES[0],)


# -- SPAQ -----------------------------------------------------------------------------------------------

SPAQ_ROWS = [
    ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"],
    ["00001.jpg", 48.86, 47.43, 55.57, 55.71, 37.86, 42.57],
    ["00002.jpg", 62.5, 55.38, 67.13, 53.13, 57.5, 47.5],
]


@pytest.mark.parametrize("place", [
    "Annotations/MOS and Image attribute scores.xlsx", "MOS_and_Image_attribute_scores.xlsx",
])  # fmt: skip
def test_spaq(tmp_path, place):
    workbook(tmp_path / place, Sheet1=SPAQ_ROWS)
    pictures(tmp_path / "TestImage", "00001.jpg", "00002.jpg")
    for folder in (tmp_path, tmp_path / "TestImage"):
        rated = load_rated_set("SPAQ", folder)
        assert found(rated) == [("00001.jpg", 48.86, None, None), ("00002.jpg", 62.5, None, None)]
    assert (rated.expected, rated.split_rule) == (11125, "image")


# -- FLIVE ----------------------------------------------------------------------------------------------

FLIVE_NAMES = [
    "blur_dataset/motion0044.jpg", "voc_emotic_ava/AVA__129332.jpg", "voc_emotic_ava/EMOTIC__a.JPG",
    "EE371R/rq59.jpg",
]  # fmt: skip


def flive_labels(root):
    text(root / "labels_image.csv", "name,mos", *(f"{name},{70 + k}" for k, name in enumerate(FLIVE_NAMES)))


@pytest.mark.parametrize("labels", [".", "database"])
@pytest.mark.parametrize("named", [".", "database", "database/blur_dataset"])
def test_flive(tmp_path, labels, named):
    flive_labels(tmp_path / labels)
    text(tmp_path / labels / "labels640.csv", "mos_patch_1,name_image,mos_image", f"70,{FLIVE_NAMES[2]},72")
    text(tmp_path / labels / "labels=640_padded.csv", "name_image,is_valid",
         f"{FLIVE_NAMES[0]},False", f"{FLIVE_NAMES[1]},True")  # fmt: skip
    pictures(tmp_path / "database", *FLIVE_NAMES, "patches/motion0044.jpg_patch_1.jpg")
    rated = load_rated_set("LIVE-FB", tmp_path / named)
    parts = ("train", "validation", "test", None)
    assert found(rated) == [
        (name, 70 + k, None, part) for k, (name, part) in enumerate(zip(FLIVE_NAMES, parts, strict=True))
    ]
    assert (rated.name, rated.expected, rated.split_rule, rated.remarks) == ("FLIVE", 39810, "official", ())


def test_flive_without_its_parts(tmp_path):
    flive_labels(tmp_path)
    pictures(tmp_path / "database", *FLIVE_NAMES)
    rated = load_rated_set("FLIVE", tmp_path)
    assert rated.split_rule == "image"
    assert [remark.split()[1] for remark in rated.remarks] == ["labels640.csv", "labels=640_padded.csv"]


# -- LIVE -----------------------------------------------------------------------------------------------

LIVE_NAMES = [f"{folder}/img{k}.bmp" for folder, n in LIVE_BLOCKS.items() for k in range(1, n + 1)]
# 203 copies of references, some in each block.
ORGS = np.zeros(982)
ORGS[np.linspace(0, 981, 203).astype(int)] = 1
LIVE_DMOS = np.where(ORGS == 1, 0, np.linspace(1, 100, 982))


@pytest.fixture
def live(tmp_path):
    root = tmp_path / "databaserelease2"
    pictures(root, *LIVE_NAMES, "refimgs/rapids.bmp")
    references = [("Rapids.bmp", "sailing1.bmp")[k % 2] for k in range(982)]
    scipy.io.savemat(root / "dmos.mat", {"dmos": LIVE_DMOS[None], "orgs": ORGS[None]})
    scipy.io.savemat(root / "refnames_all.mat", {"refnames_all": cells(references)})
    return root


def test_live(live):
    scipy.io.savemat(live / "dmos_realigned.mat", {"dmos_new": LIVE_DMOS[None] + 5, "orgs": ORGS[None]})
    rated = load_rated_set("LIVE", live)
    kept = [k for k in range(982) if not ORGS[k]]
    assert found(rated) == [
        (LIVE_NAMES[k], pytest.approx(-LIVE_DMOS[k] - 5), ("rapids.bmp", "sailing1.bmp")[k % 2], None)
        for k in kept
    ]
    assert len(rated.images) == rated.expected == 779
    assert shortfall(rated) == []
    assert (rated.kind, rated.split_rule) == ("DMOS", "reference")
    assert rated.remarks == ("LIVE publishes a DMOS, lower is better; its sign is turned: higher is better.",)


def test_live_blocks_are_in_their_order(live):
    names = [image.name for image in load_rated_set("live", live).images]
    assert list(dict.fromkeys(name.split("/")[0] for name in names)) == [
        "jp2k", "jpeg", "wn", "gblur", "fastfading",
    ]  # fmt: skip
    assert LIVE_NAMES[227] == "jpeg/img1.bmp" and LIVE_NAMES[981] == "fastfading/img174.bmp"


def test_live_first_scores_say_so(live):
    rated = load_rated_set("LIVE", live / "jp2k")
    assert rated.images[0].mos == pytest.approx(-LIVE_DMOS[ORGS == 0][0])
    assert "dmos_realigned.mat, are recommended and not there" in rated.remarks[1]


def test_live_realigned_scores_without_orgs(live):
    scipy.io.savemat(live / "dmos_realigned.mat", {"dmos_new": LIVE_DMOS[None] + 5})
    assert len(load_rated_set("LIVE", live).images) == 779


def test_live_cut_to_the_distorted_is_refused(live):
    kept = LIVE_DMOS[ORGS == 0][None]
    scipy.io.savemat(live / "dmos_realigned.mat", {"dmos_new": kept, "orgs": kept * 0})
    with pytest.raises(UserError, match=r"dmos_realigned\.mat: 'dmos_new' has 779 entries, expected 982"):
        load_rated_set("LIVE", live)


# -- CSIQ -----------------------------------------------------------------------------------------------

CSIQ_ROWS = [
    [], [], ["", "a note"],
    [None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"],
    [None, None, None, 1600, 1, "noise", 1, 0.0612, 0.062],
    [None, None, None, 1600, 3, "jpeg 2000", 2, 0.0971, 0.206],
    [None, None, None, "aerial_city", 2, "jpeg", 5, 0.1, 1],
    [None, None, None, "aerial_city", 6, "contrast", 3, 0.1, 0],
]  # fmt: skip


@pytest.mark.parametrize("folders", ["lower", "upper"])
def test_csiq(tmp_path, folders):
    other = [["image", "dmos"], ["#REF!", "#REF!"]]
    workbook(tmp_path / "csiq.DMOS.xlsx", all_by_distortion=other, all_by_image=CSIQ_ROWS)
    names = ["awgn/1600.AWGN.1.png", "jpeg2000/1600.jpeg2000.2.png", "jpeg/aerial_city.JPEG.5.png",
             "contrast/aerial_city.contrast.3.png"]  # fmt: skip
    for name in names:
        folder, file = name.split("/")
        pictures(tmp_path / "dst_imgs" / getattr(folder, folders)(), file)
    pictures(tmp_path / "src_imgs", "1600.png", "aerial_city.png")
    rated = load_rated_set("CSIQ", tmp_path)
    scores, references = (-0.062, -0.206, -1, 0), ("1600", "1600", "aerial_city", "aerial_city")
    assert found(rated) == list(zip(names, scores, references, [None] * 4, strict=True))
    assert (rated.kind, rated.native_range, rated.expected) == ("DMOS", (0, 1), 866)
    assert rated.split_rule == "reference"
    assert len(load_rated_set("CSIQ", tmp_path / "dst_imgs").images) == 4


def test_csiq_unknown_distortion(tmp_path):
    workbook(tmp_path / "csiq.beta.xlsx", all_by_image=[*CSIQ_ROWS[:4], [*CSIQ_ROWS[4][:5], "fog", 1, 0, 0]])
    with pytest.raises(UserError, match="row 5 of sheet 'all_by_image': dst_type 'fog' is none of noise"):
        load_rated_set("CSIQ", tmp_path)


# -- TID2013, KADID-10k, PIPAL --------------------------------------------------------------------------


def test_tid2013(tmp_path):
    root = tmp_path / "tid2013"
    text(root / "mos_with_names.txt", "5.51429 I01_01_1.bmp", "5.56757 i01_01_2.bmp", "5.9 I01_11_1.BMP",
         "5.0 i25_24_5.bmp")  # fmt: skip
    pictures(root / "distorted_images", "i01_01_1.bmp", "I01_01_2.BMP", "I01_11_1.bmp", "i25_24_5.bmp")
    pictures(root / "reference_images", "I01.BMP", "i25.bmp")
    for folder in (root, root / "distorted_images", tmp_path):
        rated = load_rated_set("TID2013", folder)
        assert found(rated) == [
            ("I01_01_1.bmp", 5.51429, "i01", None), ("i01_01_2.bmp", 5.56757, "i01", None),
            ("I01_11_1.BMP", 5.9, "i01", None), ("i25_24_5.bmp", 5.0, "i25", None),
        ]  # fmt: skip
    assert (rated.kind, rated.native_range, rated.expected) == ("MOS", (0, 9), 3000)


def test_tid2013_line_that_is_not_score_and_name(tmp_path):
    text(tmp_path / "mos_with_names.txt", "5.5 I01_01_1.bmp", "5.5")
    with pytest.raises(UserError, match="line 2: has 1 cells, expected these: mos, image"):
        load_rated_set("TID2013", tmp_path)
    text(tmp_path / "mos_with_names.txt", "I01_01_1.bmp 5.5")
    with pytest.raises(UserError, match=r"line 1: mos 'I01_01_1\.bmp' is not a finite number"):
        load_rated_set("TID2013", tmp_path)


def test_kadid_column_dmos_is_a_mos(tmp_path):
    root = tmp_path / "kadid10k"
    text(root / "dmos.csv", "dist_img,ref_img,dmos,var", "I01_01_01.png,I01.png,4.57,0.496",
         "I01_01_02.png,I01.png,4.33,0.869", "I81_25_05.png,I81.png,1.0,0.1")  # fmt: skip
    pictures(root / "images", "I01.png", "I01_01_01.png", "I01_01_02.png", "I81.png", "I81_25_05.png")
    rated = load_rated_set("KADID", root)
    assert found(rated) == [
        ("I01_01_01.png", 4.57, "i01.png", None), ("I01_01_02.png", 4.33, "i01.png", None),
        ("I81_25_05.png", 1.0, "i81.png", None),
    ]  # fmt: skip
    assert (rated.name, rated.kind, rated.expected, rated.remarks) == ("KADID-10k", "MOS", 10125, ())


@pytest.mark.parametrize("labels, folder", [
    ("Train_Label", "Distortion_{}"), ("MOS_Scores_train", "Distortion/Distortion_{}"),
    ("Train_Label", "Distortion{}"), ("Train_Label", "Dist_Imgs"),
])  # fmt: skip
def test_pipal(tmp_path, labels, folder):
    text(tmp_path / labels / "A0001.txt", "A0001_00_00.bmp,1520.0648", "A0001_00_01.bmp, 1437.0798")
    text(tmp_path / labels / "A0185.txt", "A0185_06_26.bmp,1300")
    pictures(tmp_path / folder.format(1), "A0001_00_00.bmp", "A0001_00_01.bmp")
    pictures(tmp_path / folder.format(4), "A0185_06_26.bmp")
    pictures(tmp_path / "Train_Ref", "A0001.bmp", "A0185.bmp")
    for named in (tmp_path, tmp_path / folder.format(4)):
        rated = load_rated_set("pipal", named)
        assert found(rated) == [
            ("A0001_00_00.bmp", 1520.0648, "A0001", None), ("A0001_00_01.bmp", 1437.0798, "A0001", None),
            ("A0185_06_26.bmp", 1300, "A0185", None),
        ]  # fmt: skip
    assert (rated.expected, rated.split_rule, rated.remarks) == (23200, "reference", ())


# -- CID2013, AGIQA-3K, BID, UHD-IQA --------------------------------------------------------------------


def test_cid2013(tmp_path):
    rows = [
        ["Source_ID", "n", "Image set specific  MOS", "Realigned  MOS", "Sharpness"],
        ["IS_I_C01_D01", 1, 20.5, 3.34364303351907, 9],
        ["IS_I_C02_D02", 1, 70.5, 71.1818902079248, 9],
        ["IS_VI_C01_D14", 1, 30.5, -9.549, 9],
    ]
    workbook(tmp_path / "CID2013 data - version 12112014.xlsx", Info=[["x"]], CID2013__MOS=rows)
    names = ["IS1/co1/IS_I_C01_D01.jpg", "IS1/co2/IS_I_C02_D02.jpg", "IS6/co1/IS_VI_C01_D14.jpg"]
    pictures(tmp_path, *names)
    rated = load_rated_set("CID2013", tmp_path)
    scores, scenes = (3.34364303351907, 71.1818902079248, -9.549), ("scene 1", "scene 2", "scene 1")
    assert found(rated) == list(zip(names, scores, scenes, [None] * 3, strict=True))
    assert len(load_rated_set("CID2013", tmp_path / "IS1/co1").images) == 3
    assert (rated.expected, rated.split_rule, rated.remarks) == (474, "reference", ())


@pytest.mark.parametrize("folder", ["images", "Images", "."])
def test_agiqa(tmp_path, folder):
    prompt = "die cut sticker of a pair of lips , warm color"
    rows = [["name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align",
             "std_align"],
            ["AttnGAN_normal_000.jpg", "statue of a man", "", "", "", 0.9656, 0.22, 0.4089, 0.61],
            ["AttnGAN_normal_120.jpg", prompt, "warm color", "", "", 0.94, 0.32, 0.69, 0.25],
            ["DALLE2_normal_120.jpg", prompt, "warm color", "", "", 3.5, 0.32, 0.69, 0.25]]  # fmt: skip
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    pictures(tmp_path / folder, *(row[0] for row in rows[1:]))
    rated = load_rated_set("AGIQA-3K", tmp_path)
    assert found(rated) == [(row[0], row[5], row[1], None) for row in rows[1:]]
    assert (rated.expected, rated.split_rule) == (2982, "reference")


@pytest.mark.parametrize("folder", ["ImageDatabase", "."])
def test_bid(tmp_path, folder):
    rows = [["Image Number", "Average Subjective Grade", "Number of Grades", "Grade #1", "Grade #2"],
            [1.0, 4.516640224615385, 2.0, 4.1, 4.9], [3.0, 1.30018912, 1.0, 0.9],
            [590, 0, 1, 0], []]  # fmt: skip
    workbook(tmp_path / "DatabaseGrades.xlsx", Plan1=rows, Plan2=[], Plan3=[])
    names = ["DatabaseImage0001.JPG", "DatabaseImage0003.JPG", "DatabaseImage0590.JPG"]
    pictures(tmp_path / folder, *names)
    rated = load_rated_set("BID", tmp_path)
    assert [(image.name, image.mos) for image in rated.images] == [
        *zip(names, (4.516640224615385, 1.30018912, 0), strict=True)
    ]
    assert (rated.missing, rated.expected, rated.split_rule) == ((), 586, "image")


def test_bid_in_the_old_format(tmp_path):
    (tmp_path / "DatabaseGrades.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(UserError, match=r"old Excel format; save it beside itself as \.xlsx or \.csv"):
        load_rated_set("BID", tmp_path)


def test_uhd_iqa(tmp_path):
    text(tmp_path / "uhd-iqa-metadata.csv", '"image_name","quality_mos","set","subset","orig_width"',
         '"1.jpg",0.76,"training","",5515', '"1.jpg",0.3,"validation","exclusive",5515',
         '"2.jpg",0.5,"test","",5515')  # fmt: skip
    names = ["training/1.jpg", "validation/1.jpg", "test/2.jpg"]
    pictures(tmp_path, *names)
    for folder in (tmp_path, tmp_path / "training"):
        rated = load_rated_set("UHD-IQA", folder)
        parts = ("train", "validation", "test")
        assert found(rated) == list(zip(names, (0.76, 0.3, 0.5), [None] * 3, parts, strict=True))
    assert (rated.expected, rated.split_rule, rated.native_range) == (6073, "official", (0, 1))


# -- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, row", [
    ("KONIQ", "KonIQ-10k"), ("koniq10k", "KonIQ-10k"), ("clive", "CLIVE"), ("LIVEC", "CLIVE"),
    ("live_fb", "FLIVE"), ("LIVE", "LIVE"), ("kadid10k", "KADID-10k"), ("tid2013", "TID2013"),
    ("agiqa3k", "AGIQA-3K"), ("uhd-iqa", "UHD-IQA"), ("CSV", "csv"),
])  # fmt: skip
def test_names(name, row):
    assert find_layout(name).name == row


def test_no_name_means_two_sets():
    names = [name for row in RATED_SETS.values() for name in (row.name, *row.aliases)]
    plain = ["".join(filter(str.isalnum, name.lower())) for name in names]
    assert len(set(plain)) == len(plain) and "" not in plain
    assert len(RATED_SETS) == 14
    assert all(row.citation and row.licence for row in RATED_SETS.values())
