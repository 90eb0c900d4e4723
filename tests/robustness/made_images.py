"""Image files made in code: sound ones of every kind, and the parts of which unsound ones are made."""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 120, 100
FORMATS = {
    "png": "PNG", "tif": "TIFF", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "dib": "DIB",
    "jp2": "JPEG2000", "avif": "AVIF", "ppm": "PPM",
}  # fmt: skip
# Pillow's modes, and the formats that can hold each, if only as another.
MODES = {
    "1": "png tif jpg webp gif bmp dib avif ppm",
    "L": "png tif jpg webp gif bmp dib jp2 avif ppm",
    "LA": "png tif webp gif jp2 avif",
    "P": "png tif webp gif bmp dib avif",
    "PA": "tif webp avif",
    "RGB": "png tif jpg webp gif bmp dib jp2 avif ppm",
    "RGBA": "png tif webp gif bmp dib jp2 avif ppm",
    "RGBa": "webp avif",
    "RGBX": "tif jpg webp avif",
    "CMYK": "tif jpg webp jp2 avif",
    "YCbCr": "tif jpg webp jp2 avif",
    "HSV": "webp avif",
    "LAB": "tif webp avif",
    "I": "tif webp gif avif ppm",
    "I;16": "png tif webp gif jp2 avif ppm",
    "I;16B": "png tif webp gif jp2 avif",
    "F": "tif ppm",
}


@functools.cache
def image(mode="RGB", width=WIDTH, height=HEIGHT):
    """A ramp with noise of any mode."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 4))
    values = (noise + np.linspace(0, 195, width)[:, None]).astype(np.uint8)
    if mode in ("I;16", "I;16B"):
        return Image.fromarray(values[..., 0].astype("<u2" if mode == "I;16" else ">u2") * 257)
    if mode in ("I", "F"):
        return Image.fromarray(values[..., 0].astype(np.int32 if mode == "I" else np.float32))
    if mode in ("1", "P"):
        return Image.fromarray(values[..., 0]).convert(mode)
    if mode in ("PA", "La", "RGBa"):
        return image({"PA": "LA", "La": "LA", "RGBa": "RGBA"}[mode], width, height).convert(mode)
    bands = Image.getmodebands(mode)
    return Image.merge(mode, [Image.fromarray(values[..., k]) for k in range(bands)]) if bands > 1 else (
        Image.fromarray(values[..., 0])
    )  # fmt: skip


def encoded(suffix, content="RGB", **options):
    """The bytes of a file; `content` is an image or the mode of one."""
    file = io.BytesIO()
    (content if isinstance(content, Image.Image) else image(content)).save(file, FORMATS[suffix], **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth=8, colour=2, interlaced=False, rows=None, extra=b""):
    """A PNG file of zeros; `rows` scanlines are there, None: all of them."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
    packer, lines = zlib.compressobj(9), []
    for left, top, across, down in passes:
        wide, high = -(-(width - left) // across), -(-(height - top) // down)
        line = bytes(1 + (wide * samples * depth + 7) // 8)
        there = high if rows is None else rows
        lines += [packer.compress(line * min(512, there - start)) for start in range(0, there, 512)]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    data = png_chunk(b"IDAT", b"".join(lines) + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + palette + extra + data + png_chunk(b"IEND", b"")


def tiff(width, height, bits=(8, 8, 8), photometric=2, data=b"", compression=1, tile=None, samples=1):
    """A little-endian TIFF file of one strip, or one `tile` (width, height), of `data`."""
    tags = {
        256: (width,),
        257: (height,),
        258: bits,
        259: (compression,),
        262: (photometric,),
        277: (len(bits),),
    }
    tags |= {339: (samples,) * len(bits)}
    tags |= {278: (height,), 279: (len(data),)} if tile is None else {
        322: (tile[0],), 323: (tile[1],), 325: (len(data),)
    }  # fmt: skip
    place = 273 if tile is None else 324
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[place] = (start + sum(4 * len(values) for values in tags.values() if len(values) > 1),)
    entries, more = b"", b""
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += raw if len(values) == 1 else struct.pack("<I", start + len(more))
        more += raw if len(values) > 1 else b""
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + bytes(4) + more + data


def bmp_runs(width, height, rows):
    """A BMP file of one byte a pixel, in runs of one colour; `rows` rows are there."""
    line = b"\xff\1" * (width // 255) + bytes((width % 255, 1)) + b"\0\0"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)
    data = line * rows + b"\0\1"
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + data


def claiming(suffix, width, height):
    """A small file whose header claims so many pixels."""
    if suffix == "png":
        return png(width, height, rows=4)
    if suffix == "tif":
        return tiff(width, height, data=bytes(3000))
    if suffix == "bmp":
        return bmp_runs(width, height, 2)
    if suffix == "ppm":
        return b"P6 %d %d 255\n" % (width, height) + bytes(3000)
    whole = bytearray(encoded(suffix))
    if suffix == "gif":  # the screen and the first image
        whole[6:10] = struct.pack("<HH", width, height)
        at = whole.index(b"\x2c\0\0\0\0") + 5
        whole[at : at + 4] = struct.pack("<HH", width, height)
    elif suffix == "jpg":
        at = whole.index(b"\xff\xc0") + 5
        whole[at : at + 4] = struct.pack(">HH", height, width)
    elif suffix == "avif":
        at = whole.index(b"ispe") + 8
        whole[at : at + 8] = struct.pack(">II", width, height)
    elif suffix == "jp2":
        for at, numbers in (
            (whole.index(b"ihdr") + 4, (height, width)),
            (whole.index(b"\xff\x51") + 6, (width, height)),
        ):
            whole[at : at + 8] = struct.pack(">II", *numbers)
        at = whole.index(b"\xff\x51") + 22  # one tile
        whole[at : at + 8] = struct.pack(">II", width, height)
    elif suffix == "webp":  # lossless: 14 bits each
        whole = bytearray(encoded("webp", lossless=True))
        at = whole.index(b"VP8L") + 9
        whole[at : at + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(whole)
