"""Image files: which files are images, and opening one that is to be believed."""

from __future__ import annotations

import functools
import io
import math
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from configs import Settings
from datasets.archives import Member
from datasets.avif import frame_sizes
from datasets.jpeg2000 import structure_bytes
from utils.errors import UserError

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    (
        ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    )
)  # fmt: skip

# Raster formats only: Pillow would hand an EPS file to Ghostscript.
_FORMATS = frozenset(("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"))

# A file of fewer bytes may be made to fill the memory.
SMALL_FILE = 1_000_000
# Bytes that decoding takes at its peak for each pixel, the image that is made of it left out.
_BYTES_A_PIXEL = {"AVIF": 15, "JPEG": 8, "JPEG2000": 19, "MPO": 8, "WEBP": 16}
_OF_OTHERS, _OF_GREY = 10, 5
# Samples that Pillow takes for a pixel of a TIFF file.
_MOST_SAMPLES = 6
# Scans of a progressive JPEG file, of which usual ones have ten.
MOST_SCANS = 100
# Letters of text that a PNG file may hold beside its pixels, each of which may take four bytes, and bytes of
# one text or colour profile.
PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK = 1 << 22
# How many first bytes tell what a file is.
PREFIX = 18
# Lengths of the second header of a BMP file.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


@dataclass(frozen=True)
class Loan:
    """Memory for decoding a file of under `SMALL_FILE` bytes: `megabytes` at most, as reckoned by its header.

    `room` is entered while a file is decoded that asks for more than half of that.
    """

    megabytes: int = Settings.decoding_megabytes
    room: Callable[[], AbstractContextManager[None]] = nullcontext


USUAL = Loan()


def is_image_file(path: Path) -> bool:
    """Whether a file is an image by its first bytes; by its ending too, so that a damaged one is missed."""
    try:
        if path.name.startswith(".") or not path.is_file():
            return False
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return True
        with path.open("rb") as file:
            return begins_as_image(file.read(PREFIX))
    except OSError:
        return False


def begins_as_image(prefix: bytes) -> bool:
    """Whether a file is an image by its first `PREFIX` bytes."""
    # Two letters are enough for Pillow to try, and many a text begins with them.
    if prefix[:1] == b"P":
        return re.match(rb"P[1-6]\s*(#|\s[0-9#])", prefix) is not None
    if prefix[:2] == b"BM":
        return int.from_bytes(prefix[14:18], "little") in _BMP_HEADERS
    prefix = prefix.ljust(PREFIX, b"\0")
    if int.from_bytes(prefix[:4], "little") in _BMP_HEADERS:
        return prefix[12:14] == b"\1\0"  # planes
    accepts = (Image.OPEN[name][1] for name in _formats())
    return any(accept is not None and accept(prefix) is True for accept in accepts)


def list_images(folder: str | Path) -> list[Path]:
    """The image files directly in `folder`, by their content (hidden ones left out), sorted by name.

    Raises `UserError` where `folder` is no folder or holds no image.
    """
    folder = Path(folder)
    try:
        names = sorted(folder.iterdir(), key=lambda path: path.name)
    except FileNotFoundError:
        raise UserError(f"{folder}: there is no such folder.") from None
    except NotADirectoryError:
        raise UserError(f"{folder}: is a file where a folder of images is expected.") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}).") from None
    images = [path for path in names if is_image_file(path)]
    if not images:
        raise UserError(f"{folder}: holds no image.")
    return images


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(_FORMATS.intersection(Image.OPEN))


@contextmanager
def opened(path: str | Path, loan: Loan = USUAL) -> Iterator[Image.Image]:
    """The file as a Pillow image; whatever goes wrong inside leaves as `UserError`."""
    with told(path), _file(path) as file, warnings.catch_warnings():
        # Pillow's, of data beside the pixels that is damaged, and of images that are large.
        warnings.filterwarnings("ignore", module="PIL")
        image = _open_image(file, path)
        with _room(image, file, path, loan):
            yield image
            image.im = None  # type: ignore[assignment]  # its pixels are free, whoever keeps the image


