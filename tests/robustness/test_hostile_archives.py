"""Archives, sound and damaged, given to the command: what is in them has rows, what is wrong is told."""

import re
import struct

import pytest
from made_archives import write_tar, write_zip
from made_images import HEIGHT, WIDTH, claiming, encoded

from datasets import archives

SOUND = f"^{WIDTH}x{HEIGHT} $"
NAMES = (
    'a "b".png',
    "c, d; e.png",
    "f\ng.png",
    "../../h.png",
    "/i.png",
    "j\\k.png",
    "l/../m.png",
    "\u4e2d.png",
)


@pytest.fixture
def contents():
    return {
        **dict.fromkeys(NAMES, encoded("png")), "bomb.png": claiming("png", 65500, 65500),
        "text.jpg": b"text", "cut.jpg": encoded("jpg")[:900], "notes.txt": b"text",
        ".hidden.png": encoded("png"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "A.ZIP"])
def test_an_archive_is_read_and_nothing_is_unpacked(score, tmp_path, contents, name):
    made = (write_zip if name.lower().endswith("zip") else write_tar)(tmp_path / name, contents)
    before = sorted(tmp_path.iterdir())
    status, told, said = score(made)
    assert status == 1 and sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "scores.jsonl"])
    told = {image.removeprefix(f"{made}/"): row for image, row in told.items()}
    assert re.search("^has more than 178,956,970 pixels", told.pop("bomb.png"))
    assert re.search("^is damaged or cut short", told.pop("cut.jpg"))
    sound = [image for image, row in told.items() if re.search(SOUND, row)]
    hidden = {one for one in NAMES if any(re.match(r"\.[^./]", part) for part in one.split("/"))}
    shown = {one.removeprefix("./") for one in NAMES if one not in hidden}
    assert set(sound) == set(told) == shown
    assert f"in spite of their names: {made}/text.jpg" in said


def check_all(score, folder, cases):
    """One run on all files: of each that is named a row says what is expected."""
    for name, content, _ in cases:
        (folder / name).write_bytes(content)
    status, told, _ = score(*(folder / name for name, *_ in cases))
    assert status == 1
    for name, _, expected in cases:
        own = [row for image, row in told.items() if image.startswith(str(folder / name))]
        assert any(re.search(expected, row) for row in own), (name, own)


def encrypted(content):
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content = content[: start + at] + b"\1\0" + content[start + at + 2 :]
    return content


def test_zips_that_cannot_be_read_say_so(score, tmp_path):
    whole = write_zip(tmp_path / "whole.zip", {"a.png": encoded("png")}).read_bytes()
    directory = whole.index(b"PK\1\2")
    check_all(score, tmp_path, (
        ("cut.zip", whole[:-30], "is no archive that can be read"),
        ("empty.zip", b"", "is no archive that can be read"),
        ("text.zip", b"no zip" * 99, "is no archive that can be read"),
        ("directory.zip", whole[: directory + 4] + b"\xff" * 30 + whole[directory + 34 :], "is no archive"),
        ("locked.zip", encrypted(whole), "is encrypted"),
        ("sum.zip", whole.replace(whole[directory + 16 : directory + 20], b"abcd"), "Bad CRC-32"),
        ("data.zip", whole[:60] + b"\xff" * 400 + whole[460:], "cannot be read from its archive"),
        ("method.zip", whole[: directory + 10] + b"\x61\0" + whole[directory + 12 :], "compression"),
        ("far.zip", whole[: directory + 42] + b"\xff\xff\xff\x7f" + whole[directory + 46 :], "."),
    ))  # fmt: skip


def test_tars_that_cannot_be_read_say_so(score, tmp_path):
    contents = {f"{k}.png": encoded("png") for k in range(3)}
    whole = write_tar(tmp_path / "whole.tar", contents).read_bytes()
    packed = write_tar(tmp_path / "whole.tar.gz", contents).read_bytes()
    # A sum is of the whole archive, behind the images; these come whole.
    (tmp_path / "sum.tar.gz").write_bytes(packed[:-8] + b"abcd" + packed[-4:])
    assert score(tmp_path / "sum.tar.gz")[0] == 0
    check_all(score, tmp_path, (
        ("cut.tar", whole[:40_000], "unexpected end of data|cannot be read"),
        ("empty.tar", b"", "is no archive that can be read"),
        ("text.tar.gz", b"no tar" * 99, "is no archive that can be read"),
        ("cut.tgz", packed[:20_000], "is no archive that can be read"),
        ("head.tar", b"a.png" + b"\xff" * 600, "is no archive that can be read"),
    ))  # fmt: skip


def test_a_zip_bomb_is_read_no_further_than_the_limit(score, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 22)
    bomb = encoded("bmp") + bytes(1 << 23)
    made = write_zip(tmp_path / "bomb.zip", {"bomb.bmp": bomb, "small.png": encoded("png")})
    assert made.stat().st_size < 1 << 17
    status, told, _ = score(made)
    assert status == 1 and re.search(SOUND, told[f"{made}/small.png"])
    assert told[f"{made}/bomb.bmp"].startswith("holds more than")
    # What a member claims of its size is not believed either.
    claim = bytearray(made.read_bytes())
    at = claim.index(b"PK\1\2") + 24
    claim[at : at + 4] = struct.pack("<I", 99)
    made.write_bytes(claim)
    assert score(made)[0] == 1
