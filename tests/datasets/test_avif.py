"""Sizes of AV1 frames: those that encoders write, each field before them, and files made to deceive."""

import io
import struct
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, features

from datasets.avif import frame_sizes
from datasets.decoder import read_image
from datasets.image_files import Loan, _asked
from utils.errors import UserError


def encoded(mode="RGB", size=(300, 200), **options):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    Image.new(mode, size, (255, 0, 0, 9)[: len(mode)]).save(file, "AVIF", **options)
    return file.getvalue()


def box(kind, content, wide=False):
    if wide:
        return struct.pack(">I", 1) + kind + struct.pack(">Q", 16 + len(content)) + content
    return struct.pack(">I", 8 + len(content)) + kind + content


def packed(*fields):
    """Bytes of (value, bits) pairs."""
    text = "".join(format(value, f"0{bits}b") for value, bits in fields if bits)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))


def unit(payload, kind=1, sized=True):
    return bytes([kind << 3 | 2 * sized]) + (bytes([len(payload)]) if sized else b"") + payload


def sequence(width, height, *between, after=((0, 40),)):
    """A sequence header; `between` stands before the widths, nothing: as of a still image in short."""
    bits = [(number - 1).bit_length() for number in (width, height)]
    sides = [(bits[0] - 1, 4), (bits[1] - 1, 4), (width - 1, bits[0]), (height - 1, bits[1])]
    return packed((0, 4), *(between or [(1, 1), (0, 5)]), *sides, *after)


def located(*items, version=0, held=False, base=0, index=0):
    """A file of items, each told by `iloc` in parts of (start, length) of the data after its boxes."""
    wide = 32 if version == 2 else 16
    fields = [(version, 8), (0, 24), (8, 4), (4, 4), (4, 4), (index, 4), (len(items), wide)]

    def boxes(first):
        told = []
        for k, parts in enumerate(items):
            told += [
                (k, wide),
                *([(int(held), 16)] if version else []),
                (0, 16),
                (base, 32),
                (len(parts), 16),
            ]
            for start, length in parts:
                told += [*([(9, 8 * index)] if version else []), (first + start - base, 64), (length, 32)]
        return box(b"iloc", packed(*fields, *told), wide=True)

    def file(data):
        if held:
            return box(b"meta", bytes(4) + box(b"idat", data) + boxes(0))
        head = len(boxes(0)) + 12
        return box(b"meta", bytes(4) + boxes(head)) + data

    return file


def test_encoded_files():
    assert frame_sizes(encoded()) == [[(300, 200)]]
    assert frame_sizes(encoded("RGBA", (31, 1025))) == [[(31, 1025)]] * 2  # alpha is another item
    assert frame_sizes(animated(2)) == [[(300, 200)]] * 2  # an item and a track


def animated(count):
    others = [Image.new("RGB", (300, 200), (9 * k, 0, 255)) for k in range(1, count)]
    return encoded(save_all=True, append_images=others)


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (20, 9)])
def test_frames_that_are_decoded_before_one_is_shown(count, kept):
    """All frames in one item: a decoder keeps eight to refer to while it decodes one."""
    content = animated(count)
    data = content[content.index(b"mdat") + 4 :]
    file = located([(0, len(data))])(data)
    assert frame_sizes(file) == [[(300, 200)] * kept]
    image = SimpleNamespace(format="AVIF", mode="RGB", size=(300, 200))
    more = 7.5 * (kept - 1)  # bytes a pixel, as measured
    assert _asked(image, io.BytesIO(file), 999)[2] == pytest.approx((15 + more) * 300 * 200 / 1e6)


MODEL = [(1, 1), (7, 32), (9, 32), (1, 1), (1, 3), (0, 2), (1, 1), (9, 5), (3, 32), (5, 5), (6, 5)]
LONG_TIME = [(1, 1), (7, 32), (9, 32), (1, 1), (1, 13), (0, 12), (0, 1)]
POINT = [(0, 12), (5, 5)]


@pytest.mark.parametrize(
    "between",
    [
        [(0, 1), (0, 1), (0, 5), *POINT],
        [(0, 1), (0, 1), (0, 5), (0, 12), (8, 5), (1, 1)],  # a high level has a tier
        [(0, 1), (1, 1), (1, 5), *POINT, (1, 1), (9, 4), *POINT, (0, 1)],
        [(1, 1), (7, 32), (9, 32), (0, 1), (0, 1), (0, 1), (0, 5), *POINT],
        [*LONG_TIME, (0, 1), (0, 5), *POINT],
        [*MODEL, (0, 1), (0, 5), *POINT, (1, 1), (0xFFFFF, 20), (1, 1)],
    ],
    ids=["plain", "tier", "two points", "timing", "equal intervals", "decoder model"],
)
def test_a_full_header(between):
    header = sequence(3000, 2000, (0, 1), *between)
    assert frame_sizes(located([(0, 0)])(unit(header))) == [[(3000, 2000)]]


