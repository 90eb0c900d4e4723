"""Paths, archives and lists that are no plain image files, given to the command."""

import io
import json
import os
import re
import socket
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from made_images import HEIGHT, WIDTH, claiming, encoded, png

import score_images
from configs import Settings
from datasets import archives
from Evaluation import GRepQ

SOUND = f"^{WIDTH}x{HEIGHT} $"


@pytest.fixture(scope="module")
def model():
    return GRepQ(Settings(branch="low", device="cpu")).load()


@pytest.fixture
def score(model, tmp_path, capsys, monkeypatch):
    """Run the command: (exit status, what each row tells by name, what it said)."""
    monkeypatch.setattr("Evaluation.grepq.GRepQ", lambda settings, say: model)  # loaded once for all

    def run(*arguments):
        output = tmp_path / "scores.jsonl"
        paths = [os.fspath(one) for one in arguments]
        status = score_images.main(
            [*paths, "--output", str(output), "--overwrite", "--branch", "low", "--device", "cpu"]
        )
        said = capsys.readouterr().err
        assert "Traceback" not in said
        told = {}
        if status < 2:
            for line in output.read_text().splitlines()[1:]:
                row = json.loads(line)
                good = row["status"] == "ok"
                told[row["image"]] = (
                    f"{row['width']}x{row['height']} {row['reason']}" if good else row["reason"]
                )
        return status, told, said

    return run


def link_to_nothing(path):
    path.symlink_to("nowhere.png")


def circle(path):
    path.symlink_to(path.name)


def closed_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


PLACES = {
    "pipe.jpg": (os.mkfifo, "^is a pipe or a device, not a file"),
    "nothing.png": (link_to_nothing, "^there is no such file"),
    "circle.png": (circle, "^cannot be read .*symbolic links"),
    "socket.jpg": (closed_socket, "^is a pipe or a device, not a file"),
    "never_there.png": (lambda path: None, "^there is no such file"),
    "file.png/under.png": (lambda path: path.parent.write_bytes(b""), "^cannot be read .Not a directory"),
    "link.png": (lambda path: path.symlink_to("good.png"), SOUND),
}  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_each_place_that_is_named_has_its_row(score, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket may have a hundred letters
    for name, (make, _) in PLACES.items():
        make(Path(name))
    Path("good.png").write_bytes(encoded("png"))
    Path("photo.jpg").mkdir()
    long = "n" * 300 + ".png"
    status, told, _ = score(*PLACES, "/dev/zero", "photo.jpg", long, "a" * 5000)
    assert status == 1
    for name, (_, expected) in PLACES.items():
        assert re.search(expected, told.pop(name)), name
    assert "is a pipe or a device" in told.pop("/dev/zero")
    assert set(told.values()) == {"cannot be read (File name too long)."}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_a_folder_with_pipes_and_links_is_gone_through(score, tmp_path):
    folder = tmp_path / "folder"
    (folder / "photo.jpg").mkdir(parents=True)
    (folder / "photo.jpg/good.png").write_bytes(encoded("png"))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "nothing.png").symlink_to("nowhere")
    (folder / "round").symlink_to(folder)
    (folder / "empty.png").touch()
    status, told, said = score(folder)
    assert status == 1 and list(told) == [f"{folder}/nothing.png", f"{folder}/photo.jpg/good.png"]
    assert "they are no images: 3 file(s)" in said and "No images in spite of their names:" in said


def test_a_folder_of_no_image_is_a_sentence(score, tmp_path):
    (tmp_path / "photo.jpg").mkdir()
    assert score(tmp_path / "photo.jpg")[::2] == (2, f"{tmp_path}/photo.jpg: holds no image.\n")


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


def write_zip(path, contents, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


def write_tar(path, contents):
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as file:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"special{kind.decode()}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            file.addfile(member)
    return path


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
    hidden = {one for one in NAMES if one.startswith(".")}  # a part of whose name begins with a dot
    assert set(sound) == set(told) == set(NAMES) - hidden - {"l/../m.png"}
    assert f"No images in spite of their names: {made}/text.jpg" in said


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


def test_names_that_are_not_utf8(score, tmp_path):
    name = b"caf\xe9\xff.png"
    (tmp_path / os.fsdecode(name)).write_bytes(encoded("png"))
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + os.fsencode(tmp_path) + b"/" + name + b"\r\n\r\n")
    plain = write_zip(tmp_path / "a.zip", {"caf__.png": encoded("png")})
    plain.write_bytes(plain.read_bytes().replace(b"caf__.png", name))
    tarred = write_tar(tmp_path / "a.tar", {os.fsdecode(name): encoded("png")})
    status, told, _ = score(plain, tarred, "--list", tmp_path / "list.txt")
    assert status == 0 and len(told) == 3 and all(re.search(SOUND, row) for row in told.values())


def test_lists_of_nonsense(score, tmp_path):
    listed = tmp_path / "list.txt"
    for content in (b"\0\0\0", b"", b"\n\n", b"\xef\xbb\xbf"):
        listed.write_bytes(content)
        assert score("--list", listed)[::2] == (2, f"{listed}: holds no image.\n")
    (tmp_path / "good.png").write_bytes(png(WIDTH, HEIGHT))
    good = os.fsencode(tmp_path / "good.png")
    listed.write_bytes(good + b"\n" + b"x" * 5000 + b"\n\xff\xfe\n[\n**[\n" + good)
    status, told, said = score("--list", listed)
    assert status == 1 and len(told) == 5 and "counted once: 1 file(s)" in said
    assert score("--list", tmp_path / "none.txt")[0] == score("--list", tmp_path)[0] == 2
