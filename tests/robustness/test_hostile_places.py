"""Paths and lists that are no plain image files, given to the command."""

import os
import re
import socket
from pathlib import Path

import pytest
from made_archives import write_tar, write_zip
from made_images import HEIGHT, WIDTH, encoded, png

SOUND = f"^{WIDTH}x{HEIGHT} $"


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
    assert "no images that can be read: 3 file(s)" in said and "in spite of their names:" in said


def test_a_folder_of_no_image_is_a_sentence(score, tmp_path):
    (tmp_path / "photo.jpg").mkdir()
    assert score(tmp_path / "photo.jpg")[::2] == (2, f"{tmp_path}/photo.jpg: holds no image.\n")


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