PLAIN, NO_NAMES, NAMES = [(0, 1), (0, 1), (0, 5), *POINT], [(0, 1)], [(1, 1), (3, 4), (2, 3)]
TOOLS, ORDER, NO_ORDER = [(0, 7)], [(1, 1), (3, 2)], [(0, 1)]
EACH, SCREEN, NO_SCREEN = [(1, 1), (1, 1)], [(0, 1), (1, 1)], [(0, 1), (0, 1)]
SHOWN_KEY, HIDDEN_KEY, INTER = (
    [(0, 1), (0, 2), (1, 1)],
    [(0, 1), (0, 2), (0, 1), (1, 1)],
    [(0, 1), (1, 2), (1, 1)],
)


@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        (PLAIN, [*NO_NAMES, *TOOLS, *NO_ORDER, *NO_SCREEN], [*SHOWN_KEY, (1, 1)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *ORDER, *NO_SCREEN], [*INTER, (0, 1), (1, 1)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *NO_ORDER, *NO_SCREEN], [*HIDDEN_KEY, (0, 1), (1, 1)]),
        (PLAIN, [*NAMES, *TOOLS, *ORDER, *NO_SCREEN], [*INTER, (1, 1), (0, 1), (200, 8)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *ORDER, *EACH], [*INTER, (0, 1), (0, 1), (0, 1)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *ORDER, *EACH], [*INTER, (0, 1), (0, 1), (1, 1), (0, 1)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *ORDER, *SCREEN, (1, 1)], [*INTER, (0, 1), (0, 1), (1, 1)]),
        (PLAIN, [*NO_NAMES, *TOOLS, *ORDER, *SCREEN, (0, 1), (1, 1)], [*INTER, (0, 1), (0, 1)]),
        ([*MODEL[:3], (0, 1), *MODEL[6:], (0, 1), (0, 5), *POINT, (0, 1)],
            [*NO_NAMES, *TOOLS, *ORDER, *NO_SCREEN], [*INTER, (99, 7), (0, 1), (0, 1)]),
        ([*MODEL, (0, 1), (0, 5), *POINT, (0, 1)], [*NO_NAMES, *TOOLS, *ORDER, *NO_SCREEN],
            [*INTER, (0, 1), (0, 1)]),
    ],
    ids=["key", "inter", "hidden", "names", "each", "screen", "vectors", "none told", "times", "equal times"],
)  # fmt: skip
def test_a_frame_that_tells_its_own_size(before, after, fields, own):
    """It may be as large as the header has bits for."""
    header = sequence(3000, 2000, (0, 1), *before, after=after)
    data = unit(header) + unit(packed(*fields, (own, 1)), kind=6)
    size = (4096, 2048) if own else (3000, 2000)
    assert frame_sizes(located([(0, len(data))])(data)) == [[size]]


def test_frames_that_need_no_more_memory_or_always_tell_their_size():
    header = sequence(3000, 2000, (0, 1), *PLAIN, after=[*NO_NAMES, *TOOLS, *NO_ORDER, *NO_SCREEN])
    key, again = packed(*SHOWN_KEY, (1, 1), (0, 1)), packed((1, 1), (0, 7))
    switch = packed((0, 1), (3, 2), (1, 1), (0, 4))
    data = unit(header) + unit(key, kind=3) + unit(again, kind=3) + unit(key, kind=7)
    assert frame_sizes(located([(0, len(data))])(data)) == [[(3000, 2000)]]
    data += unit(switch, kind=6)
    assert frame_sizes(located([(0, len(data))])(data)) == [[(3000, 2000), (4096, 2048)]]
    data += 12 * unit(key, kind=6)  # of which the largest count
    assert frame_sizes(located([(0, len(data))])(data)) == [[*[(3000, 2000)] * 8, (4096, 2048)]]


@pytest.mark.parametrize(("version", "base", "index"), [(0, 0, 0), (0, 7, 0), (1, 0, 4), (2, 0, 0)])
def test_where_items_lie(version, base, index):
    first, second = unit(b"", kind=2) + unit(sequence(120, 90)), unit(sequence(64, 32), sized=False)
    middle = len(first) // 2
    parts = [(0, middle), (middle, len(first) - middle)]
    file = located(parts, [(len(first), len(second))], version=version, base=base, index=index)
    assert frame_sizes(file(first + second)) == [[(120, 90)], [(64, 32)]]
    if version:
        held = located([(0, len(first))], version=version, held=True, index=index)(first)
        assert frame_sizes(held) == [[(120, 90)]]
        decoy = box(b"minf", box(b"idat", unit(sequence(2, 2))))  # is not the data of these items
        assert frame_sizes(box(b"meta", bytes(4) + decoy + held[12:])) == [[(120, 90)]]


