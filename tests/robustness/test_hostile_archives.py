"""Archives, sound and damaged, given to the command: what is in them has rows, what is wrong is told."""

import io
import lzma
import re
import struct
import tarfile
import zipfile

import pytest
from made_archives import write_tar, write_zip
from made_images import HEIGHT, WIDTH, claiming, encoded

from datasets import archives, unpacking

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


def test_other_methods_and_shared_bytes_of_a_zip_are_told(score, tmp_path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        made = write_zip(tmp_path / f"{method}.zip", {"a.png": encoded("png")}, method)
        assert "its compression is not deflate" in score(made)[1][f"{made}/a.png"]
    content = write_zip(tmp_path / "shared.zip", {"a.png": encoded("png")}).read_bytes()
    directory, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entries = [content[directory:end].replace(b"a.png", name) for name in (b"a.png", b"b.png")]
    tail = content[end : end + 8] + struct.pack("<HHII", 2, 2, len(b"".join(entries)), directory) + b"\0\0"
    (tmp_path / "shared.zip").write_bytes(content[:directory] + b"".join(entries) + tail)
    told = score(tmp_path / "shared.zip")[1]
    assert list(told.values()) == ["is no archive that can be read (its files share their bytes)."]


def test_a_padded_image_of_an_archive_is_lent_no_more(score, tmp_path):
    """Bytes that it takes in the archive count, not those that it is unpacked to."""
    contents = {
        "a.png": claiming("png", 13_000, 13_000) + bytes(2_000_000),
        "b.jpg": encoded("jpg") + bytes(5_000_000),
    }
    for made in (write_zip(tmp_path / "a.zip", contents), write_tar(tmp_path / "a.tar.gz", contents)):
        told = score(made)[1]
        assert re.search(r"^claims 13000x13000 pixels in \S+ bytes", told[f"{made}/a.png"])
        assert re.search(r"bytes of an archive hold 5,\d{3},\d{3} of it", told[f"{made}/b.jpg"])


def tar_of(tmp_path, name, content, **headers):
    file = tmp_path / name
    with tarfile.open(file, "w:gz" if name.endswith("gz") else "w", format=tarfile.PAX_FORMAT) as tar:
        for k in range(3):
            one = tarfile.TarInfo(f"{k}.png")
            one.size, one.pax_headers = len(content), headers
            tar.addfile(one, io.BytesIO(content))
    return file


def test_tars_made_to_keep_their_reader_busy_say_so(score, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 24)
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.png"}
    told = score(
        tar_of(tmp_path, "many.tar.gz", bytes(1 << 23)),
        tar_of(tmp_path, "long.tar.gz", b"", comment="a" * (1 << 24)),
        tar_of(
            tmp_path,
            "holes.tar",
            b"1\n0\n9\n".ljust(1024, b"\0"),
            **sparse,
            **{"GNU.sparse.realsize": f"{1 << 25}"},
        ),
    )[1]
    reasons = ["it holds more than 0 GiB", "its headers are too long", "its files are mostly holes"]
    assert list(told.values()) == [f"is no archive that can be read ({reason})." for reason in reasons]
    monkeypatch.setattr(archives, "MOST_HEADERS", 25_000)
    assert "headers are too long" in str(
        score(tar_of(tmp_path, "headers.tar.gz", b"", comment="a" * 10_000))[1]
    )


def test_an_xz_file_may_not_ask_for_all_memory(score, tmp_path, monkeypatch):
    made = write_tar(tmp_path / "a.tar.xz", {"a.png": encoded("png")})
    two = tmp_path / "two.tar.xz"  # streams, with zeros between
    half = len(plain := lzma.decompress(made.read_bytes())) // 2
    two.write_bytes(lzma.compress(plain[:half]) + bytes(8) + lzma.compress(plain[half:]) + bytes(4))
    assert re.search(SOUND, score(two)[1][f"{two}/a.png"])
    two.write_bytes(made.read_bytes()[:9_000])
    assert score(two)[0] == 1
    monkeypatch.setattr(unpacking, "XZ_BYTES", 1 << 20)
    assert (
        "Memory usage limit"
        in score(write_tar(tmp_path / "b.tar.xz", {"a.png": b""}))[1][f"{tmp_path}/b.tar.xz"]
    )


def test_other_names_of_a_file_count_once(score, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, linked in (
            ("a.png", None),
            ("link.png", "a.png"),
            ("a.png", None),
            ("no.png", "nowhere.png"),
        ):
            one = tarfile.TarInfo(name)
            if linked:
                one.type, one.linkname = tarfile.LNKTYPE, linked
                file.addfile(one)
            else:
                one.size = len(encoded("png"))
                file.addfile(one, io.BytesIO(encoded("png")))
    status, told, said = score(tmp_path / "a.tar")
    assert status == 0 and list(told) == [f"{tmp_path}/a.tar/a.png"]
    assert "There more than once, and counted once: 2 file(s)" in said
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            file.writestr("a.png", encoded("png"))
    assert "There more than once, and counted once: 1 file(s)" in score(tmp_path / "a.zip")[2]


def test_an_image_is_none_by_the_ending_of_an_archive(score, tmp_path):
    for name in ("a.zip", "b.tar.gz"):
        (tmp_path / name).write_bytes(encoded("png"))
    status, told, _ = score(tmp_path)
    assert status == 0 and len(told) == 2


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
