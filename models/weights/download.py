"""A file from the network, there with the right SHA-256 or not at all; CLIP's weights in its own cache."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from models.weights.clip import clip_cache_path, clip_source
from models.weights.files import file_sha256
from utils.errors import UserError

_BLOCK = 1 << 16  # bytes; small enough for the bar to move on a slow line
_SILENCE = 60  # seconds without a byte after which a connection counts as cut


def fetch_clip(architecture: str, say: Callable[[str], object]) -> Path:
    """Put the weights of one of CLIP's ResNets where `clip.load` looks for them; say what was done.

    Raises:
        UserError: the package is missing or has no such ResNet.
        UserError, OSError: as `download`, with the way by hand.
    """
    (url, sha256), path = clip_source(architecture), clip_cache_path(architecture)
    try:
        download(url, path, sha256, say)
    except UserError as error:
        raise UserError(
            f"{error}; fetch it by hand to {path}, or give the scripts that score its "
            "place with --clip_weights PATH or the environment variable GREPQ_CLIP_WEIGHTS."
        ) from None
    return path


def download(url: str, path: Path, sha256: str, say: Callable[[str], object]) -> None:
    """Fetch `url` to `path`, or the rest of it where an earlier call was cut, and say what was done.

    What has come is in a `.part` file beside `path`, which it replaces only when its bytes are right.

    Raises:
        UserError: no connection, or the server does not give the file.
        UserError: the connection was cut (the part is kept), what came is wrong (it is deleted),
            or `path` is a folder.
        KeyboardInterrupt: the part is kept, which is said.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder, where the file of {url} should be.")
    if path.is_file():
        if file_sha256(path) == sha256:
            say(f"{path}: is there and right, sha256 {sha256}; nothing was fetched.")
            return
        say(f"{path}: is not what it should be; it stays until the right file has come.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _fetch_rest(url, part, say)
    with part.open("rb+") as whole:
        os.fsync(whole.fileno())
    found = file_sha256(part)
    if found != sha256:
        part.unlink()
        raise UserError(
            f"{url}: what came has SHA-256 {found[:12]}..., expected {sha256[:12]}...; it was deleted, "
            "run it again to fetch it anew."
        )
    part.replace(path)
    say(f"{path}: fetched, sha256 {sha256}")


def _fetch_rest(url: str, part: Path, say: Callable[[str], object]) -> None:
    """Append to `part` what it lacks, or write it from the start where the server gives no ranges."""
    have = part.stat().st_size if part.is_file() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(request, timeout=_SILENCE)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:
            return  # the part is as long as the file or longer: its SHA-256 tells which
        raise UserError(f"{url}: the server answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise UserError(f"{url}: could not be fetched ({_reason(error)})") from None
    with answer:
        start, total = _range(answer)
        if answer.status not in (200, 206) or start > have:
            raise UserError(f"{url}: the server answered {answer.status}, not with the file")
        try:
            cut = _append(answer, part, start, total)
        except KeyboardInterrupt:
            say(f"{part}: {_amount(part, total)} are kept.")
            raise
    if cut or (total is not None and part.stat().st_size < total):
        raise UserError(
            f"{url}: the connection was cut{cut} after {_amount(part, total)}; run it again to go on."
        )


def _range(answer: HTTPResponse) -> tuple[int, int | None]:
    """The place in the file at which an answer's bytes begin, and the file's size if it is known."""
    start, size = 0, None
    if answer.status == 206:
        given = re.match(r"bytes (\d+)-\d+/(\d+)?", answer.headers.get("Content-Range", ""))
        if given is None:
            return sys.maxsize, None  # bytes from nobody knows where cannot be used
        start, size = int(given[1]), given[2]
    if size is not None:
        return start, int(size)
    return start, None if answer.length is None else start + answer.length


def _append(answer: HTTPResponse, part: Path, start: int, total: int | None) -> str:
    """Write an answer's bytes into `part` from `start` on; why they ended early, "" where they did not."""
    with (
        part.open("ab") as file,
        tqdm(total=total, initial=start, desc=part.stem, unit="B", unit_scale=True, disable=None) as bar,
    ):
        file.truncate(start)
        while True:
            try:
                block = answer.read(_BLOCK)
            except (OSError, HTTPException) as error:
                return f" ({_reason(error)})"
            if not block:
                return ""
            file.write(block)
            bar.update(len(block))


def _amount(part: Path, total: int | None) -> str:
    have = part.stat().st_size if part.is_file() else 0
    return f"{have:,} of {total:,} bytes" if total is not None else f"{have:,} bytes"


def _reason(error: BaseException) -> str:
    """One line on what went wrong; URLError wraps what it is about."""
    inner = getattr(error, "reason", None) or error
    return (getattr(inner, "strerror", None) or str(inner) or type(inner).__name__).splitlines()[0]
