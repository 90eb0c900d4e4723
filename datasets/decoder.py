"""The one decoder: an image file becomes RGB pixels as a viewer would show them.

Every part of the project reads images here, so that a file has the same pixels in training, in the
pristine statistics and in the paper's score; the extended score looks through `read_reduced`. What happens
to what:

- EXIF orientation is applied; unreadable EXIF data is ignored.
- Grey becomes three equal channels; palette, 1-bit, CMYK, YCbCr, HSV and Lab become RGB.
- Transparency (alpha channels, transparent palette entries or colours) is laid over white.
- 16-bit grey keeps its 16 bits, 12-bit grey is stretched to 16. 16-bit RGB is reduced to 8 bits by Pillow.
- Of an animation or a file of several pages the first image is read.
- Floating-point samples are refused: the file does not say which value is white.
- Colour profiles are not applied.

A path may be anything that names itself by `str` and has `open("rb")`, such as a file inside an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import ExifTags, Image
from torch.nn import functional as F

from datasets.image_files import USUAL, Loan, opened, told
from utils.errors import UserError

# EXIF orientation -> how the stored (H, W, 3) array becomes upright.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
_TURNED = (5, 6, 7, 8)  # whose stored rows are the columns

SizeOf: TypeAlias = Callable[[int, int], tuple[int, int]]

# Pixels that are converted at once: a large image is not in memory in every form that it goes through.
BAND = 1 << 20


def read_image(path: str | Path, loan: Loan = USUAL) -> torch.Tensor:
    """The image in `path`: float32 (3, H, W), RGB in [0, 1].

    Args:
        path: of the file.
        loan: of memory, where the file is small.

    Raises `UserError` whatever is wrong with the file.
    """
    with told(path):
        with opened(path, loan) as image:
            pixels = _decoded(image)
        return in_unit_range(pixels)


def read_reduced(
    path: str | Path, size_of: SizeOf, loan: Loan = USUAL
) -> tuple[torch.Tensor, tuple[int, int]]:
    """The image in `path` no larger than `size_of` says, and its own (H, W).

    A JPEG file is decoded at a half, a fourth or an eighth of its size where that is still larger, which is
    fast and takes little memory; then it is resized with antialiasing, 16-bit grey in floats.

    Args:
        path: of the file.
        size_of: maps (H, W) to (h, w), and (W, H) to (w, h); to (0, 0) where nothing is to be decoded.
        loan: of memory, where the file is small.

    Raises `UserError` whatever is wrong with the file.
    """
    with opened(path, loan) as image:
        own, wanted = _upright_size(image), None
        height, width = size_of(*own)
        if height * width == 0:
            return torch.empty(3, 0, 0), own
        if height * width < own[0] * own[1]:
            wanted = (height, width)
            image.draft(None, size_of(image.height, image.width)[::-1])
        pixels = _decoded(image, wanted)
        if wanted is None or pixels.dtype == np.uint8:
            return in_unit_range(pixels), own
        grey = in_unit_range(pixels[..., :1])[None]  # (1, 1, H, W): its three channels are equal
        small = F.interpolate(grey, wanted, mode="bilinear", antialias=True)[0]
        return small.expand(3, -1, -1).contiguous(), own


def decode_pixels(path: str | Path) -> np.ndarray:
    """The image in `path`: contiguous (H, W, 3), RGB; uint16 where it is 16-bit grey, else uint8.

    Raises `UserError` whatever is wrong with the file.
    """
    with opened(path) as image:
        return np.require(_decoded(image), requirements=["C", "W"])


def pixels_of(image: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
    """Pixels (H, W, 3) of an open Pillow image, resized to (H, W) `size` where it has 8 bits.

    As `decode_pixels` gives them; three equal channels of 16 bits are one in memory.

    Raises `UserError` where its white is not defined.
    """
    image.load()
    orientation = _orientation(image)  # after loading: Pillow turns TIFF files itself
    stored = size[::-1] if size is not None and orientation in _TURNED else size
    pixels = _rgb(image, stored)
    return pixels if orientation == 1 else _UPRIGHT[orientation](pixels)


def in_unit_range(pixels: np.ndarray) -> torch.Tensor:
    """Whole numbers (H, W, C) as float32 (C, H, W) in [0, 1]."""
    planes = np.empty((pixels.shape[2], *pixels.shape[:2]), np.float32)
    np.divide(pixels.transpose(2, 0, 1), np.float32(np.iinfo(pixels.dtype).max), out=planes, dtype=np.float32)
    return torch.from_numpy(planes)


def read_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of the image in `path` as `decode_pixels` would give it, mostly from the header alone.

    Raises `UserError` where the header cannot be read.
    """
    with opened(path) as image:
        return _upright_size(image)


