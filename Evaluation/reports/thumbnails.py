"""Small copies of a result's images, found by their names under a folder."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.decoder import decode_pixels
from datasets.rated.file_lookup import FileLookup
from utils.errors import UserError

# Longer side; twice the width at which a page shows them, for fine screens and print.
SIDE = 320
# How far below the named folder a set keeps its images at most.
DEPTH = 3


def thumbnails(names: Iterable[str], folder: Path | None) -> dict[str, bytes | str]:
    """For each name its image as a small JPEG, or the reason why there is none."""
    if folder is None:
        return dict.fromkeys(names, "no folder of images was named (--img_dir)")
    lookup, places = FileLookup(), _folders(folder)
    found: dict[str, bytes | str] = {}
    for name in names:
        paths = (lookup.find(place / name) for place in places)
        path = next((path for path in paths if _is_file(path)), None)
        try:
            found[name] = "not found" if path is None else thumbnail(path)
        except UserError as error:
            found[name] = str(error).removeprefix(f"{path}: ").rstrip(".")
    return found


def thumbnail(path: Path) -> bytes:
    """The image as JPEG, no side longer than `SIDE`; `UserError` where it cannot be read."""
    pixels = decode_pixels(path)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _folders(folder: Path) -> list[Path]:
    places = []
    for place, below, _ in os.walk(folder):
        places.append(Path(place))
        below.sort()
        if len(Path(place).relative_to(folder).parts) == DEPTH:
            below.clear()
    return places


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
