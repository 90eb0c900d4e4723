"""Sizes of AV1 frames: those that encoders write, each field before them, and files made to deceive."""

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, features

from datasets.avif import frame_sizes
from datasets.decoder import read_image
from datasets.image_files import Loan, _claimed
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


def sequence(width, height, reduced=True, between=((0, 5),)):
    """A sequence header; `between` is what stands before the widths."""
    bits = [(number - 1).bit_length() for number in (width, height)]
    sides = [(bits[0] - 1, 4), (bits[1] - 1, 4), (width - 1, bits[0]), (height - 1, bits[1])]
    return packed((0, 3), (0, 1), (int(reduced), 1), *between, *sides, (0, 40))


def located(*items, version=0, held=False):
    """A file of items, each told by `iloc` in parts of (start, length) of the data after its boxes."""
    wide = 32 if version == 2 else 16
    fields = [(version, 8), (0, 24), (8, 4), (4, 4), (0, 4), (0, 4), (len(items), wide)]

    def boxes(base):
        told = []
        for k, parts in enumerate(items):
            told += [(k, wide), *([(int(held), 16)] if version else []), (0, 16), (len(parts), 16)]
            for start, length in parts:
                told += [(base + start, 64), (length, 32)]
        return box(b"meta", bytes(4) + box(b"iloc", packed(*fields, *told), wide=True))

    def file(data):
        if held:
            return box(b"meta", bytes(4) + box(b"idat", data) + boxes(0)[12:])
        head = boxes(0)
        return boxes(len(head)) + data

    return file


def test_encoded_files():
    assert frame_sizes(encoded()) == [(300, 200)]
    assert frame_sizes(encoded("RGBA", (31, 1025))) == [(31, 1025)] * 2  # alpha is another item
    moving = encoded(save_all=True, append_images=[Image.new("RGB", (300, 200), "blue")])
    assert set(frame_sizes(moving)) == {(512, 256)}  # the most that the bits of its sizes hold


MODEL = [(7, 32), (9, 32), (1, 1), (1, 3), (0, 2), (1, 1), (9, 5), (3, 32), (5, 5), (6, 5)]


@pytest.mark.parametrize(
    "between",
    [
        [(0, 1), (0, 1), (0, 5), (0, 12), (5, 5)],
        [(0, 1), (0, 1), (0, 5), (0, 12), (8, 5), (1, 1)],  # a high level has a tier
        [(0, 1), (1, 1), (1, 5), (0, 12), (5, 5), (1, 1), (9, 4), (0, 12), (5, 5), (0, 1)],
        [(1, 1), (7, 32), (9, 32), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (5, 5)],
        [(1, 1), (7, 32), (9, 32), (1, 1), (1, 3), (0, 2), (0, 1), (0, 1), (0, 5), (0, 12), (5, 5)],
        [(1, 1), *MODEL, (0, 1), (0, 5), (0, 12), (5, 5), (1, 1), (0xFFFFF, 20), (1, 1)],
    ],
    ids=["plain", "tier", "two points", "timing", "equal intervals", "decoder model"],
)
def test_a_full_header_allows_what_its_bits_hold(between):
    header = sequence(3000, 2000, reduced=False, between=between)
    assert frame_sizes(located([(0, 0)])(unit(header))) == [(4096, 2048)]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_where_items_lie(version):
    first, second = unit(b"", kind=2) + unit(sequence(120, 90)), unit(sequence(64, 32), sized=False)
    middle = len(first) // 2
    parts = [(0, middle), (middle, len(first) - middle)]
    file = located(parts, [(len(first), len(second))], version=version)(first + second)
    assert frame_sizes(file) == [(120, 90), (64, 32)]
    if version:
        assert frame_sizes(located([(0, len(first))], version=version, held=True)(first)) == [(120, 90)]


def test_a_file_that_deceives_is_not_decoded(tmp_path):
    content = bytearray(encoded(size=(6000, 4000), speed=10))
    at = content.index(b"ispe") + 8
    content[at : at + 8] = struct.pack(">II", 120, 100)
    path = tmp_path / "small.avif"
    path.write_bytes(content)
    assert Image.open(path).size == (120, 100)
    with pytest.raises(UserError, match=r"small.avif: claims 6000x4000 pixels .* takes 264 MB, .* gets 200"):
        read_image(path)
    assert read_image(path, Loan(300)).shape == (3, 100, 120)


def test_cells_count_together():
    """A grid decodes each of its cells, and alpha is as large as the image."""
    header = unit(sequence(4000, 4000))
    items = [[(k * len(header), len(header))] for k in range(5)]
    image, file = SimpleNamespace(format="AVIF", size=(120, 100)), io.BytesIO(located(*items)(header * 5))
    assert _claimed(image, file) == (4000, 4000, 2.5 * 4000 * 4000)


def test_items_of_the_same_bytes_are_refused():
    with pytest.raises(ValueError, match="share their bytes"):
        frame_sizes(located(*[[(0, 900)]] * 9)(bytes(900)))


def test_damage_is_left_to_the_decoder():
    whole = encoded()
    for end in range(0, len(whole), 7):
        assert frame_sizes(whole[:end]) in ([], [(300, 200)])
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = np.frombuffer(whole, np.uint8).copy()
        changed[rng.integers(0, len(changed), 5)] = rng.integers(0, 256, 5)
        try:
            sizes = frame_sizes(changed.tobytes())
        except ValueError:
            continue
        assert all(0 < side <= 1 << 16 for size in sizes for side in size)