def _decoded(image: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
    """As `pixels_of`, an image that is read once."""
    image.load()
    vars(image).pop("_decoder", None)  # WebP's, which keeps two more images
    return pixels_of(image, size)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(H, W) of an image that is not loaded yet, as a viewer would show it."""
    width, height = image.size
    if image.format == "TIFF":  # whose `size` is turned by some versions of Pillow and not by others
        width, height = (
            image.tag_v2.get(tag, side)  # type: ignore[attr-defined]
            for tag, side in ((256, width), (257, height))
        )
    return (width, height) if _orientation(image) in _TURNED else (height, width)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1 where there is none or it cannot be read."""
    if image.format in ("BMP", "DIB", "GIF", "PPM"):
        return 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever is wrong with EXIF data, the image itself may be good
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _rgb(image: Image.Image, size: tuple[int, int] | None) -> np.ndarray:
    """The loaded image as a writable (H, W, 3) array of uint16, or of uint8 and (H, W) `size`."""
    if image.mode == "F":
        raise _refusal(
            image, "holds floating-point samples, whose white is not defined: save it as 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        grey = np.asarray(image)  # uint16, or int32 for mode "I"
        if grey.min() < 0 or grey.max() > 65535:
            raise _refusal(image, "holds 32-bit samples, whose white is not defined: save it as 8 or 16 bits")
        one = _of_16_bits(grey.astype(np.uint16, copy=False), image)[..., None]
        return np.broadcast_to(one, (*grey.shape, 3))  # (H, W, 1) -> (H, W, 3)
    if size is None:
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        for top, band in _rgb_bands(image):
            pixels[top : top + band.height] = np.asarray(band)
        return pixels
    if image.mode in ("1", "L") and not image.has_transparency_data:
        grey = np.array(image.convert("L").resize(size[::-1], Image.Resampling.BILINEAR))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "RGB" and not image.has_transparency_data:
        rgb = image
    else:
        rgb = Image.new("RGB", image.size)
        for top, band in _rgb_bands(image):
            rgb.paste(band, (0, top))
    # torch's antialiased "bilinear" is this filter too.
    return np.array(rgb.resize(size[::-1], Image.Resampling.BILINEAR))


def _of_16_bits(grey: np.ndarray, image: Image.Image) -> np.ndarray:
    """Grey values with black at 0 and white at 65535, which of TIFF files Pillow gives as they are stored."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(258) == (12,):  # bits of a sample
        grey = grey << 4 | grey >> 8
    return 65535 - grey if tags.get(262) == 0 else grey  # white is zero


def _rgb_bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image as RGB in bands of all its columns, each with its first row."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        if band.has_transparency_data:
            # Pillow has no way from PA and La to RGBA that keeps a palette's or a premultiplied alpha
            # otherwise.
            rgba = band.convert("LA").convert("RGBA") if band.mode == "La" else band.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            band = Image.alpha_composite(white, rgba)
        yield top, band if band.mode == "RGB" else band.convert("RGB")


def _refusal(image: Image.Image, reason: str) -> UserError:
    """The error for a sound file of a kind that has no defined brightness."""
    return UserError(f"{getattr(image, 'filename', 'image')}: {reason}.")