@contextmanager
def told(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside leaves as `UserError`."""
    try:
        yield
    except UserError:
        raise
    # Pillow's readers raise nearly everything on a broken file (struct.error, SyntaxError, KeyError ...).
    except Exception as error:
        raise UserError(f"{path}: {_reason(path, error)}.") from error


@contextmanager
def _file(path: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, which must not change while they are read."""
    file = Path(path) if isinstance(path, str) else path
    if isinstance(file, Path) and not stat.S_ISREG(file.stat().st_mode) and not file.is_dir():
        raise UserError(f"{path}: is a pipe or a device, not a file.")  # which might wait for ever
    with file.open("rb") as bytes_of_it:
        before = _state(bytes_of_it)
        try:
            yield bytes_of_it
        finally:
            if _state(bytes_of_it) != before:
                raise UserError(f"{path}: changed while it was read.")


def _state(file: IO[bytes]) -> tuple[int, int] | None:
    if not isinstance(file, io.BufferedReader):
        return None  # a copy out of an archive
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _open_image(file: IO[bytes], path: str | Path) -> Image.Image:
    """The file as a Pillow image that is not loaded yet."""
    try:
        image = Image.open(file, formats=_formats())  # which refuses more than 179 megapixels
    except UnidentifiedImageError:
        if not _size(file):
            raise UserError(f"{path}: is empty.") from None
        raise
    image.filename = str(path)
    return image


def _room(image: Image.Image, file: IO[bytes], path: str | Path, loan: Loan) -> AbstractContextManager[None]:
    """What is entered while an image is decoded.

    Raises:
        UserError: it asks for more memory than is lent to so small a file.
    """
    size = _size(file) if not isinstance(path, Member) else path.packed_size()
    if size >= SMALL_FILE:
        return nullcontext()
    width, height, megabytes = _asked(image, file, size)
    if megabytes > loan.megabytes:
        raise UserError(
            f"{path}: claims {width}x{height} pixels in {size:,} bytes; decoding them takes "
            f"{megabytes:,.0f} MB, and so small a file gets {loan.megabytes} (--set decoding_megabytes=N "
            "raises that)."
        )
    return loan.room() if megabytes > loan.megabytes / 2 else nullcontext()


def _asked(image: Image.Image, file: IO[bytes], size: int) -> tuple[int, int, float]:
    """(W, H) of the largest thing that is decoded of `size` packed bytes, and megabytes that decoding takes.

    Raises:
        ValueError: the file is made to keep its decoder busy.
    """
    items: list[list[tuple[int, int]]] = []
    more = 0.0
    if image.format == "TIFF":
        _check_parts(image, size)
    elif image.format in ("AVIF", "JPEG", "JPEG2000", "MPO"):
        if _size(file) > 4 * SMALL_FILE:
            raise ValueError(f"{size:,} bytes of an archive hold {_size(file):,} of it")
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
        if image.format == "AVIF":
            items = frame_sizes(data)
        elif image.format == "JPEG2000":
            alpha = max(0, len(image.getbands()) - 3)
            more = structure_bytes(data) + 5 * alpha * math.prod(image.size)
        elif (scans := data.count(b"\xff\xda")) > MOST_SCANS:
            raise ValueError(f"it has {scans:,} scans, each as long to decode as an image")
    frames = [math.prod(size) for item in items for size in item]
    largest = [item[-1] for item in items]
    width, height = max(image.size, _tile(image), *largest, key=math.prod)
    # Alpha is a frame of its own, and so is each cell of a grid; those that one refers to are kept beside it.
    shown = sum(map(math.prod, largest))
    pixels = max(width * height, shown / 2) + (sum(frames) - shown) / 2
    usual = _OF_GREY if image.mode in ("1", "L") else _OF_OTHERS
    return width, height, (pixels * _BYTES_A_PIXEL.get(image.format or "", usual) + more) / 1e6


def _check_parts(image: Image.Image, size: int) -> None:
    """Raise ValueError where strips or tiles of a TIFF file share their bytes or their place."""
    tags = getattr(image, "tag_v2", {})
    # A length that is wrong alone does no harm.
    held = sum(min(one, size) for tag in (279, 325) for one in tags.get(tag, ()))
    drawn = sum((right - left) * (low - high) for _, (left, high, right, low), *_ in image.tile)  # type: ignore[attr-defined]
    if held > 4 * size or drawn > _MOST_SAMPLES * math.prod(image.size):
        raise ValueError("its strips or tiles share what they hold")


def _tile(image: Image.Image) -> tuple[int, int]:
    """(W, H) of a TIFF file's tiles, which may be larger than the image and are decoded whole."""
    tags = getattr(image, "tag_v2", {})
    width, height = (tags.get(tag, 0) for tag in (322, 323))
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def _size(file: IO[bytes]) -> int:
    """Bytes of an open file, whose place stays."""
    place = file.tell()
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(place)
    return size


def _reason(path: str | Path, error: Exception) -> str:
    """Why `path` could not be read, in words that follow its name."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not an image file"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, the limit for an image"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image in a format that can be read"
    if isinstance(error, MemoryError):
        return "does not fit in memory"
    if isinstance(error, OSError) and error.strerror:  # the system's; Pillow's have none
        return f"cannot be read ({error.strerror})"
    detail = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"is damaged or cut short ({detail})"