@pytest.mark.parametrize(("kind", "size"), [(b"stco", 4), (b"co64", 8)])
@pytest.mark.parametrize("same", [True, False], ids=["a length of all", "lengths"])
def test_tracks(kind, size, same):
    """Their first sample; what follows is not of the first image."""
    first = unit(sequence(120, 90)) + unit(b"", kind=6)
    data = first + unit(sequence(4000, 3000)) + unit(b"", kind=6)
    length = len(first).to_bytes(4, "big")
    lengths = box(b"stsz", bytes(4) + (length + bytes(4) if same else bytes(7) + b"\2" + length + bytes(4)))
    place = box(kind, bytes(7) + b"\1" + (8).to_bytes(size, "big"))
    for boxes, found in ((lengths + place, [(120, 90)]), (place, [(120, 90), (4000, 3000)])):
        for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
            boxes = box(name, boxes)
        assert frame_sizes(box(b"mdat", data) + boxes) == [found]
        assert frame_sizes(box(b"mdat", data) + struct.pack(">I", 0) + boxes[4:]) == [found]  # to the end


def test_units_of_many_bytes():
    padding = bytes([15 << 3 | 2, 0x80 | 44, 2]) + bytes(300)  # its length takes two bytes
    assert frame_sizes(located([(0, 0)])(padding + unit(sequence(120, 90)))) == [[(120, 90)]]


def test_a_file_that_deceives_is_not_decoded(tmp_path):
    content = bytearray(encoded(size=(6000, 4000), speed=10))
    at = content.index(b"ispe") + 8
    content[at : at + 8] = struct.pack(">II", 120, 100)
    path = tmp_path / "small.avif"
    path.write_bytes(content)
    assert Image.open(path).size == (120, 100)
    with pytest.raises(UserError, match=r"small.avif: claims 6000x4000 pixels .* takes 360 MB, .* gets 200"):
        read_image(path)
    assert read_image(path, Loan(400)).shape == (3, 100, 120)


def test_cells_count_together():
    """A grid decodes each of its cells, which may be one in the file; alpha is as large as the image."""
    header = unit(sequence(4000, 4000)) + unit(bytes(90), kind=15) * 50
    grid = located(*[[(0, len(header))]] * 5)(header)
    image = SimpleNamespace(format="AVIF", mode="RGB", size=(120, 100))
    assert _asked(image, io.BytesIO(grid), 999) == (4000, 4000, pytest.approx(2.5 * 4000 * 4000 * 15 / 1e6))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (located(*[[(k, 900)] for k in range(9)])(bytes(1000)), "share their data"),
        (located([(0, 0)])(bytes([15 << 3 | 2, 0]) * 20_000), "more parts"),
        (located([(0, 0)] * 9_000)(bytes(1_000_000)), "share their data"),
        (located([(99, 1)] * 20_000)(unit(sequence(9, 9))), "more parts"),
        (located([(0, 1 << 20)])(unit(sequence(9, 9)) + 101 * unit(b"", kind=6)), "has 101 frames"),
        (located([(1 << 40, 9)])(unit(sequence(9, 9))), "no AV1 frame"),
        (box(b"mdat", unit(sequence(9, 9))), "no AV1 frame"),
        (struct.pack(">I4sQ", 1, b"mdat", 3) + bytes(99), "no AV1 frame"),
    ],
    ids=["shared", "units", "parts of all", "parts", "frames", "outside", "no items", "no length"],
)
def test_files_made_to_keep_their_reader_busy(file, reason):
    with pytest.raises(ValueError, match=reason):
        frame_sizes(file)


def test_damage_never_raises_anything_else():
    whole = encoded()
    rng = np.random.default_rng(0)
    changed = [whole[:end] for end in range(0, len(whole), 7)]
    for _ in range(300):
        bytes_of = np.frombuffer(whole, np.uint8).copy()
        bytes_of[rng.integers(0, len(bytes_of), 5)] = rng.integers(0, 256, 5)
        changed.append(bytes_of.tobytes())
    read = []
    for content in changed:
        with suppress(ValueError):
            read += [size for item in frame_sizes(content) for size in item]
    assert read.count((300, 200)) > 100
    assert all(0 < side <= 1 << 16 for size in read for side in size)
