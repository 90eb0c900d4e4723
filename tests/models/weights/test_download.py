"""Downloads from a local server: right, wrong, cut, interrupted, without ranges."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from models.weights import download as module
from models.weights.clip import import_clip
from models.weights.download import download, fetch_clip
from utils.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers every path with `content`; the other fields say in which way it does it badly."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.chunked = CONTENT, True, False
        self.cut_after = self.status = self.content_range = None
        self.asked = []  # the Range header of each request

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/models/{SHA256}/RN50.pt"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        start = int(asked[len("bytes=") : -1]) if asked and server.ranges else 0
        size = len(server.content)
        if server.status or start >= size:
            self.send_response(server.status or 416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start and server.content_range != "none":
            self.send_header("Content-Range", server.content_range or f"bytes {start}-{size - 1}/{size}")
        rest = server.content[start:][: server.cut_after]
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            rest = b"%x\r\n%s\r\n" % (len(rest), rest) + (b"" if server.cut_after else b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self.wfile.write(rest)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "RN50.pt"


@pytest.fixture
def part(path):
    return path.with_name("RN50.pt.part")


def fetch(server, path):
    said = []
    download(server.url, path, SHA256, said.append)
    return said


def only_the_right_file(path):
    return path.read_bytes() == CONTENT and [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_is_fetched_once(server, path):
    assert fetch(server, path) == [f"{path}: fetched, sha256 {SHA256}"]
    assert only_the_right_file(path)
    assert fetch(server, path) == [f"{path}: is there and right, sha256 {SHA256}; nothing was fetched."]
    assert server.asked == [None]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_keeps_the_part_and_the_next_call_goes_on(server, path, part, chunked):
    server.cut_after, server.chunked = 100_000, chunked
    with pytest.raises(UserError, match="run it again to go on") as caught:
        fetch(server, path)
    # Without a Content-Length there is no total to tell.
    assert (" of 300,000 bytes; " in str(caught.value)) != chunked
    kept = part.stat().st_size
    assert f"after {kept:,} " in str(caught.value)
    assert 0 < kept <= 100_000
    assert part.read_bytes() == CONTENT[:kept]
    assert not path.exists()
    server.cut_after = None
    fetch(server, path)
    assert only_the_right_file(path)
    assert server.asked == [None, f"bytes={kept}-"]


def interrupted(server, path, monkeypatch):
    """Ctrl-C after the first block; what was said."""

    class Bar(module.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    said = []
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "tqdm", Bar)
        download(server.url, path, SHA256, said.append)
    return said


def test_an_interruption_keeps_the_part_and_the_next_call_asks_for_the_rest(server, path, part, monkeypatch):
    block = module._BLOCK
    assert interrupted(server, path, monkeypatch) == [f"{part}: {block:,} of 300,000 bytes are kept."]
    assert interrupted(server, path, monkeypatch) == [f"{part}: {2 * block:,} of 300,000 bytes are kept."]
    fetch(server, path)
    assert only_the_right_file(path)
    assert server.asked == [None, f"bytes={block}-", f"bytes={2 * block}-"]


def test_a_server_without_ranges_gives_it_from_the_start(server, path, part):
    part.parent.mkdir()
    part.write_bytes(CONTENT[:100_000])
    server.ranges = False
    fetch(server, path)
    assert server.asked == ["bytes=100000-"]
    assert only_the_right_file(path)


def test_wrong_content_is_deleted_and_never_used(server, path, part):
    server.content = bytes(300_000)
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(UserError, match=f"SHA-256 {found[:12]}.*{SHA256[:12]}.*deleted"):
        fetch(server, path)
    assert list(path.parent.iterdir()) == []


def test_a_wrong_part_is_deleted_and_fetched_anew(server, path, part):
    part.parent.mkdir()
    part.write_bytes(b"something else")
    with pytest.raises(UserError, match="deleted, run it again to fetch it anew"):
        fetch(server, path)
    fetch(server, path)
    assert server.asked == ["bytes=14-", None]
    assert only_the_right_file(path)


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_lacks_nothing_is_checked(server, path, part, extra):
    part.parent.mkdir()
    part.write_bytes(CONTENT + extra)
    if extra:
        with pytest.raises(UserError, match="deleted"):
            fetch(server, path)
        assert list(path.parent.iterdir()) == []
    else:
        fetch(server, path)
        assert only_the_right_file(path)
    assert server.asked == [f"bytes={len(CONTENT + extra)}-"]


def test_a_wrong_file_stays_until_the_right_one_was_checked(server, path):
    path.parent.mkdir()
    path.write_bytes(b"the file of before")
    server.content = bytes(1000)
    with pytest.raises(UserError):
        fetch(server, path)
    assert path.read_bytes() == b"the file of before"
    server.content = CONTENT
    assert "stays until the right file has come" in fetch(server, path)[0]
    assert only_the_right_file(path)


@pytest.mark.parametrize("content_range", ["none", "bytes 200000-299999/300000"])
def test_bytes_from_another_place_are_not_used(server, path, part, content_range):
    part.parent.mkdir()
    part.write_bytes(CONTENT[:100_000])
    server.content_range = content_range
    with pytest.raises(UserError, match="answered 206, not with the file"):
        fetch(server, path)
    assert part.read_bytes() == CONTENT[:100_000]


@pytest.mark.parametrize(("status", "message"), [(404, "answered 404 Not Found"), (204, "answered 204"),
                                                 (416, "answered 416")])  # fmt: skip
def test_a_server_that_does_not_have_it(server, path, status, message):
    server.status = status
    with pytest.raises(UserError, match=message):
        fetch(server, path)
    assert not path.exists()


def test_a_folder_in_the_place_is_refused_before_anything_is_fetched(server, path):
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        fetch(server, path)
    assert server.asked == []


def test_clip_goes_where_clip_looks_and_no_server_tells_the_way_by_hand(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(import_clip().clip, "_MODELS", {"RN50": server.url})
    place = tmp_path / ".cache/clip/RN50.pt"
    assert fetch_clip("RN50", list) == place
    assert place.read_bytes() == CONTENT
    place.unlink()
    monkeypatch.setattr(import_clip().clip, "_MODELS", {"RN50": "http://127.0.0.1:1/" + SHA256 + "/RN50.pt"})
    with pytest.raises(UserError) as caught:
        fetch_clip("RN50", list)
    for word in ("http://127.0.0.1:1/", "Connection refused", f"by hand to {place}", "--clip_weights PATH",
                 "GREPQ_CLIP_WEIGHTS"):  # fmt: skip
        assert word in str(caught.value)
